package escapes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// pathAttempts connect to an allowed socket's path where something else lies
// there: in the caller's view, which is not the supervisor's.
func pathAttempts() []Attempt {
	by := func(step string) func(*Ground) error {
		return func(g *Ground) error { return g.step("", step, asOwnRoot(unix.CLONE_NEWNS)) }
	}
	list := []Attempt{
		{Name: "namespace/mounted-socket", Does: "mount a denied socket over an allowed one", Try: by(stepBindSocket)},
		{Name: "namespace/hidden-folder", Does: "mount over the sockets' folder, with a link to the old one", Try: by(stepHideSocket)},
		{Name: "namespace/chroot", Does: "change the root, so that an allowed path leads to a denied socket", Try: by(stepChroot)},
		{Name: "namespace/pivot-root", Does: "the same with pivot_root", Try: by(stepPivot)},
		{Name: "namespace/leave-root", Does: "change the root and leave it by an inherited folder", Try: by(stepLeaveRoot)},
	}
	for i := range list {
		list[i].Needs = []Need{NeedUserns}
	}
	return list
}

// Steps of these attempts; each has a mount namespace.
const (
	stepBindSocket = "step/bind-socket"
	stepHideSocket = "step/hide-socket"
	stepChroot     = "step/chroot"
	stepPivot      = "step/pivot-root"
	stepLeaveRoot  = "step/leave-root"
)

// sendToPath connects to a path and writes the token.
func sendToPath(g *Ground, path string) error {
	fd, err := call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(int(fd))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	name := pathSockaddr(path)
	if _, err := call(unix.SYS_CONNECT, fd, m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	_, err = unix.Write(int(fd), []byte(g.Token))
	return err
}

func bindOverSocket(g *Ground) error {
	if err := unix.Mount(g.Unix.Stream, g.Unix.Allowed, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return sendToPath(g, g.Unix.Allowed)
}

// hideSocket keeps the folder open, so that a link of /proc still leads there.
func hideSocket(g *Ground) error {
	dir := filepath.Dir(g.Unix.Stream)
	old, err := unix.Open(dir, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	link := fmt.Sprintf("/proc/self/fd/%d/%s", old, filepath.Base(g.Unix.Stream))
	if err := os.Symlink(link, g.Unix.Allowed); err != nil {
		return err
	}
	return sendToPath(g, g.Unix.Allowed)
}

// buildRoot makes below Ground.Dir the folders of the allowed path, with a
// link at its end that leads to a denied socket for who has Ground.Dir as his
// root.
func buildRoot(g *Ground) error {
	inner := filepath.Join(g.Dir, g.Unix.Allowed)
	if err := os.MkdirAll(filepath.Dir(inner), 0o755); err != nil {
		return err
	}
	target, err := filepath.Rel(g.Dir, g.Unix.Stream)
	if err != nil {
		return err
	}
	if err := os.Symlink("/"+target, inner); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func chrootSocket(g *Ground) error {
	if err := buildRoot(g); err != nil {
		return err
	}
	if err := unix.Chroot(g.Dir); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return sendToPath(g, g.Unix.Allowed)
}

func pivotSocket(g *Ground) error {
	if err := buildRoot(g); err != nil {
		return err
	}
	// A new root must be a mount.
	if err := unix.Mount(g.Dir, g.Dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := unix.Chdir(g.Dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave old root: %w", err)
	}
	return sendToPath(g, g.Unix.Allowed)
}

// leaveRoot goes out of a root by a folder that was open before, and names the
// denied socket from there.
func leaveRoot(g *Ground) error {
	root, inherited := g.Inherited["root"]
	if !inherited || unix.Fchdir(root) != nil {
		var err error
		if root, err = unix.Open("/", unix.O_PATH, 0); err != nil {
			return err
		}
	}
	if err := unix.Chroot(g.Dir); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := unix.Fchdir(root); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return sendToPath(g, g.Unix.Stream[1:])
}
