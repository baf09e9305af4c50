package seccomp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// pidfdThread is PIDFD_THREAD of <linux/pidfd.h> (Linux 6.9): the descriptor
// refers to one thread.
const pidfdThread = unix.O_EXCL

// OpenThread returns a close-on-exec pidfd for the thread tid, which the
// caller closes. Before Linux 6.9 it is one of the thread group's leader, whose
// descriptors are those of all threads that were made as such.
//
// The caller asks Listener.Valid afterwards, before it trusts that tid was
// not reused (pidfd_open(2)).
func OpenThread(tid int) (int, error) {
	fd, err := unix.PidfdOpen(tid, pidfdThread)
	if !errors.Is(err, unix.EINVAL) {
		return fd, wrapPidfd(err)
	}
	leader, err := ThreadGroup(tid)
	if err != nil {
		return -1, err
	}
	fd, err = unix.PidfdOpen(leader, 0)
	return fd, wrapPidfd(err)
}

func wrapPidfd(err error) error {
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	return nil
}

// ProbePidfdGetfd says whether this process may take duplicates of another's
// descriptors. It asks for one of the child process whose id it is given.
// Docker's default profile refuses the call itself (EPERM) to a process
// without CAP_SYS_PTRACE.
func ProbePidfdGetfd(pid, fd int) error {
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("pidfd_open (Linux 5.3): %w: %w", ErrNotSupported, err)
	}
	defer unix.Close(p)
	dup, err := unix.PidfdGetfd(p, fd, 0)
	if err != nil {
		return fmt.Errorf("pidfd_getfd (Linux 5.6): %w: %w", ErrNotSupported, err)
	}
	unix.Close(dup)
	return nil
}
