package seccomp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// landlockRulesetAttr is struct landlock_ruleset_attr up to ABI 6 (24 bytes).
type landlockRulesetAttr struct {
	handledAccessFS  uint64
	handledAccessNet uint64
	scoped           uint64
}

var _ [24]byte = [unsafe.Sizeof(landlockRulesetAttr{})]byte{}

// size is how much of the struct the kernel must know: an older kernel takes
// a longer one only if the rest is zero, so the shortest that holds all is
// passed.
func (a *landlockRulesetAttr) size() uintptr {
	switch {
	case a == nil:
		return 0
	case a.scoped != 0:
		return unsafe.Sizeof(*a)
	case a.handledAccessNet != 0:
		return unsafe.Offsetof(a.scoped)
	default:
		return unsafe.Offsetof(a.handledAccessNet)
	}
}

func landlockCreate(a *landlockRulesetAttr, flags uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(a)), a.size(), flags)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// landlockAddPath adds a rule for what lies beneath an open directory.
func landlockAddPath(ruleset, parent int, access uint64) error {
	// struct landlock_path_beneath_attr is packed: 12 bytes.
	var attr [12]byte
	binary.NativeEndian.PutUint64(attr[:], access)
	binary.NativeEndian.PutUint32(attr[8:], uint32(parent))
	_, _, errno := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), landlockRulePathBeneath,
		uintptr(unsafe.Pointer(&attr[0])), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func landlockRestrictSelf(fd int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(fd), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
