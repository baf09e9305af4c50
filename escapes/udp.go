package escapes

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// udpAttempts carry datagrams.
func udpAttempts() []Attempt {
	return bounded(slices.Concat(udpSendAttempts(), udpWriteAttempts(), udpAddressAttempts(), udpRouteAttempts(),
		udpOwnerAttempts(), udpSurrogateAttempts(), udpDNSAttempts()))
}

// datagramTo makes a UDP socket for an address.
func datagramTo(to netip.AddrPort) (*sock, error) { return newSock(family(to), unix.SOCK_DGRAM, 0) }

func denied4(g *Ground) netip.AddrPort      { return g.Denied.AddrPort4() }
func denied6(g *Ground) netip.AddrPort      { return g.Denied.AddrPort6() }
func deniedMapped(g *Ground) netip.AddrPort { return g.Denied.Mapped() }

// sending makes a UDP socket and sends to the denied peer.
func sending(to func(*Ground) netip.AddrPort, send func(*sock, *Ground, []byte) error) func(*Ground) error {
	return func(g *Ground) error {
		s, err := datagramTo(to(g))
		if err != nil {
			return err
		}
		return send(s, g, sockaddr(to(g)))
	}
}

// connected makes a UDP socket, connects it to the denied peer, and sends.
func connected(send func(*sock, *Ground) error) func(*Ground) error {
	return func(g *Ground) error {
		s, err := datagramTo(denied4(g))
		if err != nil {
			return err
		}
		if err := s.connect(sockaddr(denied4(g))); err != nil {
			return err
		}
		return send(s, g)
	}
}

// flagged sends with the flags of send(2).
func flagged(flags uintptr) func(*sock, *Ground, []byte) error {
	return func(s *sock, g *Ground, to []byte) error { return s.sendto([]byte(g.Token), flags, to) }
}

// text is a message with the token.
func (g *Ground) text(to []byte) message { return message{name: to, parts: [][]byte{[]byte(g.Token)}} }

