package escapes

import "golang.org/x/sys/unix"

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
		t.resume, t.skip = unix.PTRACE_SYSCALL, true
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
	atCall := op != infoNone && op != infoExit
	if atCall || t.skip {
		t.skip = false
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
