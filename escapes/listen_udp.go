package escapes

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// udpListenAttempts answer whoever calls by UDP.
func udpListenAttempts() []Attempt {
	return []Attempt{
		{Name: "listen/udp-wildcard", Does: "answer datagrams to 0.0.0.0", Try: func(g *Ground) error {
			return g.answerOn(unix.AF_INET, bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)))
		}},
		{Name: "listen/udp-outer", Does: "answer datagrams to the outer address", Try: func(g *Ground) error {
			return g.answerOn(unix.AF_INET, bindAt(netip.AddrPortFrom(g.Host4, 0)))
		}},
		{Name: "listen/udp-ipv6", Does: "answer IPv4 datagrams on an IPv6 socket", Try: func(g *Ground) error {
			return g.answerOn(unix.AF_INET6, bindAt(netip.AddrPortFrom(netip.IPv6Unspecified(), 0)))
		}},
		{Name: "listen/udp-device", Does: "answer datagrams on the outer device", Try: func(g *Ground) error {
			return g.answerOn(unix.AF_INET, tolerant(func(s *inet) error { return s.device(g.Outer) }),
				bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)))
		}},
		{Name: "listen/udp-multicast", Does: "join a multicast group on the outer device and answer", Try: func(g *Ground) error {
			return g.answerOn(unix.AF_INET, bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)), tolerant(func(s *inet) error {
				group := append([]byte{239, 1, 2, 3}, g.Host4.AsSlice()...) // struct ip_mreq
				_, err := call(unix.SYS_SETSOCKOPT, s.fd, unix.SOL_IP, unix.IP_ADD_MEMBERSHIP, s.m.put(512, group), uintptr(len(group)))
				return err
			}))
		}},
		{Name: "listen/udp-dissolved", Does: "connect, dissolve the connection, and answer others", Try: func(g *Ground) error {
			return g.answerOn(unix.AF_INET, func(s *inet) error {
				if err := s.bind(netip.AddrPortFrom(netip.IPv4Unspecified(), listenPort(g))); err != nil {
					return err
				}
				if err := s.connect(g.Allowed.AddrPort4()); err != nil {
					return err
				}
				return s.connectBytes(make([]byte, unix.SizeofSockaddrInet4))
			})
		}},
	}
}

// answerOn makes a UDP socket, does with it what it is told, and answers one
// caller with the token.
func (g *Ground) answerOn(family uintptr, do ...func(*inet) error) error {
	s, err := newInet(family, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	for _, one := range do {
		if err := one(s); err != nil {
			return err
		}
	}
	go g.answer(s)
	return g.called(s, "udp")
}

// answer waits for a datagram for as long as the process lives.
func (g *Ground) answer(s *inet) {
	from, length := s.m.at(1024), s.m.half(1280, 128)
	if _, err := call(unix.SYS_RECVFROM, s.fd, s.m.at(2048), 512, 0, from, length); err != nil {
		return
	}
	_, _ = call(unix.SYS_SENDTO, s.fd, s.m.put(3072, []byte(g.Token)), uintptr(len(g.Token)), 0, from, uintptr(s.m[1280]))
}
