package escapes

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

const bindToIndex = 62 // SO_BINDTOIFINDEX, <asm-generic/socket.h>

// tcpRouteAttempts have packets go another way than their address says, or
// come from elsewhere.
func tcpRouteAttempts() []Attempt {
	outer, six, root := []Need{NeedOuter}, []Need{NeedOuter, NeedIPv6}, []Need{NeedOuter, NeedRoot}
	return []Attempt{
		{Name: "tcp/route-loose", Does: "connect where it may by a loose source route over elsewhere", Needs: root, Try: func(g *Ground) error {
			return connectByOption(g, unix.SOL_IP, unix.IP_OPTIONS, sourceRoute(looseRoute, g.Denied.V4))
		}},
		{Name: "tcp/route-strict", Does: "connect where it may by a strict source route over a router and elsewhere", Needs: root,
			Try: func(g *Ground) error {
				router, err := onLink(g)
				if err != nil {
					return err
				}
				return connectByOption(g, unix.SOL_IP, unix.IP_OPTIONS, sourceRoute(strictRoute, router, g.Denied.V4))
			}},
		{Name: "tcp/route-loose-high-bits", Does: "give a source route with bits above the low 32 of level and option", Needs: root,
			Try: func(g *Ground) error {
				const above = 1 << 32
				return connectByOption(g, above|unix.SOL_IP, above|unix.IP_OPTIONS, sourceRoute(looseRoute, g.Denied.V4))
			}},
		{Name: "tcp/route-loose-ipv6-socket", Does: "give an IPv6 socket a source route for its IPv4 packets", Needs: root,
			Try: func(g *Ground) error {
				s, err := streamTo(g.Allowed.Mapped())
				if err != nil {
					return err
				}
				if err := s.set(unix.SOL_IP, unix.IP_OPTIONS, sourceRoute(looseRoute, g.Denied.V4)); err != nil {
					return err
				}
				return connectBriefly(s, sockaddr(g.Allowed.Mapped()))
			}},
		{Name: "tcp/route-header", Does: "connect where it may by an IPv6 routing header over elsewhere", Needs: six, Try: func(g *Ground) error {
			s, err := streamTo(g.Allowed.AddrPort6())
			if err != nil {
				return err
			}
			if err := s.set(unix.SOL_IPV6, unix.IPV6_RTHDR, segmentHeader(g.Denied.V6, g.Allowed.V6)); err != nil {
				return err
			}
			return connectBriefly(s, sockaddr(g.Allowed.AddrPort6()))
		}},
		{Name: "tcp/route-header-sticky", Does: "give a routing header as one of all packet options", Needs: six, Rare: true, Try: func(g *Ground) error {
			const packetOptions = 6 // IPV6_2292PKTOPTIONS, <linux/in6.h>
			s, err := streamTo(g.Allowed.AddrPort6())
			if err != nil {
				return err
			}
			// Type 2 of mobile IPv6, RFC 6275 §6.4: the only one that this takes.
			header := append([]byte{0, 2, 2, 1, 0, 0, 0, 0}, g.Denied.V6.AsSlice()...)
			if err := s.set(unix.SOL_IPV6, packetOptions, controlMessage(unix.SOL_IPV6, unix.IPV6_RTHDR, header)); err != nil {
				return err
			}
			return connectBriefly(s, sockaddr(g.Allowed.AddrPort6()))
		}},
		{Name: "tcp/route-device", Does: "bind to the interface that leads out, and connect", Needs: outer, Try: connectOn(func(s *sock, g *Ground) error {
			return s.bindToDevice(g.Outer)
		})},
		{Name: "tcp/route-device-index", Does: "bind to the number of the interface that leads out, and connect", Needs: outer,
			Try: connectOn(func(s *sock, g *Ground) error {
				device, err := net.InterfaceByName(g.Outer)
				if err != nil {
					return err
				}
				return s.setInt(unix.SOL_SOCKET, bindToIndex, uint32(device.Index))
			})},
		{Name: "tcp/route-source", Does: "bind to the address by which outside reaches it, and connect", Needs: outer,
			Try: connectOn(func(s *sock, g *Ground) error { return s.bind(sockaddr(netip.AddrPortFrom(g.Host4, 0))) })},
		{Name: "tcp/route-foreign-source", Does: "connect from an address that is somebody else's", Needs: root,
			Try: connectOn(func(s *sock, g *Ground) error {
				if err := s.setInt(unix.SOL_IP, unix.IP_TRANSPARENT, 1); err != nil {
					return err
				}
				return s.bind(sockaddr(netip.AddrPortFrom(foreignSource, 0)))
			})},
		{Name: "tcp/route-mark", Does: "mark the socket for another routing table, and connect", Needs: []Need{NeedRoot},
			Try: connectOn(func(s *sock, _ *Ground) error { return s.setInt(unix.SOL_SOCKET, unix.SO_MARK, 0x42) })},
		{Name: "tcp/route-priority", Does: "set every option that a router looks at, and connect",
			Try: connectOn(func(s *sock, _ *Ground) error {
				if err := s.setInt(unix.SOL_IP, unix.IP_TOS, 0x10); err != nil {
					return err
				}
				if err := s.setInt(unix.SOL_SOCKET, unix.SO_PRIORITY, 6); err != nil {
					return err
				}
				return s.setInt(unix.SOL_IP, unix.IP_TTL, 200)
			})},
		{Name: "tcp/ulp-smc", Does: "turn the socket into one of shared memory communications, and connect", Rare: true,
			Try: connectOn(func(s *sock, _ *Ground) error { return s.set(unix.SOL_TCP, unix.TCP_ULP, []byte("smc")) })},
		{Name: "tcp/repair", Does: "forge an established connection, and write", Needs: root, Try: repaired},
		{Name: "tcp/repair-high-bits", Does: "forge a connection by bits above the low 32 of level and option", Needs: root, Try: func(g *Ground) error {
			return repairedWith(g, 1<<32)
		}},
	}
}

