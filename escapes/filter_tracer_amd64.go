package escapes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// tracer traces one thread of a child that holds what the tracee step says.
type tracer struct {
	tid    int
	fd     uint64 // the child's socket
	at     uint64 // its memory: the allowed address, and at deniedAt the denied one
	m      memory // of the tracer's own
	done   bool
	skip   bool // the next stop is the end of a call that was not run
	saved  unix.PtraceRegs
	resume uintptr // the request by which the child goes on
}

// What PTRACE_GET_SYSCALL_INFO tells, ptrace(2).
const (
	ptraceSetSyscallInfo = 0x4212
	syscallInfoSize      = 88
	infoNone             = 0
	infoEntry, infoExit  = 1, 2
	infoSeccomp          = 3
	infoFirstArgument    = 32
)

// stop is what a tracer does at a stop of a system call.
type stop func(t *tracer, op byte, regs *unix.PtraceRegs) (changed bool)

// trace starts a tracee and has it go on to its end.
func (g *Ground) trace(step string, options int, at stop) error {
	h, err := g.startHelper(step, nil)
	if err != nil {
		return err
	}
	defer h.end()
	return onThread(func() error {
		t, err := newTracer(h.line)
		if err != nil {
			return err
		}
		if err := t.seize(options); err != nil {
			return err
		}
		h.release()
		return t.follow(at)
	})
}

func newTracer(line string) (*tracer, error) {
	m, err := newMemory(4096)
	if err != nil {
		return nil, err
	}
	t := &tracer{m: m, resume: unix.PTRACE_SYSCALL}
	if _, err := fmt.Sscan(line, &t.tid, &t.fd, &t.at); err != nil {
		return nil, fmt.Errorf("read tracee: %w", err)
	}
	return t, nil
}

// seize stops the child, so that it can be followed.
func (t *tracer) seize(options int) error {
	if _, err := call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(t.tid), 0, uintptr(unix.PTRACE_O_TRACESYSGOOD|options)); err != nil {
		return fmt.Errorf("trace child: %w", err)
	}
	if err := unix.PtraceInterrupt(t.tid); err != nil {
		return fmt.Errorf("stop child: %w", err)
	}
	return nil
}

// follow handles each stop, until the child ends.
func (t *tracer) follow(at stop) error {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(t.tid, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for child: %w", err)
		}
		if !status.Stopped() {
			return nil
		}
		signal := uintptr(0)
		const sysgood = 0x80
		switch event := int(status) >> 16; {
		case status.StopSignal() == unix.SIGTRAP|sysgood, event == unix.PTRACE_EVENT_SECCOMP, event == unix.PTRACE_EVENT_STOP:
			if err := t.handle(at); err != nil {
				return err
			}
		case event == 0:
			signal = uintptr(status.StopSignal())
		}
		if _, err := call(unix.SYS_PTRACE, t.resume, uintptr(t.tid), 0, signal); err != nil {
			return fmt.Errorf("resume child: %w", err)
		}
	}
}

// handle shows a stop to the function.
func (t *tracer) handle(at stop) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(t.tid, &regs); err != nil {
		return fmt.Errorf("read registers: %w", err)
	}
	if _, err := call(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(t.tid), syscallInfoSize, t.m.at(0)); err != nil {
		return fmt.Errorf("read call: %w", err)
	}
	if !at(t, t.m[0], &regs) {
		return nil
	}
	return unix.PtraceSetRegs(t.tid, &regs)
}

// raceTracerMemory has a child connect again and again, and writes now one
// address, now the other into its memory.
func raceTracerMemory(g *Ground) error {
	h, err := g.startHelper("tracee-loop", nil)
	if err != nil {
		return err
	}
	defer h.end()
	t, err := newTracer(h.line)
	if err != nil {
		return err
	}
	h.release()
	names := [][]byte{sockaddr(g.Allowed.AddrPort4()), sockaddr(g.Denied.AddrPort4())}
	there := []unix.RemoteIovec{{Base: uintptr(t.at), Len: len(names[0])}}
	i := 0
	g.until(func() {
		here := []unix.Iovec{{Base: &names[i%2][0], Len: uint64(len(names[0]))}}
		i++
		_, err = unix.ProcessVMWritev(h.cmd.Process.Pid, here, there, 0)
	})
	return err
}

// raceInterrupt stops a child that connects again and again at any time.
func raceInterrupt(g *Ground) error {
	h, err := g.startHelper("tracee-loop", nil)
	if err != nil {
		return err
	}
	defer h.end()
	return onThread(func() error {
		t, err := newTracer(h.line)
		if err != nil {
			return err
		}
		if err := t.seize(0); err != nil {
			return err
		}
		h.release()
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					// Only the tracer's thread may ask by ptrace; a signal stops too.
					_ = unix.Tgkill(h.cmd.Process.Pid, t.tid, unix.SIGURG)
					turn(time.Duration(rand.IntN(100)) * time.Microsecond)
				}
			}
		}()
		return t.follow(func(t *tracer, op byte, regs *unix.PtraceRegs) bool {
			if regs.Orig_rax != unix.SYS_CONNECT || op == infoExit && rand.IntN(2) == 0 {
				return false
			}
			regs.Rsi = t.at + deniedAt*uint64(rand.IntN(2))
			return true
		})
	})
}
