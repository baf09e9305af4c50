package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestChroot runs boundary in a chroot, which an agent that is root can leave:
// above it too it can't write the machine's settings.
func TestChroot(t *testing.T) {
	requireRoot(t)
	dir := asRoot.dir(t)
	where := newPlace(t, func() error { return enterChroot(dir) })
	command := python(t, "leave_chroot.py")
	free := commandIn(t, asRoot, asRoot.dir(t), command)
	var out []byte
	err := where.do(func() (err error) {
		out, err = free.Output()
		return err
	})
	if diff := cmp.Diff("above\nwritable\n", string(out)); diff != "" || err != nil {
		t.Errorf("without boundary: %v (-want +got):\n%s", err, diff)
	}
	end := session{as: asRoot, policy: denyAll, place: where, command: command}.run(t)
	if diff := cmp.Diff("above\nRead-only file system\n", end.stdout); diff != "" {
		t.Errorf("with boundary (-want +got):\n%s", diff)
	}
}

// enterChroot moves the calling thread into a mount namespace, and there below
// a folder in which the machine's files are once more.
func enterChroot(dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// The true root is a folder in memory, with a mark.
	if err := unix.Mount("none", dir, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount memory: %w", err)
	}
	for _, name := range []string{"chroot-is-below", "proc", "system"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("/proc", filepath.Join(dir, "proc"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind /proc: %w", err)
	}
	system := filepath.Join(dir, "system")
	if err := unix.Mount("/", system, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind /: %w", err)
	}
	if err := enterRoot(dir); err != nil {
		return err
	}
	if err := unix.Chroot("/system"); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	return unix.Chdir("/")
}
