package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// newSystem makes a copy of the machine's files, in which root may install
// packages and make users: what is written lies in memory and goes with the
// test. Only root can.
func newSystem(t *testing.T, as mode) *place {
	t.Helper()
	requireRoot(t)
	dir := as.dir(t)
	return newPlace(t, func() error { return enterSystem(dir, as) })
}

// enterSystem moves the calling thread into a mount namespace whose root is an
// overlay of the machine's, with the kernel's file systems and the tests'
// folder as they are.
func enterSystem(dir string, as mode) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount memory: %w", err)
	}
	root, upper, work := filepath.Join(dir, "root"), filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, path := range []string{root, upper, work} {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("none", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	for _, path := range []string{"/proc", "/sys", "/dev", shop.base} {
		if err := os.MkdirAll(root+path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(path, root+path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
	}
	if as == dockerRoot {
		if err := closeLikeDocker(root); err != nil {
			return err
		}
	}
	return enterRoot(root)
}

// closeLikeDocker makes read-only what Docker does in a container.
func closeLikeDocker(root string) error {
	for _, path := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"} {
		if _, err := os.Stat(path); err != nil {
			continue // not every kernel has each
		}
		if err := unix.Mount(root+path, root+path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
		if err := unix.Mount("", root+path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	err := unix.MountSetattr(unix.AT_FDCWD, root+"/sys", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err != nil {
		return fmt.Errorf("make /sys read-only: %w", err)
	}
	return nil
}

// enterRoot makes a mount the root, with the old one on top of it, which is
// then taken away, pivot_root(2).
func enterRoot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("take old root away: %w", err)
	}
	return unix.Chdir("/")
}

// start starts a command in the place.
func (p *place) start(cmd *exec.Cmd) error { return p.do(cmd.Start) }
