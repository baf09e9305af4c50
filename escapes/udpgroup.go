package escapes

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// groupPort is where datagrams to many go: what reaches nobody is seen on the
// link.
const groupPort = 9

// outerIndex is the number of the interface that leads out, in the machine's
// order.
func (g *Ground) outerIndex() ([]byte, error) {
	device, err := net.InterfaceByName(g.Outer)
	if err != nil {
		return nil, err
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(device.Index)), nil
}

// udpGroupAttempts send to many at once.
func udpGroupAttempts() []Attempt {
	outer := []Need{NeedOuter}
	toAll := func(g *Ground) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), groupPort)
	}
	toGroup := func(*Ground) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 1, 2, 3}), groupPort)
	}
	toHosts := func(*Ground) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 1}), groupPort)
	}
	toNeighbours := func(*Ground) netip.AddrPort { return netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes(), groupPort) }
	return []Attempt{
		{Name: "udp/broadcast", Does: "send to everybody on every network", Needs: outer, Try: sending(toAll, broadcast)},
		{Name: "udp/broadcast-subnet", Does: "send to everybody on the network outside", Needs: outer, Try: sending(func(g *Ground) netip.AddrPort {
			b := g.Host4.As4()
			b[3] = 255
			return netip.AddrPortFrom(netip.AddrFrom4(b), groupPort)
		}, broadcast)},
		{Name: "udp/broadcast-connected", Does: "connect to everybody, and write", Needs: outer, Try: sending(toAll, func(s *sock, g *Ground, to []byte) error {
			if err := s.setInt(unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
				return err
			}
			if err := s.bindToDevice(g.Outer); err != nil {
				return err
			}
			if err := s.connect(to); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "udp/multicast", Does: "send to a group by the interface that leads out", Needs: outer, Try: sending(toGroup, func(s *sock, g *Ground, to []byte) error {
			if err := s.set(unix.SOL_IP, unix.IP_MULTICAST_IF, g.Host4.AsSlice()); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/multicast-member", Does: "join a group, and send to it", Needs: outer, Try: sending(toGroup, func(s *sock, g *Ground, to []byte) error {
			group := netip.AddrFrom4([4]byte(to[4:8]))
			if err := s.set(unix.SOL_IP, unix.IP_ADD_MEMBERSHIP, append(group.AsSlice(), g.Host4.AsSlice()...)); err != nil {
				return err
			}
			if err := s.set(unix.SOL_IP, unix.IP_MULTICAST_IF, g.Host4.AsSlice()); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/multicast-unrouted", Does: "send to all hosts of the link without asking for a route", Needs: outer,
			Try: sending(toHosts, func(s *sock, g *Ground, to []byte) error {
				if err := s.bindToDevice(g.Outer); err != nil {
					return err
				}
				return s.sendto([]byte(g.Token), unix.MSG_DONTROUTE, to)
			})},
		{Name: "udp/multicast-ipv6", Does: "send to all IPv6 hosts of the link, by its scope", Needs: []Need{NeedOuter, NeedIPv6},
			Try: sending(toNeighbours, func(s *sock, g *Ground, to []byte) error {
				index, err := g.outerIndex()
				if err != nil {
					return err
				}
				copy(to[24:], index)
				return s.sendto([]byte(g.Token), 0, to)
			})},
		{Name: "udp/multicast-ipv6-interface", Does: "send to all IPv6 hosts of the link, by a socket option", Needs: []Need{NeedOuter, NeedIPv6},
			Try: sending(toNeighbours, func(s *sock, g *Ground, to []byte) error {
				index, err := g.outerIndex()
				if err != nil {
					return err
				}
				if err := s.set(unix.SOL_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
					return err
				}
				return s.sendto([]byte(g.Token), 0, to)
			})},
		{Name: "udp/link-local", Does: "send to the router's own IPv6 address on the link", Needs: []Need{NeedOuter, NeedIPv6},
			Try: func(g *Ground) error {
				index, err := g.outerIndex()
				if err != nil {
					return err
				}
				// Solicited-node multicast of it, RFC 4291 §2.7.1: whoever has
				// the address, the link carries it.
				to := sockaddr(netip.AddrPortFrom(netip.MustParseAddr("ff02::1:ff00:2"), groupPort))
				copy(to[24:], index)
				s, err := newSock(unix.AF_INET6, unix.SOCK_DGRAM, 0)
				if err != nil {
					return err
				}
				if err := s.connect(to); err != nil {
					return fmt.Errorf("link-local: %w", err)
				}
				return s.write([]byte(g.Token))
			}},
	}
}

// broadcast sends to an address of everybody's.
func broadcast(s *sock, g *Ground, to []byte) error {
	if err := s.setInt(unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	return s.sendto([]byte(g.Token), 0, to)
}
