package escapes

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// high are bits above the low 32 of a register. The kernel does not read them
// of an int; a filter sees them.
const high = 0x80000001 << 32

// registerAttempts put rubbish where the kernel does not look.
func registerAttempts() []Attempt {
	datagram := func(family, kind, protocol uintptr) func(*Ground) error {
		return func(g *Ground) error {
			s, err := newSock(family, kind, protocol)
			if err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, sockaddr(g.Denied.AddrPort4()))
		}
	}
	list := describe("bits above an int's: ", []Attempt{
		{Name: "abi/high-connect", Does: "in each register of connect", Try: dialing(high|unix.SYS_CONNECT, high, high)},
		{Name: "abi/high-number", Does: "in the number of connect, all of them", Try: dialing(^uintptr(1<<32-1)|unix.SYS_CONNECT, 0, 0)},
		{Name: "abi/high-length", Does: "in the length of an address, all of them", Try: dialing(unix.SYS_CONNECT, 0, ^uintptr(1<<32-1))},
		{Name: "abi/high-family", Does: "in a UDP socket's family", Try: datagram(high|unix.AF_INET, unix.SOCK_DGRAM, 0)},
		{Name: "abi/high-type", Does: "in a UDP socket's type", Try: datagram(unix.AF_INET, high|unix.SOCK_DGRAM, 0)},
		{Name: "abi/high-protocol", Does: "in a UDP socket's protocol", Try: datagram(unix.AF_INET, unix.SOCK_DGRAM, high|unix.IPPROTO_UDP)},
		{Name: "abi/high-multipath", Does: "in the protocol of MPTCP", Rare: true, Try: func(g *Ground) error {
			const mptcp = 262 // IPPROTO_MPTCP, <linux/in.h>
			s, err := newSock(unix.AF_INET, unix.SOCK_STREAM, high|mptcp)
			if err != nil {
				return err
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "abi/high-sendto", Does: "in the flags of a sendto that connects", Try: fastOpening(func(g *Ground, s *sock) error {
			return s.sendto([]byte(g.Token), high|unix.MSG_FASTOPEN, sockaddr(g.Denied.AddrPort4()))
		})},
		{Name: "abi/high-sendmsg", Does: "in the flags of a sendmsg that connects", Try: fastOpening(func(g *Ground, s *sock) error {
			_, err := call(unix.SYS_SENDMSG, high|s.fd, s.paddedMessage(g, unix.SizeofSockaddrInet4), high|unix.MSG_FASTOPEN)
			return err
		})},
		{Name: "abi/high-sendmmsg", Does: "in the flags and count of a sendmmsg that connects", Try: fastOpening(func(g *Ground, s *sock) error {
			_, err := call(unix.SYS_SENDMMSG, high|s.fd, s.paddedMessage(g, unix.SizeofSockaddrInet4), high|1, high|unix.MSG_FASTOPEN)
			return err
		})},
		{Name: "abi/high-option", Does: "in the option that has the first write connect", Try: fastOpening(func(g *Ground, s *sock) error {
			const fastOpenConnect = 30 // TCP_FASTOPEN_CONNECT, <linux/tcp.h>
			if err := s.setInt(high|unix.SOL_TCP, high|fastOpenConnect, 1); err != nil {
				return err
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		})},
		{Name: "abi/high-undumpable", Does: "in the call by which a process can't be looked into", Try: func(g *Ground) error {
			if _, err := call(unix.SYS_PRCTL, high|unix.PR_SET_DUMPABLE, 0); err != nil {
				return fmt.Errorf("prctl: %w", err)
			}
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "abi/high-listen", Does: "in each register of bind and listen", Needs: []Need{NeedOuter}, Try: listenHigh},
	})
	return append(list,
		Attempt{Name: "abi/padding", Does: "send with ones in the gaps of a message's header", Try: messaging(unix.SYS_SENDMSG, 0, unix.SizeofSockaddrInet4)},
		// The kernel takes no more of a name than there can be, and no more
		// messages than UIO_MAXIOV: net/socket.c.
		Attempt{Name: "abi/long-name", Does: "send with the greatest length of a name", Try: messaging(unix.SYS_SENDMSG, 0, 1<<31-1)},
		Attempt{Name: "abi/negative-count", Does: "send messages whose count is negative", Try: messaging(unix.SYS_SENDMMSG, ^uintptr(0), unix.SizeofSockaddrInet4)},
	)
}

// dialing connects by a number, with bits added to descriptor and length.
func dialing(number, fd, size uintptr) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		if _, err := call(number, fd|s.fd, s.lay(sockaddr(g.Denied.AddrPort4())), size|unix.SizeofSockaddrInet4); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return s.write([]byte(g.Token))
	}
}

// fastOpening makes a TCP socket that something else connects.
func fastOpening(do func(*Ground, *sock) error) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		return do(g, s)
	}
}

// messaging sends a datagram by a call that takes messages.
func messaging(number, count uintptr, nameSize uint32) func(*Ground) error {
	return func(g *Ground) error {
		s, err := datagramTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		if _, err := call(number, s.fd, s.paddedMessage(g, nameSize), count, 0); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		return nil
	}
}

// paddedMessage lays a struct mmsghdr, which begins with a struct msghdr, with
// ones in its gaps. What lies behind it is no message: its vector is nowhere.
func (s *sock) paddedMessage(g *Ground, nameSize uint32) uintptr {
	const gap = 1<<32 - 1
	text := []byte(g.Token)
	name := s.lay(append(sockaddr(g.Denied.AddrPort4()), make([]byte, 112)...))
	vector := s.lay(words(s.lay(text), uintptr(len(text))))
	head := words(name, gap<<32|uintptr(nameSize), vector, 1, 0, 0, gap<<32, gap<<32)
	return s.lay(append(head, words(0, 0, 1, 1, 0, 0, 0, 0)...))
}

// listenHigh listens on the wildcard address.
func listenHigh(g *Ground) error {
	s, err := newSock(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), listenPort(g))
	if _, err := call(unix.SYS_BIND, high|s.fd, s.lay(sockaddr(at)), high|unix.SizeofSockaddrInet4); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if _, err := call(unix.SYS_LISTEN, high|s.fd, high|1); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return g.Listens("tcp", netip.AddrPortFrom(g.Host4, at.Port()).String())
}

// describe puts a beginning before what attempts do.
func describe(beginning string, list []Attempt) []Attempt {
	for i := range list {
		list[i].Does = beginning + list[i].Does
	}
	return list
}
