package escapes

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// tcpTunnelAttempts lay the way to the allowed peer through a tunnel to
// elsewhere. Only root may; but somebody who asks for others may be root.
func tcpTunnelAttempts() []Attempt {
	needs := []Need{NeedRoot, NeedOuter, NeedIPv6}
	kernel := binary.NativeEndian.AppendUint16(nil, unix.AF_NETLINK)
	kernel = append(kernel, make([]byte, unix.SizeofSockaddrNetlink-len(kernel))...)
	return []Attempt{
		{Name: "tcp/tunnel-sendto", Does: "lay a route through a tunnel, asked for by sendto with an address", Needs: needs,
			Try: connectTunnelled(func(s *sock, b []byte) error { return s.sendto(b, 0, kernel) })},
		{Name: "tcp/tunnel-sendmsg", Does: "lay a route through a tunnel, asked for by sendmsg with an address", Needs: needs,
			Try: connectTunnelled(func(s *sock, b []byte) error {
				return s.sendmsg(0, message{name: kernel, parts: [][]byte{b}})
			})},
		{Name: "tcp/tunnel-connected", Does: "lay a route through a tunnel, asked for on a connected socket", Needs: needs,
			Try: connectTunnelled(func(s *sock, b []byte) error {
				if err := s.connect(kernel); err != nil {
					return err
				}
				return s.write(b)
			})},
	}
}

// connectTunnelled has the route laid, connects to the allowed peer, and takes
// the route away.
func connectTunnelled(ask func(*sock, []byte) error) func(*Ground) error {
	return func(g *Ground) error {
		device, err := net.InterfaceByName(g.Outer)
		if err != nil {
			return err
		}
		s, err := newSock(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		if err := ask(s, tunnelRoute(g, device.Index, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)); err != nil {
			return fmt.Errorf("lay route: %w", err)
		}
		defer func() { _ = ask(s, tunnelRoute(g, device.Index, unix.RTM_DELROUTE, 0)) }() // it may not be there
		c, err := streamTo(g.Allowed.AddrPort6())
		if err != nil {
			return err
		}
		return connectBriefly(c, sockaddr(g.Allowed.AddrPort6()))
	}
}

// tunnelRoute returns a netlink message about a route to the allowed peer that
// leads through a tunnel of IPv6 segments to the denied one, rtnetlink(7),
// <linux/seg6_iptunnel.h>.
func tunnelRoute(g *Ground, device int, kind, flags uint16) []byte {
	const (
		encap, encapType    = 22, 21 // RTA_ENCAP, RTA_ENCAP_TYPE
		typeSegments        = 5      // LWTUNNEL_ENCAP_SEG6
		segments, modeEncap = 1, 1   // SEG6_IPTUNNEL_SRH, SEG6_IPTUN_MODE_ENCAP
		all                 = 128
	)
	tunnel := binary.NativeEndian.AppendUint32(nil, modeEncap)
	tunnel = append(append(tunnel, 0, 2, 4, 0, 0, 0, 0, 0), g.Denied.V6.AsSlice()...)
	body := slices.Concat(
		[]byte{unix.AF_INET6, all, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0},
		routeAttribute(unix.RTA_DST, g.Allowed.V6.AsSlice()),
		routeAttribute(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(device))),
		routeAttribute(encapType, binary.NativeEndian.AppendUint16(nil, typeSegments)),
		routeAttribute(encap, routeAttribute(segments, tunnel)),
	)
	head := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	head = binary.NativeEndian.AppendUint16(head, kind)
	head = binary.NativeEndian.AppendUint16(head, unix.NLM_F_REQUEST|flags)
	return append(append(head, make([]byte, 8)...), body...)
}
