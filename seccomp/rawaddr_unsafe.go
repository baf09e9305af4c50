package seccomp

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Connect connects fd to an address given as bytes, for families and forms
// that x/sys has no type for (AF_UNSPEC, AF_NETLINK). The kernel reads addr
// during the call only.
func Connect(fd int, addr []byte) error {
	return withAddress(unix.SYS_CONNECT, fd, addr)
}

// Bind binds fd to an address given as bytes, as Connect.
func Bind(fd int, addr []byte) error {
	return withAddress(unix.SYS_BIND, fd, addr)
}

func withAddress(call uintptr, fd int, addr []byte) error {
	_, _, errno := unix.Syscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(addr))), uintptr(len(addr)))
	if errno != 0 {
		return errno
	}
	return nil
}

// SendTo sends data with the flags to an address given as bytes, or without
// one where addr is empty, and returns how much was sent.
func SendTo(fd int, data []byte, flags int, addr []byte) (int, error) {
	var to unsafe.Pointer
	if len(addr) > 0 {
		to = unsafe.Pointer(&addr[0])
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))),
		uintptr(len(data)), uintptr(flags), uintptr(to), uintptr(len(addr)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// SendMessage is sendmsg(2) with one buffer, and control messages and an address
// given as bytes; either may be empty. It returns how much was sent.
func SendMessage(fd int, data, control []byte, flags int, addr []byte) (int, error) {
	vector := unix.Iovec{Base: unsafe.SliceData(data)}
	vector.SetLen(len(data))
	msg := unix.Msghdr{Iov: &vector, Iovlen: 1}
	if len(addr) > 0 {
		msg.Name, msg.Namelen = &addr[0], uint32(len(addr))
	}
	if len(control) > 0 {
		msg.Control = &control[0]
		msg.SetControllen(len(control))
	}
	n, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), uintptr(flags))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// interfaceRequestSize is sizeof(struct ifreq) on 64-bit machines.
const interfaceRequestSize = 40

// InterfaceRequest runs one of the SIOCGIF… ioctls of netdevice(7) on fd,
// with a copy of a target's struct ifreq.
func InterfaceRequest(fd int, request uint32, ifreq []byte) error {
	if len(ifreq) != interfaceRequestSize {
		return fmt.Errorf("interface request of %d bytes: %w", len(ifreq), unix.EINVAL)
	}
	return ioctl(fd, uintptr(request), unsafe.Pointer(&ifreq[0]))
}
