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

// installPrefix begins the names of what is put into a system's store.
const installPrefix = "boundary-"

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

// Installed is a session authority in the system's store. It marks itself as in
// use until Remove, or until the process that holds it ends.
type Installed struct {
	// Session is in the names of the files.
	Session string
	held    []*os.File
}

// Install puts the certificate of authority, never its key, into the system's
// store, and first sweeps out what sessions have left there that were killed.
// It takes root. What a failed call has done is undone.
func Install(session string, authority *Authority) (*Installed, error) {
	if err := Sweep(); err != nil {
		return nil, err
	}
	i := &Installed{Session: session}
	found := false
	for _, s := range stores() {
		if info, err := os.Stat(s.bundle); err != nil || !info.Mode().IsRegular() {
			continue
		}
		found = true
		if err := i.install(s, authority); err != nil {
			return nil, errors.Join(fmt.Errorf("put authority into the system's store: %w", err), i.Remove())
		}
	}
	if !found {
		return nil, errNoStore
	}
	return i, nil
}

// name of the session's file among the anchors of a store.
func (i *Installed) name(s store) string { return installPrefix + i.Session + s.suffix }

// linkName is what update-ca-certificates would call the file among the hashes.
func linkName(session string) string { return installPrefix + session + ".pem" }

func (i *Installed) install(s store, authority *Authority) error {
	if err := os.MkdirAll(s.anchors, 0o755); err != nil {
		return err
	}
	unlock, err := lockFolder(s.anchors)
	if err != nil {
		return err
	}
	defer unlock()
	anchor := filepath.Join(s.anchors, i.name(s))
	if err := writeFile(anchor, authority.pem, 0o644); err != nil {
		return err
	}
	if err := i.hold(anchor); err != nil {
		return err
	}
	if err := s.link(i.Session, anchor, authority); err != nil {
		return err
	}
	data, _, err := readRegular(s.bundle)
	if err != nil {
		return err
	}
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	return replaceFile(s.bundle, append(data, authority.pem...))
}

// hold marks an anchor as in use, by a lock that ends with its holder.
func (i *Installed) hold(anchor string) error {
	f, err := os.Open(anchor)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		f.Close()
		return fmt.Errorf("lock %s: %w", anchor, err)
	}
	i.held = append(i.held, f)
	return nil
}

// Hold marks what another process has installed as in use by this one too, so
// that it is not taken for forgotten while either lives.
func (i *Installed) Hold() {
	for _, s := range stores() {
		_ = i.hold(filepath.Join(s.anchors, i.name(s))) // of each layout that is there
	}
}

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

// Remove takes the authority out of the system's store. It may be called again.
func (i *Installed) Remove() error {
	var errs []error
	for _, s := range stores() {
		if _, err := os.Lstat(filepath.Join(s.anchors, i.name(s))); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		errs = append(errs, s.remove(i.name(s)))
	}
	for _, f := range i.held {
		errs = append(errs, f.Close())
	}
	i.held = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take authority out of the system's store: %w", err)
	}
	return nil
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

// Sweep takes out of the system's store what sessions have left there that no
// longer live. Where nothing was left it only looks.
func Sweep() error {
	for _, s := range stores() {
		left, err := filepath.Glob(filepath.Join(s.anchors, installPrefix+"*"+s.suffix))
		if err != nil {
			return err
		}
		for _, anchor := range left {
			if inUse(anchor) {
				continue
			}
			if err := s.remove(filepath.Base(anchor)); err != nil {
				return fmt.Errorf("take a former session's authority out of the system's store: %w", err)
			}
		}
	}
	return nil
}

// inUse says whether a process holds an anchor.
func inUse(anchor string) bool {
	f, err := os.Open(anchor)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
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
