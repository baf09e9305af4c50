package seccomp

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AssumeUser gives the calling thread, and it alone, an effective user, group
// and groups. Go's own setters would change every thread.
//
// Preconditions: locked thread, which is not used for anything else
// afterwards.
func AssumeUser(uid, gid int, groups []int) error {
	list := make([]uint32, len(groups)+1) // never empty, so that it has an address
	for i, g := range groups {
		list[i] = uint32(g)
	}
	// The kernel reads the list during the call only.
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0)
	if errno != 0 {
		return fmt.Errorf("setgroups: %w", errno)
	}
	const keep = ^uintptr(0) // -1: unchanged
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, keep, uintptr(gid), keep); errno != 0 {
		return fmt.Errorf("setresgid: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return fmt.Errorf("setresuid: %w", errno)
	}
	return nil
}
