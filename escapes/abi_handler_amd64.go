package escapes

import "golang.org/x/sys/unix"

// Of <asm/signal.h> and <linux/prctl.h>.
const (
	saSiginfo         = 4
	saRestorer        = 0x04000000
	setUserDispatch   = 59 // PR_SET_SYSCALL_USER_DISPATCH
	userDispatchOn    = 1
	userDispatchBlock = 1
)

// handle has a signal handled at an address, and lets signals come.
func (r *routine) handle(signal unix.Signal, at uintptr) {
	restorer := r.aside(r.sigreturn)
	action := r.lay(words(at, saSiginfo|saRestorer, restorer, 0)) // struct sigaction of the kernel
	r.call(unix.SYS_RT_SIGACTION, uintptr(signal), action, 0, 8)
	r.mask(0)
}

func (r *routine) sigreturn() { r.call(unix.SYS_RT_SIGRETURN) }

// handlerAttempts connect where the kernel has moved the thread.
func handlerAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/trapped-again", Does: "have an own filter trap connect, and make it again in the handler", Try: writing(connectTrapped)},
		{Name: "abi/user-dispatch", Does: "have calls dispatched to a handler that makes them again", Try: writing(connectDispatched)},
		{Name: "abi/sigreturn", Does: "connect by a signal frame that returns to a syscall instruction", Try: writing(connectByFrame)},
		{Name: "abi/single-step", Does: "connect while a trap follows each instruction", Try: writing(func(r *routine, g *Ground) {
			r.handle(unix.SIGTRAP, r.aside(func() { r.emit(0xc3) })) // ret, to the restorer
			r.emit(0x9c)                                             // pushfq
			r.emit(0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00)         // or dword [rsp], the trap flag
			r.emit(0x9d)                                             // popfq
			r.dial(g)
		})},
		{Name: "abi/vsyscall", Does: "have an own filter trap a call of the vsyscall page, and connect in the handler", Rare: true, Try: writing(connectFromVsyscall)},
		{Name: "abi/restartable", Does: "connect where a restartable sequence is broken off", Try: executing(elf64, connectAborted)},
		{Name: "abi/strict", Does: "connect, and write in seccomp's strict mode", Try: writing(func(r *routine, g *Ground) {
			r.socket(unix.SOCK_STREAM)
			r.connect(g)
			r.call(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_STRICT)
			at, size := r.token(g)
			r.call(unix.SYS_WRITE, 0, at, size)
		})},
	}
}

// filter installs a filter of the routine's own.
func (r *routine) filter(list []instruction) {
	at := int(r.lay(make([]byte, programSize+8*len(list))) - r.m.at(0))
	r.call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	r.call(unix.SYS_SECCOMP, setModeFilter, 0, r.m.program(at, list))
}

// connectTrapped lets connect pass from one instruction only, that of the
// handler.
func connectTrapped(r *routine, g *Ground) {
	var again uintptr
	handler := r.aside(func() {
		at, size := r.name(g)
		r.call(unix.SYS_CONNECT, 0, at, size)
		again = r.here()
		r.keepError()
		r.write(g)
		r.exit()
	})
	r.handle(unix.SIGSYS, handler)
	const pointer = 8 // seccomp_data.instruction_pointer, its lower half
	r.filter([]instruction{
		{bpfLoad, 0, 0, pointer},
		{bpfEqual, 2, 0, uint32(again)},
		{bpfLoad, 0, 0, 0},
		{bpfEqual, 1, 0, unix.SYS_CONNECT},
		{bpfReturn, 0, 0, retAllow},
		{bpfReturn, 0, 0, retTrap},
	})
	r.socket(unix.SOCK_STREAM)
	r.connect(g)
}

// connectDispatched makes a connect where it may not, and has the handler take
// it from the frame and make it where it may.
func connectDispatched(r *routine, g *Ground) {
	r.socket(unix.SOCK_STREAM)
	var end uintptr
	handler := r.aside(func() {
		// rdi, rsi and rdx of the struct ucontext in rdx.
		r.emit(0x48, 0x8b, 0x7a, 0x68)
		r.emit(0x48, 0x8b, 0x72, 0x70)
		r.emit(0x48, 0x8b, 0x92, 0x88, 0, 0, 0)
		r.load(ax, unix.SYS_CONNECT)
		r.emit(0x0f, 0x05)
		r.keepError()
		r.write(g)
		r.exit()
		end = r.here() + 1 // the kernel looks where the call returns to
	})
	r.handle(unix.SIGSYS, handler)
	r.call(unix.SYS_PRCTL, setUserDispatch, userDispatchOn, handler, end-handler, r.lay([]byte{userDispatchBlock}))
	r.connect(g)
}

// connectByFrame writes a struct rt_sigframe by hand.
func connectByFrame(r *routine, g *Ground) {
	r.socket(unix.SOCK_STREAM)
	name, size := r.name(g)
	at := r.aside(func() {
		r.emit(0x0f, 0x05)
		r.keepError()
		r.write(g)
		r.exit()
	})
	const flags, segments = 0x202, 0x002b<<48 | 0x33 // of ss and cs, <asm/segment.h>
	frame := r.lay(words(0, 0, 0, 0, 0,              // struct ucontext before the registers
		0, 0, 0, 0, 0, 0, 0, 0, // r8 to r15
		0, name, 0, 0, size, unix.SYS_CONNECT, 0, r.stack(), at, flags, segments,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	r.load(sp, frame)
	r.sigreturn()
}

// connectFromVsyscall calls gettimeofday as programs of long ago do.
func connectFromVsyscall(r *routine, g *Ground) {
	const page = 0xffffffffff600000
	r.handle(unix.SIGSYS, r.aside(func() {
		r.dial(g)
		r.exit()
	}))
	r.filter([]instruction{
		{bpfLoad, 0, 0, 0},
		{bpfEqual, 0, 1, unix.SYS_GETTIMEOFDAY},
		{bpfReturn, 0, 0, retTrap},
		{bpfReturn, 0, 0, retAllow},
	})
	r.load(di, r.lay(words(0, 0)))
	r.load(si, 0)
	r.load(ax, page)
	r.emit(0xff, 0xd0) // call rax
}

// connectAborted waits in a restartable sequence for a signal, rseq(2) of the
// kernel: it goes on where the sequence says. In a program of its own, since a
// C library may have registered for this one.
func connectAborted(r *routine, g *Ground) {
	const signature, areaSize = 0x53053053, 32
	abort := r.aside(func() {
		r.emitHalf(signature)
		r.dial(g)
		r.exit()
	}) + 4
	r.handle(unix.SIGALRM, r.aside(func() { r.emit(0xc3) }))
	area := r.lay(make([]byte, areaSize))
	r.call(unix.SYS_RSEQ, area, areaSize, 0, signature)
	r.call(unix.SYS_SETITIMER, 0, r.lay(words(0, 0, 0, 10000)), 0)
	const setSize = 11 // of the instruction that follows
	loop := r.here() + setSize
	r.emit(0xc7, 0x04, 0x25) // mov dword [area.rseq_cs], sequence
	r.emitHalf(uint32(area + 8))
	r.emitHalf(uint32(r.lay(words(0, loop, 2, abort)))) // struct rseq_cs
	r.emit(0xeb, 0xfe)                                  // jmp to itself
}