// udpSendAttempts are the calls that carry an address.
func udpSendAttempts() []Attempt {
	return []Attempt{
		{Name: "udp/sendto", Does: "send with sendto", Try: sending(denied4, flagged(0))},
		{Name: "udp/sendto-ipv6", Does: "send by IPv6", Needs: []Need{NeedIPv6}, Try: sending(denied6, flagged(0))},
		{Name: "udp/sendto-confirm", Does: "send with the neighbour confirmed", Try: sending(denied4, flagged(unix.MSG_CONFIRM))},
		{Name: "udp/sendto-high-bits", Does: "send with bits above the low 32 of flags and length", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			const above = 1 << 32
			text := []byte(g.Token)
			_, err := call(unix.SYS_SENDTO, s.fd, s.lay(text), uintptr(len(text)), above|unix.MSG_NOSIGNAL, s.lay(to), above|uintptr(len(to)))
			return err
		})},
		{Name: "udp/sendmsg", Does: "send with sendmsg", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			return s.sendmsg(0, g.text(to))
		})},
		{Name: "udp/sendmsg-parts", Does: "send with sendmsg from many places", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			m := message{name: to}
			for _, b := range []byte(g.Token) {
				m.parts = append(m.parts, []byte{b}, nil)
			}
			return s.sendmsg(0, m)
		})},
		{Name: "udp/sendmmsg", Does: "send with sendmmsg", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			return s.sendmmsg(0, g.text(to))
		})},
		{Name: "udp/sendmmsg-second", Does: "send with sendmmsg, first where it may and then elsewhere", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			return s.sendmmsg(0, g.text(sockaddr(g.Allowed.AddrPort4())), g.text(to))
		})},
		{Name: "udp/sendmmsg-nameless-first", Does: "send with sendmmsg, first to the connected peer and then elsewhere",
			Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
				if err := s.connect(sockaddr(g.Allowed.AddrPort4())); err != nil {
					return err
				}
				return s.sendmmsg(0, g.text(nil), g.text(to))
			})},
		{Name: "udp/sendmmsg-many", Does: "send with sendmmsg, elsewhere as the thousandth", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			const most = 1000
			where := slices.Repeat([]message{{name: sockaddr(g.Allowed.AddrPort4()), parts: [][]byte{{0}}}}, most)
			return s.sendmmsg(0, append(where, g.text(to))...)
		})},
		{Name: "udp/quick-turn", Does: "send where it may and at once elsewhere", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			for range 20 {
				if err := s.sendto([]byte(g.Token), 0, sockaddr(g.Allowed.AddrPort4())); err != nil {
					return err
				}
				if err := s.sendto([]byte(g.Token), 0, to); err != nil {
					return err
				}
			}
			return nil
		})},
		{Name: "udp/empty", Does: "send nothing but the datagram itself", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			return s.sendto(nil, 0, to)
		})},
		{Name: "udp/largest", Does: "send the largest datagram, in fragments", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			const most = 65507
			return s.sendto(append([]byte(g.Token), make([]byte, most-len(g.Token))...), 0, to)
		})},
		{Name: "udp/zero-copy", Does: "send without copying", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.setInt(unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), unix.MSG_ZEROCOPY, to)
		})},
		{Name: "udp/corked", Does: "put a datagram together of several sends", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.setInt(unix.SOL_UDP, unix.UDP_CORK, 1); err != nil {
				return err
			}
			half := len(g.Token) / 2
			if err := s.sendto([]byte(g.Token[:half]), 0, to); err != nil {
				return err
			}
			if err := s.sendto([]byte(g.Token[half:]), 0, to); err != nil {
				return err
			}
			return s.setInt(unix.SOL_UDP, unix.UDP_CORK, 0)
		})},
		{Name: "udp/more", Does: "say that more comes of a datagram, and send the rest", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			half := len(g.Token) / 2
			if err := s.sendto([]byte(g.Token[:half]), unix.MSG_MORE, to); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token[half:]), 0, to)
		})},
		{Name: "udp/segmented", Does: "have one send cut into datagrams by a socket option", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.setInt(unix.SOL_UDP, unix.UDP_SEGMENT, uint32(len(g.Token))); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token+g.Token+g.Token), 0, to)
		})},
		{Name: "udp/segmented-message", Does: "have one send cut into datagrams by a control message", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			size := []byte{byte(len(g.Token)), 0}
			return s.sendmsg(0, message{name: to, parts: [][]byte{[]byte(g.Token + g.Token)}, control: controlMessage(unix.SOL_UDP, unix.UDP_SEGMENT, size)})
		})},
		{Name: "udp/error-queue", Does: "ask for errors, send, and read them", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.setInt(unix.SOL_IP, unix.IP_RECVERR, 1); err != nil {
				return err
			}
			if err := s.sendto([]byte(g.Token), 0, to); err != nil {
				return err
			}
			room := words(s.lay(make([]byte, 256)), 256)
			head := words(0, 0, s.lay(room), 1, s.lay(make([]byte, 256)), 256, 0)
			_, err := call(unix.SYS_RECVMSG, s.fd, s.lay(head), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			return err
		})},
		{Name: "udp/socket-flags", Does: "name the protocol and every flag when making the socket", Try: func(g *Ground) error {
			s, err := newSock(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
			if err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, sockaddr(denied4(g)))
		}},
		{Name: "udp/socket-high-bits", Does: "make the socket with bits above the low 32 of each register", Try: func(g *Ground) error {
			const above = 1 << 32
			s, err := newSock(above|unix.AF_INET, above|unix.SOCK_DGRAM, above|unix.IPPROTO_UDP)
			if err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, sockaddr(denied4(g)))
		}},
		{Name: "udp/quic", Does: "begin QUIC on port 443", Needs: []Need{NeedWeb}, Try: func(g *Ground) error {
			// An initial packet of version 1, RFC 9000 §17.2.2, as far as a
			// router can read it.
			first := append([]byte{0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x80}, g.Token...)
			const smallest = 1200
			first = append(first, make([]byte, smallest-len(first))...)
			to := netip.AddrPortFrom(g.Denied.V4, portHTTPS)
			s, err := datagramTo(to)
			if err != nil {
				return err
			}
			return s.sendto(first, 0, sockaddr(to))
		}},
	}
}

