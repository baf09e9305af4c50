package seccomp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// From <linux/seccomp.h>. The ioctl numbers hold the sizes of the structs
// below: _IOWR('!', 0, struct seccomp_notif) and so on.
const (
	seccompIoctlNotifRecv     = 0xc0502100
	seccompIoctlNotifSend     = 0xc0182101
	seccompIoctlNotifIDValid  = 0x40082102
	seccompIoctlNotifAddFD    = 0x40182103
	seccompIoctlNotifSetFlags = 0x40082104

	seccompUserNotifFlagContinue = 1
	seccompUserNotifFdSyncWakeUp = 1
)

// notifResp is struct seccomp_notif_resp (24 bytes).
type notifResp struct {
	id    NotifID
	val   int64
	err   int32
	flags uint32
}

// notifAddFD is struct seccomp_notif_addfd (24 bytes).
type notifAddFD struct {
	id         NotifID
	flags      uint32
	srcFD      uint32
	newFD      uint32
	newFDFlags uint32
}

// The kernel copies structs of exactly these sizes in and out; a layout that
// differs does not compile.
var (
	_ [80]byte = [unsafe.Sizeof(Notif{})]byte{}
	_ [24]byte = [unsafe.Sizeof(notifResp{})]byte{}
	_ [24]byte = [unsafe.Sizeof(notifAddFD{})]byte{}
)

// ioctl passes p, which the kernel reads or writes only during the call; the
// conversion in the argument list keeps it alive for that long (unsafe.Pointer
// rule 4).
func ioctl(fd int, req uintptr, p unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(p))
	if errno != 0 {
		return errno
	}
	return nil
}

// ioctlRecv may wait for long: the runtime must know (Syscall, not RawSyscall).
func ioctlRecv(fd int, n *Notif) error {
	return ioctl(fd, seccompIoctlNotifRecv, unsafe.Pointer(n))
}

func ioctlSend(fd int, r *notifResp) error {
	return ioctl(fd, seccompIoctlNotifSend, unsafe.Pointer(r))
}

func ioctlIDValid(fd int, id NotifID) error {
	return ioctl(fd, seccompIoctlNotifIDValid, unsafe.Pointer(&id))
}

// ioctlAddFD returns the new descriptor's number in the target.
func ioctlAddFD(fd int, a *notifAddFD) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), seccompIoctlNotifAddFD, uintptr(unsafe.Pointer(a)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// ioctlSetFlags takes its flags by value, not by address (Linux 6.6).
func ioctlSetFlags(fd int, flags uintptr) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), seccompIoctlNotifSetFlags, flags)
	if errno != 0 {
		return errno
	}
	return nil
}
