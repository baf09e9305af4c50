package escapes

import "golang.org/x/sys/unix"

// Numbers of i386, arch/x86/entry/syscalls/syscall_32.tbl.
const (
	i386Exit       = 1
	i386Fork       = 2
	i386Write      = 4
	i386Close      = 6
	i386Execve     = 11
	i386Socketcall = 102
	i386Recvmmsg   = 337
	i386Sendmmsg   = 345
	i386Socket     = 359
	i386Connect    = 362
	i386Setsockopt = 366
	i386Sendto     = 369
	i386Sendmsg    = 370
)

// What socketcall(2) does, <linux/net.h>.
const (
	callSocket   = 1
	callBind     = 2
	callConnect  = 3
	callListen   = 4
	callAccept   = 5
	callSendto   = 11
	callSendmsg  = 16
	callSendmmsg = 20
)

// call32 makes a system call of i386. The bytes are the same in 64-bit and in
// 32-bit code.
func (r *routine) call32(number uintptr, args ...uintptr) {
	r.load32(number, args...)
	r.emit(0xcd, 0x80)
}

func (r *routine) load32(number uintptr, args ...uintptr) {
	for i, v := range args {
		r.load([]byte{bx, cx, dx, si, di, bp}[i], v)
	}
	r.load(ax, number)
}

// socketcall makes a call by socketcall(2).
func (r *routine) socketcall(which uintptr, args ...uintptr) {
	r.call32(i386Socketcall, which, r.halves(args...))
}

// socket32 makes a socket whose number is 0.
func (r *routine) socket32(kind uintptr) {
	r.call32(i386Close, 0)
	r.call32(i386Socket, unix.AF_INET, kind, 0)
}

func (r *routine) connect32(g *Ground) {
	at, size := r.name(g)
	r.call32(i386Connect, 0, at, size)
}

func (r *routine) write32(g *Ground) {
	at, size := r.token(g)
	r.call32(i386Write, 0, at, size)
}

// dial32 connects and writes by calls of i386 alone.
func (r *routine) dial32(g *Ground) {
	r.socket32(unix.SOCK_STREAM)
	r.connect32(g)
	r.write32(g)
	r.call32(i386Exit, 0)
}

// dialSocketcall does the same by socketcall(2), as old C libraries do.
func (r *routine) dialSocketcall(g *Ground) {
	r.call32(i386Close, 0)
	r.socketcall(callSocket, unix.AF_INET, unix.SOCK_STREAM, 0)
	at, size := r.name(g)
	r.socketcall(callConnect, 0, at, size)
	r.write32(g)
	r.call32(i386Exit, 0)
}

// i386Attempts connect by int 0x80 in a 64-bit process.
func i386Attempts() []Attempt {
	list := []Attempt{
		{Name: "abi/int80", Does: "make a socket, connect and write", Try: writing((*routine).dial32)},
		{Name: "abi/int80-socketcall", Does: "connect by socketcall", Try: writing((*routine).dialSocketcall)},
		{Name: "abi/int80-connect", Does: "connect a socket of a 64-bit call", Try: writing(func(r *routine, g *Ground) {
			r.socket(unix.SOCK_STREAM)
			r.connect32(g)
			r.write(g)
		})},
		{Name: "abi/int80-number", Does: "connect by a number with bits above the low 32", Try: writing(func(r *routine, g *Ground) {
			r.socket(unix.SOCK_STREAM)
			at, size := r.name(g)
			r.call32(high|i386Connect, 0, at, size)
			r.write(g)
		})},
		{Name: "abi/int80-fastopen", Does: "have the first send connect", Try: writing(func(r *routine, g *Ground) {
			r.socket(unix.SOCK_STREAM)
			text, length := r.token(g)
			at, size := r.name(g)
			r.call32(i386Sendto, 0, text, length, unix.MSG_FASTOPEN, at, size)
		})},
		{Name: "abi/int80-fastopen-option", Does: "have the first write connect", Try: writing(func(r *routine, g *Ground) {
			const fastOpenConnect = 30 // TCP_FASTOPEN_CONNECT, <linux/tcp.h>
			r.socket(unix.SOCK_STREAM)
			r.call32(i386Setsockopt, 0, unix.SOL_TCP, fastOpenConnect, r.halves(1), 4)
			r.connect(g)
			r.write(g)
		})},
		{Name: "abi/int80-fork", Does: "fork, and connect by 64-bit calls in the child", Try: writing(func(r *routine, g *Ground) {
			r.call32(i386Fork)
			r.onZero(func() {
				r.dial(g)
				r.exit()
			})
			r.pause(longPause)
		})},
		{Name: "abi/int80-execve", Does: "execute a program that connects by 64-bit calls", Try: onRoutine(func(g *Ground, r *routine) error {
			path, err := g.program("int80", elf64, (*routine).dial)
			if err != nil {
				return err
			}
			r.call32(i386Execve, r.text(path), r.halves(r.text(path), 0), r.halves(0))
			return nil
		})},
	}
	return describe("32-bit calls by int 0x80: ", list)
}

// writing is onRoutine for what can't fail to be written.
func writing(write func(*routine, *Ground)) func(*Ground) error {
	return onRoutine(func(g *Ground, r *routine) error {
		write(r, g)
		return nil
	})
}