// udpRouteAttempts choose the way or the source of a datagram.
func udpRouteAttempts() []Attempt {
	outer, six, root := []Need{NeedOuter}, []Need{NeedOuter, NeedIPv6}, []Need{NeedOuter, NeedRoot}
	return append(udpGroupAttempts(), []Attempt{
		{Name: "udp/route-info", Does: "name the interface in a control message", Needs: outer, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			index, err := g.outerIndex()
			if err != nil {
				return err
			}
			m := g.text(to)
			m.control = controlMessage(unix.SOL_IP, unix.IP_PKTINFO, append(index, make([]byte, 8)...)) // struct in_pktinfo
			return s.sendmsg(0, m)
		})},
		{Name: "udp/route-info-ipv6", Does: "name the interface in a control message of IPv6", Needs: six, Try: sending(denied6, func(s *sock, g *Ground, to []byte) error {
			index, err := g.outerIndex()
			if err != nil {
				return err
			}
			m := g.text(to)
			m.control = controlMessage(unix.SOL_IPV6, unix.IPV6_PKTINFO, append(g.Host6.AsSlice(), index...)) // struct in6_pktinfo
			return s.sendmsg(0, m)
		})},
		{Name: "udp/route-unicast-interface", Does: "name the interface in a socket option", Needs: outer, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			index, err := g.outerIndex()
			if err != nil {
				return err
			}
			slices.Reverse(index) // in the network's order
			if err := s.set(unix.SOL_IP, unix.IP_UNICAST_IF, index); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/route-device", Does: "bind to the interface that leads out", Needs: outer, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.bindToDevice(g.Outer); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/route-loopback-overridden", Does: "bind to loopback, and name the interface that leads out in a control message", Needs: outer,
			Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
				if err := s.bindToDevice("lo"); err != nil {
					return err
				}
				index, err := g.outerIndex()
				if err != nil {
					return err
				}
				m := g.text(to)
				m.control = controlMessage(unix.SOL_IP, unix.IP_PKTINFO, append(index, make([]byte, 8)...))
				return s.sendmsg(0, m)
			})},
		{Name: "udp/route-source", Does: "bind to the address by which outside reaches it", Needs: outer, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.bind(sockaddr(netip.AddrPortFrom(g.Host4, 0))); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/route-foreign-source", Does: "send from an address that is somebody else's", Needs: root, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.setInt(unix.SOL_IP, unix.IP_TRANSPARENT, 1); err != nil {
				return err
			}
			if err := s.bind(sockaddr(netip.AddrPortFrom(foreignSource, 0))); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/route-loose", Does: "send where it may by a source route over elsewhere", Needs: root, Try: func(g *Ground) error {
			s, err := datagramTo(g.Allowed.AddrPort4())
			if err != nil {
				return err
			}
			if err := s.set(unix.SOL_IP, unix.IP_OPTIONS, sourceRoute(looseRoute, g.Denied.V4)); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, sockaddr(g.Allowed.AddrPort4()))
		}},
		{Name: "udp/route-loose-message", Does: "send where it may by a source route in a control message", Needs: root, Try: func(g *Ground) error {
			s, err := datagramTo(g.Allowed.AddrPort4())
			if err != nil {
				return err
			}
			m := g.text(sockaddr(g.Allowed.AddrPort4()))
			m.control = controlMessage(unix.SOL_IP, unix.IP_RETOPTS, sourceRoute(looseRoute, g.Denied.V4))
			return s.sendmsg(0, m)
		}},
		{Name: "udp/route-header", Does: "send where it may by an IPv6 routing header over elsewhere", Needs: six, Try: func(g *Ground) error {
			s, err := datagramTo(g.Allowed.AddrPort6())
			if err != nil {
				return err
			}
			if err := s.set(unix.SOL_IPV6, unix.IPV6_RTHDR, segmentHeader(g.Denied.V6, g.Allowed.V6)); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, sockaddr(g.Allowed.AddrPort6()))
		}},
	}...)
}
