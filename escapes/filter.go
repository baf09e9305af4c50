package escapes

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// filterAttempts set filters, tracers and listeners of their own against the boundary's.
func filterAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "filter/allow", Does: "install a filter that allows everything, and connect", Try: func(g *Ground) error {
			return g.behindFilter(0, 0, retAllow)
		}},
		{Name: "filter/log", Does: "install a filter that logs connect, and connect", Try: func(g *Ground) error {
			return g.behindFilter(0, unix.SYS_CONNECT, retLog)
		}},
		{Name: "filter/spec-allow", Does: "install a filter with SPEC_ALLOW and LOG, and connect", Try: func(g *Ground) error {
			return g.behindFilter(filterFlagLog|filterFlagSpecAllow, 0, retAllow)
		}},
		{Name: "filter/all-threads", Does: "install a filter on all threads, and connect on another", Try: func(g *Ground) error {
			if err := onThread(func() error { return setFilter(filterFlagTsync, 0, retAllow) }); err != nil {
				return err
			}
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "filter/trap", Does: "install a filter by prctl that traps the boundary's other calls, and connect", Try: func(g *Ground) error {
			return g.onFiltered(func(m memory) error {
				_, err := call(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, m.filterFor(0, unix.SYS_GETPEERNAME, retTrap))
				return err
			})
		}},
		{Name: "filter/many", Does: "install filters until no more fit, and connect", Try: func(g *Ground) error {
			return g.onFiltered(func(m memory) error {
				long := make([]instruction, 4000)
				for i := range long {
					long[i] = instruction{bpfLoad, 0, 0, 0}
				}
				program := m.program(0, append(long, instruction{bpfReturn, 0, 0, retAllow}))
				for {
					if _, err := call(unix.SYS_SECCOMP, setModeFilter, 0, program); err != nil {
						return nil
					}
				}
			})
		}},
		{Name: "filter/undumpable", Does: "become undumpable, and connect", Try: func(g *Ground) error {
			_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "filter/unreadable", Does: "run a program that can't be read, which connects", Needs: []Need{NeedOrdinary}, Try: runUnreadable},
		{Name: "filter/keep-capabilities", Does: "lock the securebits and take back all capabilities, and connect", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			const noRootLocked = 3 // SECBIT_NOROOT and its lock, <linux/securebits.h>
			_ = unix.Prctl(unix.PR_SET_SECUREBITS, noRootLocked, 0, 0, 0)
			_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)
			head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			all := [2]unix.CapUserData{{Effective: ^uint32(0), Permitted: ^uint32(0)}, {Effective: ^uint32(0), Permitted: ^uint32(0)}}
			_ = unix.Capset(&head, &all[0])
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "filter/renamed-memory", Does: "move the arguments' place by PR_SET_MM, and connect", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			m, err := newMemory(4096)
			if err != nil {
				return err
			}
			_ = unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_ARG_START, m.at(0), 0, 0)
			_ = unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_ARG_END, m.at(4000), 0, 0)
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
	}
	return slices.Concat(attempts, listenerAttempts(), traceAttempts())
}

// Of seccomp(2) and <linux/seccomp.h>.
const (
	setModeFilter = 1

	filterFlagTsync        = 1 << 0
	filterFlagLog          = 1 << 1
	filterFlagSpecAllow    = 1 << 2
	filterFlagNewListener  = 1 << 3
	filterFlagTsyncESRCH   = 1 << 4
	filterFlagWaitKillable = 1 << 5

	retTrap      = 0x00030000
	retUserNotif = 0x7fc00000
	retTrace     = 0x7ff00000
	retLog       = 0x7ffc0000
	retAllow     = 0x7fff0000
)

// instruction is one of classic BPF, struct sock_filter.
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

const (
	bpfLoad   = 0x20 // BPF_LD | BPF_W | BPF_ABS
	bpfEqual  = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	bpfReturn = 0x06 // BPF_RET | BPF_K

	programSize = 16 // sizeof(struct sock_fprog)
)

// program writes a struct sock_fprog and its instructions.
func (m memory) program(at int, list []instruction) uintptr {
	for i, one := range list {
		b := m[at+programSize+8*i:]
		binary.NativeEndian.PutUint16(b, one.code)
		b[2], b[3] = one.jt, one.jf
		binary.NativeEndian.PutUint32(b[4:], one.k)
	}
	m.word(at+8, uint64(m.at(at+programSize)))
	return m.word(at, uint64(len(list)))
}

// filterFor writes a filter that answers one system call, and allows the rest.
func (m memory) filterFor(at int, number, answer uint32) uintptr {
	return m.program(at, []instruction{
		{bpfLoad, 0, 0, 0}, // seccomp_data.nr
		{bpfEqual, 0, 1, number},
		{bpfReturn, 0, 0, answer},
		{bpfReturn, 0, 0, retAllow},
	})
}

// onThread runs a function on a thread that ends with it.
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- do()
	}()
	return <-done
}

// setFilter installs a filter on the calling thread.
func setFilter(flags uintptr, number, answer uint32) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, err := call(unix.SYS_SECCOMP, setModeFilter, flags, m.filterFor(0, number, answer)); err != nil {
		return fmt.Errorf("install filter: %w", err)
	}
	return nil
}

// behindFilter connects on a thread that installed a filter.
func (g *Ground) behindFilter(flags uintptr, number, answer uint32) error {
	return onThread(func() error {
		if err := setFilter(flags, number, answer); err != nil {
			return err
		}
		return connectAndWrite(g, g.Denied.AddrPort4())
	})
}

// onFiltered connects on a thread that installed something otherwise.
func (g *Ground) onFiltered(install func(memory) error) error {
	return onThread(func() error {
		m, err := newMemory(64 << 10)
		if err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		if err := install(m); err != nil {
			return err
		}
		return connectAndWrite(g, g.Denied.AddrPort4())
	})
}

// runUnreadable runs a copy of this program that its user may run but not
// read: nobody of that user's may look into such a process.
func runUnreadable(g *Ground) error {
	path := g.mine("unreadable")
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o111)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if closed := to.Close(); err != nil || closed != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	return g.stepBy(path, "connect", nil)
}

// supervisorOf is the process above the one that started the attempt, where
// that is a boundary's launcher: it is known by its argument.
func supervisorOf() (launcher, supervisor int) {
	for pid := os.Getppid(); pid > 1; pid = parentPID(pid) {
		text, _ := os.ReadFile("/proc/" + decimal(pid) + "/cmdline")
		if strings.HasSuffix(strings.TrimRight(string(text), "\x00"), "\x00boundary-launch") {
			return pid, parentPID(pid)
		}
	}
	return 0, 0
}
