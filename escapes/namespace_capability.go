package escapes

import (
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// capabilityAttempts have root get back what it was deprived of,
// capabilities(7).
func capabilityAttempts() []Attempt {
	list := []Attempt{
		{Name: "capability/exec", Does: "get root's capabilities by running a program", Try: func(g *Ground) error {
			return g.step("", stepRaw, nil)
		}},
		{Name: "capability/capset", Does: "put capabilities down and take them up again", Try: func(g *Ground) error {
			return withRaw(g, func(hdr *unix.CapUserHeader, data *[2]unix.CapUserData) error {
				effective := data[0].Effective
				data[0].Effective = 0
				if err := unix.Capset(hdr, &data[0]); err != nil {
					return err
				}
				data[0].Effective = effective | 1<<unix.CAP_NET_RAW
				data[0].Permitted |= 1 << unix.CAP_NET_RAW
				return unix.Capset(hdr, &data[0])
			})
		}},
		{Name: "capability/ambient", Does: "hand capabilities on as ambient ones, to a root that is nobody", Try: func(g *Ground) error {
			runtime.LockOSThread() // never unlocked: the bits are this thread's
			const noRoot = 1 << 0  // SECBIT_NOROOT: user 0 gets nothing for being it
			if err := unix.Prctl(unix.PR_SET_SECUREBITS, noRoot, 0, 0, 0); err != nil {
				return fmt.Errorf("set secure bits: %w", err)
			}
			return g.step("", stepRaw, &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_NET_RAW}})
		}},
		{Name: "capability/keep", Does: "keep capabilities when becoming another user", Try: func(g *Ground) error {
			return withRaw(g, func(hdr *unix.CapUserHeader, data *[2]unix.CapUserData) error {
				if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
					return err
				}
				const nobody = 65534
				// Of this thread alone.
				if _, err := call(unix.SYS_SETRESUID, nobody, nobody, nobody); err != nil {
					return err
				}
				return unix.Capset(hdr, &data[0])
			})
		}},
	}
	for i := range list {
		list[i].Needs = []Need{NeedRoot, NeedOuter}
	}
	return list
}

// withRaw changes the calling thread's capabilities, and sends raw with them.
func withRaw(g *Ground, change func(*unix.CapUserHeader, *[2]unix.CapUserData) error) error {
	runtime.LockOSThread() // never unlocked
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return err
	}
	if err := change(&hdr, &data); err != nil {
		return fmt.Errorf("change capabilities: %w", err)
	}
	return sendRaw(g)
}
