package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Addr is an address in the memory of a target.
type Addr uint64

// ReadMemory copies len(buf) bytes at addr of thread tid into buf, or fails
// with EFAULT where a part is not mapped. The copy is taken once; afterwards
// the caller must ask Listener.Valid before it acts on it, because the thread
// id may have been reused (process_vm_readv(2)).
func ReadMemory(tid int, addr Addr, buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(buf)}}
	n, err := unix.ProcessVMReadv(tid, local, remote, 0)
	return checkTransfer("read target memory", n, len(buf), err)
}

// WriteMemory copies buf to addr of thread tid (process_vm_writev(2)).
//
// Preconditions: the notification of that thread is valid, so that the memory
// is that of the caller who waits for the answer.
func WriteMemory(tid int, addr Addr, buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(buf)}}
	n, err := unix.ProcessVMWritev(tid, local, remote, 0)
	return checkTransfer("write target memory", n, len(buf), err)
}

// Range is a part of a target's memory (struct iovec).
type Range struct {
	Base Addr
	Len  uint64
}

// ReadRanges fills buf from the ranges, in order, and returns how much they
// held. It reads no more than len(buf).
func ReadRanges(tid int, ranges []Range, buf []byte) (int, error) {
	return transfer(tid, ranges, buf, unix.ProcessVMReadv, "read target memory")
}

// WriteRanges spreads buf over the ranges, in order, and returns how much
// found room. Preconditions as for WriteMemory.
func WriteRanges(tid int, ranges []Range, buf []byte) (int, error) {
	return transfer(tid, ranges, buf, unix.ProcessVMWritev, "write target memory")
}

type vmCall func(pid int, local []unix.Iovec, remote []unix.RemoteIovec, flags uint) (int, error)

func transfer(tid int, ranges []Range, buf []byte, call vmCall, what string) (int, error) {
	remote := make([]unix.RemoteIovec, 0, len(ranges))
	left := uint64(len(buf))
	for _, r := range ranges {
		if left == 0 {
			break
		}
		n := min(r.Len, left)
		if n == 0 {
			continue
		}
		remote = append(remote, unix.RemoteIovec{Base: uintptr(r.Base), Len: int(n)})
		left -= n
	}
	want := len(buf) - int(left)
	if want == 0 {
		return 0, nil
	}
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(want)}}
	n, err := call(tid, local, remote, 0)
	return want, checkTransfer(what, n, want, err)
}

// checkTransfer maps a short transfer to EFAULT, as a system call that meets
// unmapped memory half-way would.
func checkTransfer(what string, n, want int, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n != want {
		return fmt.Errorf("%s: %w", what, unix.EFAULT)
	}
	return nil
}
