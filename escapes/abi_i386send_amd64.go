package escapes

import "golang.org/x/sys/unix"

// message32 lays a struct mmsghdr, which begins with a struct msghdr, as
// 32-bit programs have it.
func (r *routine) message32(name, nameSize, text, length uintptr) uintptr {
	return r.halves(name, nameSize, r.halves(text, length), 1, 0, 0, 0, 0)
}

// tokenMessage32 is a message with the token for the denied peer.
func (r *routine) tokenMessage32(g *Ground) uintptr {
	name, nameSize := r.name(g)
	text, length := r.token(g)
	return r.message32(name, nameSize, text, length)
}

// i386SendAttempts send datagrams by int 0x80.
func i386SendAttempts() []Attempt {
	send := func(write func(*routine, *Ground)) func(*Ground) error {
		return writing(func(r *routine, g *Ground) {
			r.call32(i386Close, 0)
			r.socketcall(callSocket, unix.AF_INET, unix.SOCK_DGRAM, 0)
			write(r, g)
		})
	}
	sendto := func(r *routine, g *Ground) []uintptr {
		text, length := r.token(g)
		at, size := r.name(g)
		return []uintptr{0, text, length, 0, at, size}
	}
	return describe("32-bit calls by int 0x80: ", []Attempt{
		{Name: "abi/int80-sendto", Does: "send by sendto", Try: send(func(r *routine, g *Ground) {
			r.call32(i386Sendto, sendto(r, g)...)
		})},
		{Name: "abi/int80-sendmsg", Does: "send by sendmsg", Try: send(func(r *routine, g *Ground) {
			r.call32(i386Sendmsg, 0, r.tokenMessage32(g), 0)
		})},
		{Name: "abi/int80-sendmmsg", Does: "send by sendmmsg", Try: send(func(r *routine, g *Ground) {
			r.call32(i386Sendmmsg, 0, r.tokenMessage32(g), 1, 0)
		})},
		{Name: "abi/int80-socketcall-sendto", Does: "send by socketcall's sendto", Try: send(func(r *routine, g *Ground) {
			r.socketcall(callSendto, sendto(r, g)...)
		})},
		{Name: "abi/int80-socketcall-sendmsg", Does: "send by socketcall's sendmsg", Try: send(func(r *routine, g *Ground) {
			r.socketcall(callSendmsg, 0, r.tokenMessage32(g), 0)
		})},
		{Name: "abi/int80-socketcall-sendmmsg", Does: "send by socketcall's sendmmsg", Try: send(func(r *routine, g *Ground) {
			r.socketcall(callSendmmsg, 0, r.tokenMessage32(g), 1, 0)
		})},
		{Name: "abi/int80-socket-alone", Does: "make a UDP socket, and connect and write by 64-bit calls", Try: send(func(r *routine, g *Ground) {
			r.connect(g)
			r.write(g)
		})},
	})
}
