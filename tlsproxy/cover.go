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

// Cover is a file or folder of the system's that is to be hidden from the agent
// by one that Write made.
type Cover struct {
	Made, Over string
}

const coverDirName = "system"

// Covering is what is needed to write covers. It can be sent to another process.
type Covering struct {
	// Dir is an empty folder for them. Some three hundred files are made in
	// it, so a file system in memory does best there.
	Dir string
	// Bundle and Java are the files that the session has made. Java is empty
	// where the user's own store is in force.
	Bundle, Java string
	PEM          []byte // the authority's certificate
	Hash         string // and its name, as OpenSSL looks it up
	// Java is looked for on this PATH and in this JAVA_HOME.
	Path, JavaHome string
}

// Covering makes an empty folder below the directory of t, and returns what is
// needed to write covers there. env is the agent's environment.
func (t *Trust) Covering(authority *Authority, env []string) (*Covering, error) {
	hash, err := subjectHash(authority.cert)
	if err != nil {
		return nil, err
	}
	e := newEnviron(env)
	c := &Covering{
		Dir: filepath.Join(filepath.Dir(t.Bundle), coverDirName), Bundle: t.Bundle, PEM: authority.PEM(), Hash: hash,
		Path: e["PATH"], JavaHome: e["JAVA_HOME"],
	}
	if _, err := os.Stat(t.java); err == nil {
		c.Java = t.java
	}
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder of covers: %w", err)
	}
	return c, nil
}

// coverFolders are those of the system's store that are covered as a whole, so
// that what the agent changes there (a package manager's hooks put new files in
// the place of old ones) goes to the copy. Other files are covered one by one.
func coverFolders() []string {
	return []string{"/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem"}
}

// Write makes copies of the system's own certificate files, with the session
// authority added. Programs that read no variable (GnuTLS, what links libcurl,
// Java whose options were replaced) find the authority where the copies lie over
// the system's.
func (c *Covering) Write() ([]Cover, error) {
	w := &coverWriter{Covering: *c}
	w.replace = w.replacements()
	for _, folder := range coverFolders() {
		if err := w.coverFolder(folder); err != nil {
			return nil, err
		}
	}
	for over, made := range w.replace {
		if !w.covered(over) {
			w.covers = append(w.covers, Cover{Made: made, Over: over})
		}
	}
	return w.covers, nil
}

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
