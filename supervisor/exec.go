package supervisor

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"boundary/tlsproxy"
)

// Programs clear the environment of what they start: `env -i`, tools that
// build a child's environment by hand. What runs then would not find the
// session's certificates. So every exec is trapped, and where the environment
// that it hands on lacks one of the trust variables, the supervisor traces the
// caller for the length of that exec alone and completes the new program's
// environment before it runs its first instruction. Chromium, which reads no
// variable, gets an argument in the same way.
//
// Nothing of the boundary rests on this: execve(2) is always continued, and a
// program that keeps away from it merely trusts fewer servers.

// execve is execve(2): path, argv, envp.
func (c *call) execve() reply { return c.exec(c.arg(0), c.arg(2)) }

// execveat is execveat(2): directory, path, argv, envp, flags.
func (c *call) execveat() reply { return c.exec(c.arg(1), c.arg(3)) }

// exec continues the call: the kernel reads path and arguments when it runs
// it, and none of them is judged here.
func (c *call) exec(path, envp uint64) reply {
	if !c.s.trust.lacking(c.tid(), envp) && !startsBrowser(c.tid(), path) {
		return proceed
	}
	if err := c.mayBlock(); err != nil { // for the caller, where another of its threads is in an exec
		return proceed // without what trusts the session
	}
	c.answered = make(chan struct{})
	c.s.trust.follow(c.tid(), c.valid, c.answered)
	return proceed
}

// startsBrowser says whether a path in the memory of a thread names Chromium.
func startsBrowser(tid int, addr uint64) bool {
	path, err := readString(tid, addr, unix.PathMax)
	return err == nil && tlsproxy.IsBrowser(filepath.Base(path))
}

// maxEnvNames bounds the variables that are looked at.
const maxEnvNames = 4096

// envPrefixes reads the first bytes of each string of an environment in the
// memory of a thread. They may change before the kernel reads them: they only
// say whether it is worth a closer look at what became of them.
func envPrefixes(tid int, envp uint64) ([][]byte, error) {
	pointers, err := readPointers(tid, envp)
	if err != nil {
		return nil, err
	}
	return readPrefixes(tid, pointers)
}

const (
	pageSize    = 4096 // or a multiple of it
	pointerSize = 8    // filters kill what is not of 64 bits
	prefixSize  = 64   // longer than every name that is looked for
)

// toPageEnd is how much can be read at addr without touching another page,
// which may not be mapped.
func toPageEnd(addr uint64) uint64 { return pageSize - addr%pageSize }

// errTooMany says that there is more than anybody waits for.
const errTooMany = unix.E2BIG
