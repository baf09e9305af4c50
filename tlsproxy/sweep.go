package tlsproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

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
