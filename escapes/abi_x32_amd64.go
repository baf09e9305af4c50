package escapes

import "golang.org/x/sys/unix"

// x32 is __X32_SYSCALL_BIT, which marks the numbers of that ABI.
const x32 = 0x40000000

// Numbers that x32 has for itself, arch/x86/entry/syscalls/syscall_64.tbl: the
// structures are those of i386.
const (
	x32Sendmsg    = 518
	x32Sendmmsg   = 538
	x32Setsockopt = 541
)

// x32Attempts make calls of x32. Few kernels have it (CONFIG_X86_X32_ABI):
// the others answer ENOSYS, boundary or not.
func x32Attempts() []Attempt {
	datagram := func(write func(*routine, *Ground)) func(*Ground) error {
		return writing(func(r *routine, g *Ground) {
			r.call(unix.SYS_CLOSE, 0)
			r.call(x32|unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM, 0)
			write(r, g)
		})
	}
	list := []Attempt{
		{Name: "abi/x32-connect", Does: "connect", Try: writing(func(r *routine, g *Ground) {
			r.socket(unix.SOCK_STREAM)
			at, size := r.name(g)
			r.call(x32|unix.SYS_CONNECT, 0, at, size)
			r.write(g)
		})},
		{Name: "abi/x32-sendto", Does: "make a socket and send by sendto", Try: datagram(func(r *routine, g *Ground) {
			text, length := r.token(g)
			at, size := r.name(g)
			r.call(x32|unix.SYS_SENDTO, 0, text, length, 0, at, size)
		})},
		{Name: "abi/x32-sendmsg", Does: "make a socket and send by sendmsg", Try: datagram(func(r *routine, g *Ground) {
			r.call(x32|x32Sendmsg, 0, r.tokenMessage32(g), 0)
		})},
		{Name: "abi/x32-sendmmsg", Does: "make a socket and send by sendmmsg", Try: datagram(func(r *routine, g *Ground) {
			r.call(x32|x32Sendmmsg, 0, r.tokenMessage32(g), 1, 0)
		})},
		{Name: "abi/x32-fastopen-option", Does: "have the first write connect", Try: writing(func(r *routine, g *Ground) {
			const fastOpenConnect = 30 // TCP_FASTOPEN_CONNECT, <linux/tcp.h>
			r.socket(unix.SOCK_STREAM)
			r.call(x32|x32Setsockopt, 0, unix.SOL_TCP, fastOpenConnect, r.halves(1), 4)
			r.call(x32|unix.SYS_CONNECT, 0, r.lay(sockaddr(g.Denied.AddrPort4())), unix.SizeofSockaddrInet4)
			r.write(g)
		})},
		// Before 5.4 (Linux commit 6365b842aae4) a kernel with x32 took these
		// numbers without the mark too.
		{Name: "abi/x32-unmarked", Does: "have an unmarked sendmsg connect", Try: writing(func(r *routine, g *Ground) {
			r.socket(unix.SOCK_STREAM)
			r.call(x32Sendmsg, 0, r.tokenMessage32(g), unix.MSG_FASTOPEN)
		})},
	}
	for i := range list {
		list[i].Rare = true
	}
	return describe("calls of x32: ", list)
}
