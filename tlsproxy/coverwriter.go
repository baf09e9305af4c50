package tlsproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// coverWriter is one run of Write.
type coverWriter struct {
	Covering
	replace map[string]string // what to put in the place of which file
	covers  []Cover
}

// replacements are the system's files that hold all its roots, without links.
func (c *coverWriter) replacements() map[string]string {
	out := map[string]string{}
	put := func(path, made string) {
		path, err := filepath.EvalSymlinks(path)
		if err != nil {
			return // it is not there
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			out[path] = made
		}
	}
	for _, path := range systemBundles() {
		put(path, c.Bundle)
	}
	if c.Java != "" {
		for _, path := range c.javaStores() {
			put(path, c.Java)
		}
	}
	return out
}

// javaStores are where Java looks for its roots without being told: in its own
// folder. The system's is usually a link to a place of the distribution's.
func (c *coverWriter) javaStores() []string {
	stores := []string{"/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts", "/etc/pki/java/cacerts"}
	homes := []string{c.JavaHome}
	for _, folder := range filepath.SplitList(c.Path) {
		if path, err := filepath.EvalSymlinks(filepath.Join(folder, "java")); err == nil {
			homes = append(homes, filepath.Dir(filepath.Dir(path)))
		}
	}
	for _, home := range homes {
		if filepath.IsAbs(home) {
			stores = append(stores, filepath.Join(home, "lib/security/cacerts"), filepath.Join(home, "jre/lib/security/cacerts"))
		}
	}
	return stores
}

// covered says whether a path lies in a folder that is covered.
func (c *coverWriter) covered(path string) bool {
	return slices.ContainsFunc(c.covers, func(one Cover) bool { return strings.HasPrefix(path, one.Over+"/") })
}

// maxCopied bounds a folder that is copied; the fullest hold some six hundred.
const maxCopied = 8192

// coverFolder copies a folder with links as links, which go on meaning what
// they meant: the copy is seen at the same path.
func (c *coverWriter) coverFolder(folder string) error {
	folder, err := filepath.EvalSymlinks(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find certificates: %w", err)
	}
	if slices.ContainsFunc(c.covers, func(one Cover) bool { return one.Over == folder }) {
		return nil
	}
	made := filepath.Join(c.Dir, strings.ReplaceAll(folder, "/", "_"))
	count := 0
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if count++; count > maxCopied {
			return fmt.Errorf("copy %s: more than %d files", folder, maxCopied)
		}
		if err != nil {
			return err
		}
		return c.copy(path, filepath.Join(made, strings.TrimPrefix(path, folder)), entry.Type())
	})
	if err != nil {
		return fmt.Errorf("copy certificates: %w", err)
	}
	if err := c.addAuthority(made); err != nil {
		return err
	}
	c.covers = append(c.covers, Cover{Made: made, Over: folder})
	return nil
}

// addAuthority puts the authority where OpenSSL looks it up.
func (c *coverWriter) addAuthority(folder string) error {
	name, err := freeHashName(folder, c.Hash)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(folder, name), c.PEM, 0o644)
}

// freeHashName returns a name of the form of openssl-rehash(1) that is free.
func freeHashName(folder, hash string) (string, error) {
	const most = 256
	for n := range most {
		name := fmt.Sprintf("%s.%d", hash, n)
		if _, err := os.Lstat(filepath.Join(folder, name)); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
	}
	return "", fmt.Errorf("find name in %s: all of %s.N are taken", folder, hash)
}

// copy copies a folder, a link or a regular file.
func (c *coverWriter) copy(from, to string, kind fs.FileMode) error {
	switch {
	case kind.IsDir():
		return os.Mkdir(to, 0o755)
	case kind&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case !kind.IsRegular():
		return nil
	}
	if made, ok := c.replace[from]; ok {
		from = made
	}
	data, info, err := readRegular(from)
	if err != nil {
		return err
	}
	return writeFile(to, data, info.Mode().Perm())
}
