package escapes

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// mountAttempts change what lies where in the machine's files.
func mountAttempts() []Attempt {
	return []Attempt{
		{Name: "host/mount", Does: "mount a file system", Needs: inField, Try: onFolder(func(dir string) error {
			return unix.Mount("none", dir, "tmpfs", 0, "size=64k")
		})},
		{Name: "host/mount-bind", Does: "mount a folder over another", Needs: inField, Try: onFolder(func(dir string) error {
			return unix.Mount("/usr", dir, "", unix.MS_BIND, "")
		})},
		{Name: "host/mount-made", Does: "mount with fsopen, fsmount and move_mount", Needs: inField, Try: onFolder(mountMade)},
		{Name: "host/mount-cloned", Does: "mount with open_tree and move_mount", Needs: inField, Try: onFolder(func(dir string) error {
			tree, err := unix.OpenTree(unix.AT_FDCWD, "/usr", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
			if err != nil {
				return fmt.Errorf("clone tree: %w", err)
			}
			return moveMount(tree, dir)
		})},
		{Name: "host/mount-attributes", Does: "change a mount's attributes", Needs: inField, Try: toggleNoexec},
		{Name: "host/node", Does: "make a device node", Try: func(g *Ground) error {
			path := filepath.Join(g.Dir, "node-"+newLinkName(g))
			const null = 1<<8 | 3 // the device of /dev/null
			return unix.Mknod(path, unix.S_IFCHR|0o600, null)
		}},
	}
}

// onFolder makes an attempt of something done to a new folder.
func onFolder(do func(dir string) error) func(*Ground) error {
	return func(g *Ground) error {
		dir := filepath.Join(g.Dir, "mount-"+newLinkName(g)+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		return do(dir)
	}
}

func mountMade(dir string) error {
	context, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open file system: %w", err)
	}
	defer unix.Close(context)
	const create = 6 // FSCONFIG_CMD_CREATE, <linux/mount.h>
	if _, err := call(unix.SYS_FSCONFIG, uintptr(context), create, 0, 0, 0); err != nil {
		return fmt.Errorf("make file system: %w", err)
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make mount: %w", err)
	}
	return moveMount(mount, dir)
}

func moveMount(fd int, dir string) error {
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// toggleNoexec turns over whether programs may run from a mount that holds
// none: the one on resolv.conf.
func toggleNoexec(*Ground) error {
	const path = "/etc/resolv.conf"
	var now unix.Statfs_t
	if err := unix.Statfs(path, &now); err != nil {
		return err
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOEXEC}
	if now.Flags&unix.ST_NOEXEC != 0 {
		attr = &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_NOEXEC}
	}
	return unix.MountSetattr(unix.AT_FDCWD, path, 0, attr)
}
