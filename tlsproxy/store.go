package tlsproxy

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// store is the layout of a distribution's certificates.
type store struct {
	anchors string // where an administrator adds roots, a file each
	suffix  string // of those files
	bundle  string // all roots as one file, made from the anchors
	hashes  string // folder in the form of openssl-rehash(1); empty for none
}

// stores are the layouts that are known.
func stores() []store {
	return []store{
		// Debian, Ubuntu and Alpine: update-ca-certificates(8).
		{"/usr/local/share/ca-certificates", ".crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs"},
		// Fedora and RHEL: update-ca-trust(8). GnuTLS and NSS read the
		// anchors themselves there, by p11-kit.
		{"/etc/pki/ca-trust/source/anchors", ".pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/directory-hash"},
	}
}

// errNoStore says where a system's store was looked for.
var errNoStore = errors.New("no certificate store of a known layout: neither /etc/ssl/certs/ca-certificates.crt (Debian, Alpine) nor /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem (Fedora)")

// linkName is what update-ca-certificates would call the file among the hashes.
func linkName(session string) string { return installPrefix + session + ".pem" }

// link makes the authority known by its hash.
func (s store) link(session, anchor string, authority *Authority) error {
	if info, err := os.Stat(s.hashes); err != nil || !info.IsDir() {
		return nil
	}
	hash, err := subjectHash(authority.cert)
	if err != nil {
		return err
	}
	if err := os.Symlink(anchor, filepath.Join(s.hashes, linkName(session))); err != nil {
		return err
	}
	name, err := freeHashName(s.hashes, hash)
	if err != nil {
		return err
	}
	return os.Symlink(linkName(session), filepath.Join(s.hashes, name))
}

// remove takes out one anchor, and all that was made of it, by this program or
// by the distribution's own. The anchor goes last: while it is there another
// call can finish what was begun.
func (s store) remove(name string) error {
	unlock, err := lockFolder(s.anchors)
	if err != nil {
		return err
	}
	defer unlock()
	anchor := filepath.Join(s.anchors, name)
	data, _, err := readRegular(anchor)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another was faster
	}
	if err != nil {
		return err
	}
	if err := s.removeFromBundle(certificates(data)); err != nil {
		return err
	}
	if err := s.unlink(linkName(strings.TrimSuffix(strings.TrimPrefix(name, installPrefix), s.suffix))); err != nil {
		return err
	}
	return os.Remove(anchor)
}

// removeFromBundle takes certificates out of the bundle, and leaves every other
// byte of it as it is.
func (s store) removeFromBundle(certs [][]byte) error {
	bundle, _, err := readRegular(s.bundle)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	rest := bundle
	for _, der := range certs {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		rest = bytes.ReplaceAll(rest, text, nil)
	}
	if len(rest) == len(bundle) {
		return nil
	}
	return replaceFile(s.bundle, rest)
}

// unlink removes a link among the hashes, and those that lead to it.
func (s store) unlink(name string) error {
	entries, err := os.ReadDir(s.hashes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(s.hashes, e.Name())
		target, err := os.Readlink(path)
		if e.Name() != name && (err != nil || target != name) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// lockFolder keeps other sessions from changing a store at the same time.
func lockFolder(path string) (unlock func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// replaceFile puts a file in the place of another, at once and with its mode.
func replaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // where it was not renamed
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return os.Rename(f.Name(), path)
}
