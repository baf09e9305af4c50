package escapes

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// unixViewAttempts make an allowed path show a denied socket, in mounts or
// below a root of the attempt's own.
func unixViewAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "unix/mount-over-symlink", Does: "hide a link to the socket under a mount that has its name", Try: func(g *Ground) error {
			if err := os.Symlink(g.Unix.Stream, filepath.Join(g.Unix.AllowedDir, g.Token)); err != nil {
				return err
			}
			return g.scene("mount-over-symlink", ownNamespaces())
		}},
		{Name: "unix/proc-other-mounts", Does: "connect through /proc/PID/root of a process with other mounts", Try: func(g *Ground) error {
			h, err := g.startHelper("bind-mount-held", ownNamespaces())
			if err != nil {
				return err
			}
			defer h.end()
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(fmt.Sprintf("/proc/%d/root%s", h.cmd.Process.Pid, g.Unix.Allowed)))
		}},
	}
	for _, one := range []struct{ name, does, step string }{
		{"unix/bind-mount", "mount the socket over an allowed path", "bind-mount"},
		{"unix/bind-mount-relative", "mount the socket over an allowed path and connect to it relatively", "bind-mount-relative"},
		{"unix/bind-mount-directory", "mount a folder over the one of an allowed path", "bind-mount-directory"},
		{"unix/pivot-root", "make a root in which an allowed path shows the socket", "pivot-root"},
		{"unix/chroot", "go below a root in which an allowed path shows the socket", "chroot"},
	} {
		attempts = append(attempts, Attempt{Name: one.name, Does: one.does, Try: func(g *Ground) error {
			return g.scene(one.step, ownNamespaces())
		}})
	}
	for i := range attempts {
		attempts[i].Needs = []Need{NeedUserns}
	}
	return attempts
}

// privately keeps what is mounted from now on from others.
func privately() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }

// showAt mounts the denied socket over a path.
func showAt(g *Ground, path string) error {
	if err := privately(); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(g.Unix.Stream, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over %s: %w", path, err)
	}
	return nil
}

func bindMountStep(g *Ground) error {
	if err := showAt(g, g.Unix.Allowed); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(g.Unix.Allowed))
}

func bindMountRelativeStep(g *Ground) error {
	if err := showAt(g, g.Unix.Allowed); err != nil {
		return err
	}
	if err := unix.Chdir(filepath.Dir(g.Unix.Allowed)); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(filepath.Base(g.Unix.Allowed)))
}

func bindMountHeldStep(g *Ground) error {
	if err := showAt(g, g.Unix.Allowed); err != nil {
		return err
	}
	sayReady("mounted")
	return nil
}

// bindMountDirectoryStep mounts a folder in which the denied socket has an
// allowed one's name over that one's folder.
func bindMountDirectoryStep(g *Ground) error {
	dir := g.mine("m")
	if err := unix.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.Link(g.Unix.Stream, filepath.Join(dir, filepath.Base(g.Unix.Allowed))); err != nil {
		return err
	}
	if err := privately(); err != nil {
		return err
	}
	if err := unix.Mount(dir, filepath.Dir(g.Unix.Allowed), "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Chdir(filepath.Dir(g.Unix.Allowed)); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(filepath.Base(g.Unix.Allowed)))
}

// mountOverSymlinkStep: the name of the mount is an allowed one, and whoever
// looks that name up outside finds the link, and behind it the same socket.
func mountOverSymlinkStep(g *Ground) error {
	path := filepath.Join(g.Unix.AllowedDir, g.Token)
	socket, err := unix.Open(g.Unix.Stream, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	if err := privately(); err != nil {
		return err
	}
	if err := unix.Mount("none", g.Unix.AllowedDir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount("/proc/self/fd/"+decimal(socket), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount socket: %w", err)
	}
	if err := unix.Chdir(g.Unix.AllowedDir); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(g.Token))
}

// newRoot makes a folder in which an allowed path shows the denied socket.
func newRoot(g *Ground) (string, error) {
	root := g.mine("root")
	path := root + g.Unix.Allowed
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := os.Link(g.Unix.Stream, path); err != nil {
		return "", err
	}
	if err := privately(); err != nil {
		return "", err
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("mount root: %w", err)
	}
	return root, nil
}

func pivotRootStep(g *Ground) error {
	root, err := newRoot(g)
	if err != nil {
		return err
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	// The old root lies over the new one, and is taken off: pivot_root(2).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount old root: %w", err)
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(g.Unix.Allowed))
}

func chrootStep(g *Ground) error {
	root, err := newRoot(g)
	if err != nil {
		return err
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(g.Unix.Allowed))
}

func decimal(n int) string { return strconv.Itoa(n) }
