package tlsproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// installPrefix begins the names of what is put into a system's store.
const installPrefix = "boundary-"

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
