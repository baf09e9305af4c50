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
	const keep = -1
	return setUser(keep, uid, keep, gid, groups)
}

// BecomeUser is AssumeUser with the real user and group too, for which the
// kernel asks where a process reads another's memory (ptrace(2), "Ptrace
// access mode checking"). The saved ones stay.
//
// Preconditions: as for AssumeUser.
func BecomeUser(uid, gid int, groups []int) error { return setUser(uid, uid, gid, gid, groups) }

// setUser sets real and effective numbers; -1 leaves one as it is.
func setUser(realUID, uid, realGID, gid int, groups []int) error {
	list := make([]uint32, len(groups)+1) // never empty, so that it has an address
	for i, g := range groups {
		list[i] = uint32(g)
	}
	// The kernel reads the list during the call only.
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0)
	if errno != 0 {
		return fmt.Errorf("setgroups: %w", errno)
	}
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(realGID), uintptr(gid), keep); errno != 0 {
		return fmt.Errorf("setresgid: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(realUID), uintptr(uid), keep); errno != 0 {
		return fmt.Errorf("setresuid: %w", errno)
	}
	return nil
}
