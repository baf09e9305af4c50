package escapes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// traceAttempts trace a child of their own and change its calls once the
// filter, or the supervisor, may have looked at them.
func traceAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "filter/trace-address", Does: "change the address of a child's connect at its entry", Try: func(g *Ground) error {
			return g.trace("tracee", 0, swapAddress)
		}},
		{Name: "filter/trace-number", Does: "make a connect of a child's getppid at its entry", Try: func(g *Ground) error {
			return g.trace("tracee", 0, swapNumber)
		}},
		{Name: "filter/trace-exit", Does: "have a child make a connect more when another call returns", Try: func(g *Ground) error {
			return g.trace("tracee", 0, injectAtExit)
		}},
		{Name: "filter/trace-emulated", Does: "emulate a child's calls (PTRACE_SYSEMU), and put a connect in", Try: func(g *Ground) error {
			return g.trace("tracee", 0, emulate)
		}},
		{Name: "filter/trace-set-info", Does: "change a child's call by PTRACE_SET_SYSCALL_INFO", Rare: true, Try: func(g *Ground) error {
			return g.trace("tracee", 0, setInfo)
		}},
		{Name: "filter/trace-own-filter", Does: "have an own filter ask the tracer, who makes another call of it", Try: func(g *Ground) error {
			return g.trace("tracee-filtered", unix.PTRACE_O_TRACESECCOMP, swapAtFilter)
		}},
		{Name: "filter/trace-socket", Does: "make a UDP socket of a child's unix one at its entry", Try: func(g *Ground) error {
			return g.trace("tracee-socket", 0, swapFamily)
		}},
		{Name: "filter/trace-suspend", Does: "trace a child with PTRACE_O_SUSPEND_SECCOMP", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			return g.trace("tracee", unix.PTRACE_O_SUSPEND_SECCOMP, swapAddress)
		}},
		{Name: "filter/race-tracer-memory", Does: "write into a child's memory during its connect", Long: true, Try: raceTracerMemory},
		{Name: "filter/race-interrupt", Does: "stop a child during its connect and change its registers", Long: true, Try: raceInterrupt},
	}
	for i := range attempts {
		attempts[i].Needs = append(attempts[i].Needs, NeedAMD64)
	}
	return attempts
}

// tracer traces one thread of a child that holds what the tracee step says.
type tracer struct {
	tid    int
	fd     uint64 // the child's socket
	at     uint64 // its memory: the allowed address, and at deniedAt the denied one
	m      memory // of the tracer's own
	done   bool
	saved  unix.PtraceRegs
	resume uintptr // the request by which the child goes on
}

// deniedAt is where a tracee has the denied address.
const deniedAt = 64