// foreignSource is an address of a block reserved for documentation, RFC 5737.
var foreignSource = netip.AddrFrom4([4]byte{198, 51, 100, 9})

// Options of RFC 791 §3.1.
const (
	looseRoute  = 131
	strictRoute = 137
)

// sourceRoute returns an IP option that leads over the addresses first.
func sourceRoute(kind byte, over ...netip.Addr) []byte {
	b := []byte{1, kind, byte(3 + 4*len(over)), 4} // after a no-operation
	for _, a := range over {
		b = append(b, a.AsSlice()...)
	}
	return b
}

// segmentHeader returns a routing header that leads over an address first,
// RFC 8754 §2.
func segmentHeader(over, last netip.Addr) []byte {
	b := []byte{0, 4, 4, 1, 1, 0, 0, 0}
	return append(append(b, last.AsSlice()...), over.AsSlice()...)
}

// onLink is an address beside the machine's own on the link that leads out.
func onLink(g *Ground) (netip.Addr, error) {
	for _, a := range []netip.Addr{g.Host4.Next(), g.Host4.Prev()} {
		if conn, err := net.Dial("udp4", netip.AddrPortFrom(a, 9).String()); err == nil {
			conn.Close() // nothing was sent
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%v has no neighbours", g.Host4)
}

// connectByOption sets an option and connects to the allowed peer.
func connectByOption(g *Ground, level, option uintptr, value []byte) error {
	s, err := streamTo(g.Allowed.AddrPort4())
	if err != nil {
		return err
	}
	if err := s.set(level, option, value); err != nil {
		return err
	}
	return connectBriefly(s, sockaddr(g.Allowed.AddrPort4()))
}

// connectBriefly connects, and waits no longer than for the first packet.
func connectBriefly(s *sock, name []byte) error {
	if err := unix.SetNonblock(int(s.fd), true); err != nil {
		return err
	}
	if err := s.connect(name); err != nil && !inProgress(err) {
		return err
	}
	_ = s.ready(attemptTime / 10) // nobody may answer
	return nil
}

// connectOn prepares a socket and connects it to the denied peer.
func connectOn(prepare func(*sock, *Ground) error) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		if err := prepare(s, g); err != nil {
			return err
		}
		if err := connectBriefly(s, sockaddr(g.Denied.AddrPort4())); err != nil {
			return err
		}
		return s.write([]byte(g.Token))
	}
}

func repaired(g *Ground) error { return repairedWith(g, 0) }

// repairedWith makes a connection of which the other side knows nothing,
// TCP_REPAIR of tcp(7): connect sends no packet then, and the first that leaves
// carries data.
func repairedWith(g *Ground, above uintptr) error {
	const (
		off                  = 0xffffffff // without a window probe
		receive, send        = 1, 2       // of TCP_REPAIR_QUEUE
		sequence      uint32 = 1000
		room          uint32 = 65535
	)
	s, err := streamTo(g.Denied.AddrPort4())
	if err != nil {
		return err
	}
	for _, o := range []struct {
		option uintptr
		value  uint32
	}{
		{unix.TCP_REPAIR, 1},
		{unix.TCP_REPAIR_QUEUE, send}, {unix.TCP_QUEUE_SEQ, sequence},
		{unix.TCP_REPAIR_QUEUE, receive}, {unix.TCP_QUEUE_SEQ, sequence},
	} {
		if err := s.setInt(above|unix.SOL_TCP, above|o.option, o.value); err != nil {
			return err
		}
	}
	if err := s.bind(sockaddr(netip.AddrPortFrom(g.Host4, 0))); err != nil {
		return err
	}
	if err := s.connect(sockaddr(g.Denied.AddrPort4())); err != nil {
		return err
	}
	var window []byte // struct tcp_repair_window of <linux/tcp.h>
	for _, v := range []uint32{sequence, room, room, room, sequence} {
		window = binary.NativeEndian.AppendUint32(window, v)
	}
	if err := s.set(above|unix.SOL_TCP, above|unix.TCP_REPAIR_WINDOW, window); err != nil {
		return err
	}
	if err := s.setInt(above|unix.SOL_TCP, above|unix.TCP_REPAIR, off); err != nil {
		return err
	}
	return s.write([]byte(g.Token))
}

// routeAttribute returns one struct rtattr with its data, rtnetlink(7).
func routeAttribute(kind uint16, data []byte) []byte {
	const head, align = 4, 4
	b := binary.NativeEndian.AppendUint16(nil, uint16(head+len(data)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
	for len(b)%align != 0 {
		b = append(b, 0)
	}
	return b
}
