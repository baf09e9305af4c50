package escapes

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// udpAddressAttempts vary how the address is written.
func udpAddressAttempts() []Attempt {
	six := []Need{NeedIPv6}
	respelt := func(spell func([]byte) []byte) func(*sock, *Ground, []byte) error {
		return func(s *sock, g *Ground, to []byte) error { return s.sendto([]byte(g.Token), 0, spell(to)) }
	}
	return []Attempt{
		{Name: "udp/address-mapped", Does: "send from an IPv6 socket to an IPv4 address", Try: sending(deniedMapped, flagged(0))},
		{Name: "udp/address-mapped-connected", Does: "connect an IPv6 socket to an IPv4 address, and write", Try: sending(deniedMapped, func(s *sock, g *Ground, to []byte) error {
			if err := s.connect(to); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "udp/address-mixed", Does: "give an IPv6 socket an address of the family IPv4", Try: sending(deniedMapped, func(s *sock, g *Ground, _ []byte) error {
			return s.sendto([]byte(g.Token), 0, sockaddr(denied4(g)))
		})},
		{Name: "udp/address-mixed-connected", Does: "connect an IPv6 socket to an address of the family IPv4", Try: sending(deniedMapped, func(s *sock, g *Ground, _ []byte) error {
			if err := s.connect(sockaddr(denied4(g))); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "udp/address-unspecified-family", Does: "send to an address of no family", Try: sending(denied4, respelt(func(to []byte) []byte {
			binary.NativeEndian.PutUint16(to, unix.AF_UNSPEC)
			return to
		}))},
		{Name: "udp/address-long", Does: "send to an address as long as the kernel takes", Try: sending(denied4, respelt(func(to []byte) []byte {
			return append(to, make([]byte, 128-len(to))...)
		}))},
		{Name: "udp/address-unscoped", Does: "send to an IPv6 address too short for a scope", Needs: six, Try: sending(denied6, respelt(func(to []byte) []byte {
			return to[:24]
		}))},
		{Name: "udp/address-scope", Does: "send to an IPv6 address with a scope", Needs: six, Try: sending(denied6, respelt(func(to []byte) []byte {
			binary.NativeEndian.PutUint32(to[24:], 1)
			return to
		}))},
		{Name: "udp/address-in-header", Does: "send to an address that lies within the message header itself", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			// The last words of struct msghdr, the control message's length
			// and the flags, are an address at the same time.
			head := s.header(message{parts: [][]byte{[]byte(g.Token)}})
			at := s.lay(append(head, to...))
			m := memory(s.m[s.next-len(head)-len(to)-16:])
			offset := int(at - m.at(0))
			m.word(offset, uint64(at)+uint64(len(head)))
			m.word(offset+8, uint64(len(to)))
			_, err := call(unix.SYS_SENDMSG, s.fd, at, 0)
			return err
		})},
		{Name: "udp/address-length-huge", Does: "name an address longer than there is in sendmsg, which the kernel cuts", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			head := s.header(g.text(to))
			binary.NativeEndian.PutUint32(head[8:], 4096)
			_, err := call(unix.SYS_SENDMSG, s.fd, s.lay(head), 0)
			return err
		})},
	}
}
