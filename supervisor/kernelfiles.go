package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A process of user 0 may write to /proc/sys and to /sys whatever its
// capabilities are: by the file's owner alone it sets the program that the
// kernel starts for a core dump (core_pattern), outside of every boundary. So
// for root these are shown read-only, in a mount namespace of the session's.
//
// A /proc of its own with hidepid=ptraceable would also close to root the files
// that any process of a user may write of his others (oom_score_adj). It would
// hide from root, who has no CAP_SYS_PTRACE here, what it runs as other users:
// ps, pgrep and start-stop-daemon would not find a database that it started.

// kernelTypes are the file systems through which the machine's state is set.
var kernelTypes = []string{
	"sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "pstore", "efivarfs",
	"binfmt_misc", "selinuxfs", "resctrl",
}

// procEntries are those of a proc file system that do so.
var procEntries = []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "mtrr"}

// probedFile is one that is writable where nothing is done.
const probedFile = "/proc/sys/kernel/core_pattern"

// kernelFilesOpen says whether the calling user could write to them.
func kernelFilesOpen() bool {
	return unix.Faccessat(unix.AT_FDCWD, probedFile, unix.W_OK, unix.AT_EACCESS) == nil
}

// closeKernelFiles moves the calling thread, and what it will start, into a
// mount namespace where they are read-only. It takes CAP_SYS_ADMIN; a
// container of Docker's has none, but shows them read-only already.
//
// Preconditions: locked thread, which is used for nothing else afterwards.
func closeKernelFiles() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := fromTop(closeMounts); err != nil {
		return err
	}
	if kernelFilesOpen() {
		return fmt.Errorf("%s is still writable", probedFile)
	}
	return nil
}

// fromTop does something in the calling thread's mount namespace with its very
// root as root. Where boundary itself runs in a chroot, an agent that is root
// can leave that (chroot(2), "does not change the current working directory"),
// and must find nothing more above. setns(2) leads there; it is done by another
// thread, so that the caller's root stays.
func fromTop(do func() error) error {
	mounts, err := os.Open("/proc/thread-self/ns/mnt")
	if err != nil {
		return fmt.Errorf("open mount namespace: %w", err)
	}
	defer mounts.Close()
	return onThread(func() error {
		// A thread that shares its root with others may not change namespace.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("part root: %w", err)
		}
		if err := unix.Setns(int(mounts.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter mount namespace: %w", err)
		}
		return do()
	})
}

// closeMounts makes them read-only wherever they are mounted.
func closeMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("part mounts: %w", err)
	}
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for line := range strings.Lines(string(table)) {
		at, kind, ok := parseMount(line)
		switch {
		case !ok:
		case kind == "proc":
			err = errors.Join(err, closeProc(at))
		case slices.Contains(kernelTypes, kind):
			err = errors.Join(err, makeReadOnly(at))
		}
	}
	return err
}

// closeProc covers the entries of one proc file system.
func closeProc(at string) error {
	for _, name := range procEntries {
		path := filepath.Join(at, name)
		switch err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, ""); err {
		case nil:
		case unix.ENOENT:
			continue
		default:
			return fmt.Errorf("bind %s: %w", path, err)
		}
		if err := makeReadOnly(path); err != nil {
			return err
		}
	}
	return nil
}

// makeReadOnly is mount_setattr(2), and before Linux 5.12 a remount. A mount
// that another hides can't be reached, and need not be.
func makeReadOnly(path string) error {
	err := unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err == unix.ENOSYS {
		const usual = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
		err = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|usual, "")
	}
	if err != nil && err != unix.ENOENT && err != unix.EINVAL {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

// parseMount reads where a mount is and of which type it is from a line of
// mountinfo (proc_pid_mountinfo(5)).
func parseMount(line string) (at, kind string, ok bool) {
	const mountPoint = 4
	before, after, ok := strings.Cut(line, " - ")
	fields, types := strings.Fields(before), strings.Fields(after)
	if !ok || len(fields) <= mountPoint || len(types) == 0 {
		return "", "", false
	}
	return unescapeMount(fields[mountPoint]), types[0], true
}

// unescapeMount undoes the octal spelling of blanks and backslashes.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace
