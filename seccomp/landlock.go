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
	// ABI is the version that the kernel gives, 0 for none.
	ABI int
}

const (
	landlockAccessNetConnectTCP     = 1 << 1
	landlockScopeAbstractUnixSocket = 1 << 0
	landlockScopeSignal             = 1 << 1
	landlockCreateRulesetVersion    = 1 << 0
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
	return Landlock{ABI: abi, Net: abi >= landlockABINet, Scope: abi >= landlockABIScope}, nil
}

// Restrict puts the calling thread, and all that it will start, into a new
// domain with the guards that are true in l. Neither the files nor BIND_TCP
// are handled: handling BIND_TCP would forbid bind to port 0.
//
// A domain also stops ptrace, and what is checked like it (process_vm_writev,
// pidfd_getfd, /proc/PID/mem), towards every process outside it, with any ABI.
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
		return nil
	}
	fd, err := landlockCreate(&attr, 0)
	if err != nil {
		return fmt.Errorf("create landlock ruleset: %w", err)
	}
	defer unix.Close(fd)
	if err := landlockRestrictSelf(fd); err != nil {
		return fmt.Errorf("enter landlock domain: %w", err)
	}
	return nil
}
