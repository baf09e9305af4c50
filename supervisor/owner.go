package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// Root in a container has no CAP_SYS_PTRACE, and without it the kernel lets a
// process look only into those of its own user, root into no other's (ptrace(2),
// "Ptrace access mode checking"). So what root is refused is looked at once
// more as the user whose process it is.
//
// A process that changed its user and has executed nothing since is not
// dumpable (proc_pid(5)). It can't be looked into either way, and gets no
// network: see keepAptRoot.

// asOwner looks into a process, and where that is refused to root, looks again
// as the process's user. The look must be one that can be done twice.
func asOwner(tid int, look func() error) error {
	err := look()
	refused := errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
	if !refused || os.Geteuid() != 0 {
		return err
	}
	owner, failed := idsOf(tid)
	if failed != nil || owner.uid == 0 && owner.gid == 0 {
		return err
	}
	return onThread(func() error {
		if failed := seccomp.BecomeUser(owner.uid, owner.gid, owner.groups); failed != nil {
			return err
		}
		return look()
	})
}

// readLink reads a link of a process's in /proc.
func readLink(tid int, name string) (link string, err error) {
	err = asOwner(tid, func() (err error) {
		link, err = os.Readlink("/proc/" + strconv.Itoa(tid) + name)
		return err
	})
	return link, err
}

// duplicateAsOwner is pidfd_getfd(2).
func duplicateAsOwner(tid, pidfd, fd int) (dup int, err error) {
	err = asOwner(tid, func() (err error) {
		dup, err = unix.PidfdGetfd(pidfd, fd, 0)
		return err
	})
	return dup, err
}

// keepAptRoot has apt fetch as root: its methods give up being root and execute
// nothing afterwards, so that without CAP_SYS_PTRACE they would get no network.
// The setting goes to the end of the session's own file for apt, which is
// one of the variables that were set.
func keepAptRoot(set []string) error {
	for _, variable := range set {
		path, is := strings.CutPrefix(variable, "APT_CONFIG=")
		if !is {
			continue
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return fmt.Errorf("write file for apt: %w", err)
		}
		_, err = file.WriteString("APT::Sandbox::User \"root\";\n")
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("write file for apt: %w", err)
		}
	}
	return nil
}