// What PTRACE_GET_SYSCALL_INFO tells, ptrace(2).
const (
	ptraceSetSyscallInfo = 0x4212
	syscallInfoSize      = 88
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
		go h.end()
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

// connect fills in the arguments of a connect to the denied peer.
func (t *tracer) connect(regs *unix.PtraceRegs) {
	regs.Rdi, regs.Rsi, regs.Rdx = t.fd, t.at+deniedAt, unix.SizeofSockaddrInet4
}

func swapAddress(t *tracer, op byte, regs *unix.PtraceRegs) bool {
	if op != infoEntry || regs.Orig_rax != unix.SYS_CONNECT {
		return false
	}
	t.connect(regs)
	return true
}

func swapNumber(t *tracer, op byte, regs *unix.PtraceRegs) bool {
	if op != infoEntry || regs.Orig_rax != unix.SYS_GETPPID || t.done {
		return false
	}
	t.done = true
	regs.Orig_rax = unix.SYS_CONNECT
	t.connect(regs)
	return true
}

func swapAtFilter(t *tracer, op byte, regs *unix.PtraceRegs) bool {
	if op != infoSeccomp || regs.Orig_rax != unix.SYS_GETPPID || t.done {
		return false
	}
	t.done = true
	regs.Orig_rax = unix.SYS_CONNECT
	t.connect(regs)
	return true
}

func swapFamily(_ *tracer, op byte, regs *unix.PtraceRegs) bool {
	if op != infoEntry || regs.Orig_rax != unix.SYS_SOCKET {
		return false
	}
	regs.Rdi = unix.AF_INET
	return true
}

// injectAtExit has the child run its SYSCALL instruction, of two bytes, once
// more with other registers.
func injectAtExit(t *tracer, op byte, regs *unix.PtraceRegs) bool {
	switch {
	case op != infoExit:
		return false
	case regs.Orig_rax == unix.SYS_GETPPID && !t.done:
		t.done, t.saved = true, *regs
		regs.Rip -= 2
		regs.Rax = unix.SYS_CONNECT
		t.connect(regs)
		return true
	case regs.Orig_rax == unix.SYS_CONNECT && t.saved.Rip != 0:
		*regs, t.saved = t.saved, unix.PtraceRegs{}
		return true
	}
	return false
}

// emulate stops the child before each call, which is not run; it runs the call
// again, or a connect in its place.
func emulate(t *tracer, op byte, regs *unix.PtraceRegs) bool {
	if t.resume == unix.PTRACE_SYSEMU && op == infoEntry {
		t.resume = unix.PTRACE_SYSCALL
		number := regs.Orig_rax
		if number == unix.SYS_GETPPID && !t.done {
			t.done, t.saved = true, *regs
			number = unix.SYS_CONNECT
			t.connect(regs)
		}
		regs.Rip -= 2
		regs.Rax = number
		return true
	}
	if op != infoExit {
		return false
	}
	if !t.done {
		t.resume = unix.PTRACE_SYSEMU
	}
	if t.saved.Rip != 0 && regs.Orig_rax == unix.SYS_CONNECT {
		*regs, t.saved = t.saved, unix.PtraceRegs{}
		regs.Rax = 1
		return true
	}
	return false
}

func setInfo(t *tracer, op byte, regs *unix.PtraceRegs) bool {
	if op != infoEntry || regs.Orig_rax != unix.SYS_CONNECT {
		return false
	}
	t.m.word(infoFirstArgument+8, t.at+deniedAt)
	_, _ = call(unix.SYS_PTRACE, ptraceSetSyscallInfo, uintptr(t.tid), syscallInfoSize, t.m.at(0))
	return false
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
	go h.end()
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
		go h.end()
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

// traceeStep connects where it may, and writes the token.
func traceeStep(g *Ground) error { return tracee(g, nil) }

// filteredTraceeStep has a filter of its own that asks the tracer.
func filteredTraceeStep(g *Ground) error {
	return tracee(g, func() error { return setFilter(0, unix.SYS_GETPPID, retTrace) })
}

func tracee(g *Ground, before func() error) error {
	return onThread(func() error {
		s, err := newTracee(g)
		if err != nil {
			return err
		}
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		s.sayReady()
		_, _ = call(unix.SYS_GETPPID)
		_, err = call(unix.SYS_CONNECT, s.fd, s.m.at(0), unix.SizeofSockaddrInet4)
		_, written := call(unix.SYS_WRITE, s.fd, s.m.put(512, []byte(g.Token)), uintptr(len(g.Token)))
		return errors.Join(err, written)
	})
}

// newTracee lays out what the tracer knows.
func newTracee(g *Ground) (*inet, error) {
	s, err := newInet(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	s.m.put(0, sockaddr(g.Allowed.AddrPort4()))
	s.m.put(deniedAt, sockaddr(g.Denied.AddrPort4()))
	return s, nil
}

// ready says what the tracer must know, and waits until it has begun.
func (s *inet) sayReady() { sayReady(fmt.Sprintln(unix.Gettid(), s.fd, s.m.at(0))) }

// socketTraceeStep makes a unix socket, and sends to an IP address.
func socketTraceeStep(g *Ground) error {
	return onThread(func() error {
		s, err := newTracee(g)
		if err != nil {
			return err
		}
		s.sayReady()
		fd, err := call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		text := s.m.put(512, []byte(g.Token))
		_, err = call(unix.SYS_SENDTO, fd, text, uintptr(len(g.Token)), 0, s.m.at(deniedAt), unix.SizeofSockaddrInet4)
		return err
	})
}

// loopTraceeStep connects where it may, again and again.
func loopTraceeStep(g *Ground) error {
	return onThread(func() error {
		s, err := newTracee(g)
		if err != nil {
			return err
		}
		s.sayReady()
		g.until(func() {
			fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return
			}
			if _, err := call(unix.SYS_CONNECT, fd, s.m.at(0), unix.SizeofSockaddrInet4); err == nil {
				_, _ = call(unix.SYS_WRITE, fd, s.m.put(512, []byte(g.Token)), uintptr(len(g.Token)))
			}
			unix.Close(int(fd))
		})
		return nil
	})
}
