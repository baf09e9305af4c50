package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// InstallNotify installs the program on the calling thread and returns the
// descriptor of its listener.
//
// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (5.19) is asked for, so that a
// signal such as Go's preemption does not make the target run its call twice;
// without it the second result is false, and the supervisor must recognise a
// repeated call.
//
// EBUSY says that a process above already holds a listener: another
// supervisor, or WSL2's init.
//
// Preconditions: the calling goroutine is locked to its thread, and
// no_new_privs is set or the caller holds CAP_SYS_ADMIN.
func InstallNotify(p Program) (fd int, waitKillable bool, err error) {
	fd, err = setModeFilter(p, seccompNewListener|seccompWaitKillable)
	if err == unix.EINVAL {
		fd, err = setModeFilter(p, seccompNewListener)
		return fd, false, wrapInstall(err)
	}
	return fd, true, wrapInstall(err)
}

// InstallRefuse installs a program without a listener. Preconditions as for
// InstallNotify.
func InstallRefuse(p Program) error {
	_, err := setModeFilter(p, 0)
	return wrapInstall(err)
}

func wrapInstall(err error) error {
	if err != nil {
		return fmt.Errorf("install seccomp filter: %w", err)
	}
	return nil
}

// NotifyAvailable probes whether the kernel knows SECCOMP_RET_USER_NOTIF
// (5.0). The error wraps ErrNotSupported.
func NotifyAvailable() error {
	if err := actionAvailable(retUserNotif); err != nil {
		return fmt.Errorf("seccomp user notification (Linux 5.0): %w: %w", ErrNotSupported, err)
	}
	return nil
}

// WaitKillableAvailable probes SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (5.19).
// The error wraps ErrNotSupported.
func WaitKillableAvailable() error {
	if err := flagsKnown(seccompNewListener | seccompWaitKillable); err != nil {
		return fmt.Errorf("WAIT_KILLABLE_RECV (Linux 5.19): %w: %w", ErrNotSupported, err)
	}
	return nil
}
