package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Landlock says which of its guards hold the agent (landlock(7)).
type Landlock struct {
	// Net: no TCP connect by the agent itself (ABI 4, Linux 6.7).
	Net bool
	// Scope: no signal and no abstract unix socket to processes outside
	// (ABI 6, Linux 6.12).
	Scope bool
	// Trace: no ptrace, and nothing that is checked like it (process_vm_writev,
	// pidfd_getfd, /proc/PID/mem), towards processes outside (ABI 2, Linux
	// 5.19). Every domain has it; with ABI 2 and 3, where none of the others
	// is to be had, mount(2) is lost with it.
	Trace bool
	// ABI is the version that the kernel gives, 0 for none.
	ABI int
}

const (
	landlockAccessFSRefer           = 1 << 13
	landlockRulePathBeneath         = 1
	landlockAccessNetConnectTCP     = 1 << 1
	landlockScopeAbstractUnixSocket = 1 << 0
	landlockScopeSignal             = 1 << 1
	landlockCreateRulesetVersion    = 1 << 0
	landlockABITrace                = 2
	landlockABINet                  = 4
	landlockABIScope                = 6
)

// ProbeLandlock asks the kernel what it gives. The error wraps
// ErrNotSupported where that is nothing.
func ProbeLandlock() (Landlock, error) {
	abi, err := landlockCreate(nil, landlockCreateRulesetVersion)
	if err != nil {
		return Landlock{}, fmt.Errorf("landlock (Linux 5.13, enabled at boot): %w: %w", ErrNotSupported, err)
	}
	return Landlock{
		ABI: abi, Trace: abi >= landlockABITrace, Net: abi >= landlockABINet, Scope: abi >= landlockABIScope,
	}, nil
}

// Restrict puts the calling thread, and all that it will start, into a new
// domain with the guards that are true in l. BIND_TCP is not handled: that
// would forbid bind to port 0. Nor are files, but where nothing else can be:
// a domain must handle something, and to let files be moved between all
// folders (REFER) is what takes nothing away.
//
// Preconditions: locked thread; no_new_privs is set or CAP_SYS_ADMIN held.
func (l Landlock) Restrict() error {
	attr := landlockRulesetAttr{}
	if l.Net {
		attr.handledAccessNet = landlockAccessNetConnectTCP
	}
	if l.Scope {
		attr.scoped = landlockScopeAbstractUnixSocket | landlockScopeSignal
	}
	if attr == (landlockRulesetAttr{}) {
		if !l.Trace {
			return nil
		}
		attr.handledAccessFS = landlockAccessFSRefer
	}
	fd, err := landlockCreate(&attr, 0)
	if err != nil {
		return fmt.Errorf("create landlock ruleset: %w", err)
	}
	defer unix.Close(fd)
	if attr.handledAccessFS != 0 {
		if err := allowEverywhere(fd, attr.handledAccessFS); err != nil {
			return err
		}
	}
	if err := landlockRestrictSelf(fd); err != nil {
		return fmt.Errorf("enter landlock domain: %w", err)
	}
	return nil
}

// allowEverywhere gives a right below the root directory.
func allowEverywhere(ruleset int, access uint64) error {
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /: %w", err)
	}
	defer unix.Close(root)
	if err := landlockAddPath(ruleset, root, access); err != nil {
		return fmt.Errorf("add landlock rule: %w", err)
	}
	return nil
}
