package seccomp

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	seccompGetActionAvail = 2          // SECCOMP_GET_ACTION_AVAIL
	retUserNotif          = 0x7fc00000 // SECCOMP_RET_USER_NOTIF
	sockFilterSize        = 8          // sizeof(struct sock_filter)
)

// sockFprog is struct sock_fprog.
type sockFprog struct {
	length uint16
	filter *byte
}

// setModeFilter calls seccomp(SECCOMP_SET_MODE_FILTER). libseccomp's own load
// would filter all threads and knows no WAIT_KILLABLE_RECV.
func setModeFilter(p Program, flags uintptr) (int, error) {
	if len(p) == 0 || len(p)%sockFilterSize != 0 {
		return -1, unix.EINVAL
	}
	prog := sockFprog{length: uint16(len(p) / sockFilterSize), filter: &p[0]}
	// RawSyscall: the goroutine is locked to this thread, and the scheduler
	// shall not run between the call and what follows.
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, seccompSetModeFilter, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p) // prog.filter points into it
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func actionAvailable(action uint32) error {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, seccompGetActionAvail, 0, uintptr(unsafe.Pointer(&action)))
	if errno != 0 {
		return errno
	}
	return nil
}

// flagsKnown asks whether seccomp(2) knows a combination of flags: with no
// program it answers EFAULT once it has looked at them, and EINVAL if not.
func flagsKnown(flags uintptr) error {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, seccompSetModeFilter, flags, 0)
	if errno != unix.EFAULT {
		return errno
	}
	return nil
}
