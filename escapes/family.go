package escapes

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Protocols that x/sys does not name, <linux/in.h>.
const (
	ipprotoUDPLite = 136
	ipprotoMPTCP   = 262
	ipprotoTest    = 253 // RFC 3692
)

// familyAttempts use other families, types and protocols of sockets.
func familyAttempts() []Attempt {
	list := []Attempt{
		{Name: "family/ping", Does: "send an echo request by a ping socket", Needs: []Need{NeedOuter}, Try: func(g *Ground) error {
			return sendOn(unix.SOCK_DGRAM, unix.IPPROTO_ICMP, g.Denied.AddrPort4(), echo(8, g.Token))
		}},
		{Name: "family/ping-ipv6", Does: "send an ICMPv6 echo request by a ping socket", Needs: []Need{NeedOuter, NeedIPv6}, Try: func(g *Ground) error {
			return sendOn(unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6, g.Denied.AddrPort6(), echo(128, g.Token))
		}},
		{Name: "family/udplite", Does: "send by UDP-Lite", Needs: []Need{NeedOuter}, Try: func(g *Ground) error {
			return sendOn(unix.SOCK_DGRAM, ipprotoUDPLite, g.Denied.AddrPort4(), []byte(g.Token))
		}},
		{Name: "family/udplite-ipv6", Does: "send by UDP-Lite over IPv6", Needs: []Need{NeedOuter, NeedIPv6}, Try: func(g *Ground) error {
			return sendOn(unix.SOCK_DGRAM, ipprotoUDPLite, g.Denied.AddrPort6(), []byte(g.Token))
		}},
		{Name: "family/udplite-connected", Does: "connect by UDP-Lite and write", Needs: []Need{NeedOuter}, Try: func(g *Ground) error {
			return connectWith(g, unix.AF_INET, unix.SOCK_DGRAM, ipprotoUDPLite, sockaddr(g.Denied.AddrPort4()))
		}},
		{Name: "family/mptcp", Does: "connect by MPTCP", Try: func(g *Ground) error {
			return connectWith(g, unix.AF_INET, unix.SOCK_STREAM, ipprotoMPTCP, sockaddr(g.Denied.AddrPort4()))
		}},
		{Name: "family/mptcp-ipv6", Does: "connect by MPTCP over IPv6", Needs: []Need{NeedIPv6}, Try: func(g *Ground) error {
			return connectWith(g, unix.AF_INET6, unix.SOCK_STREAM, ipprotoMPTCP, sockaddr(g.Denied.AddrPort6()))
		}},
		{Name: "family/mptcp-fastopen", Does: "connect by the first send of MPTCP", Try: fastOpenMPTCP},
		{Name: "family/packet-cooked", Does: "write an IP packet to the link", Needs: []Need{NeedOuter, NeedRoot}, Try: func(g *Ground) error {
			return sendOnLink(g, unix.SOCK_DGRAM)
		}},
		{Name: "family/packet-raw", Does: "write a frame to the link", Needs: []Need{NeedOuter, NeedRoot}, Try: func(g *Ground) error {
			return sendOnLink(g, unix.SOCK_RAW)
		}},
		{Name: "family/netlink-generic", Does: "use another family of netlink", Rare: true, Try: func(g *Ground) error {
			return connectWith(g, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC, []byte{unix.AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		}},
	}
	for name, protocol := range map[string]uintptr{"icmp": unix.IPPROTO_ICMP, "udp": unix.IPPROTO_UDP, "gre": unix.IPPROTO_GRE, "sctp": unix.IPPROTO_SCTP, "test": ipprotoTest} {
		list = append(list, Attempt{
			Name: "family/raw-" + name, Does: fmt.Sprintf("send by a raw socket of protocol %d", protocol), Needs: []Need{NeedOuter, NeedRoot},
			Try: func(g *Ground) error {
				return sendOn(unix.SOCK_RAW, protocol, netip.AddrPortFrom(g.Denied.V4, 0), echo(8, g.Token))
			},
		})
	}
	list = append(list,
		Attempt{Name: "family/raw-header", Does: "send with an IP header of one's own", Needs: []Need{NeedOuter, NeedRoot}, Try: func(g *Ground) error {
			return sendOn(unix.SOCK_RAW, unix.IPPROTO_RAW, netip.AddrPortFrom(g.Denied.V4, 0), ipPacket(g))
		}},
		Attempt{Name: "family/raw-ipv6", Does: "send by a raw IPv6 socket", Needs: []Need{NeedOuter, NeedIPv6, NeedRoot}, Try: func(g *Ground) error {
			return sendOn(unix.SOCK_RAW, ipprotoTest, netip.AddrPortFrom(g.Denied.V6, 0), []byte(g.Token))
		}},
	)
	for _, rare := range []struct {
		name                   string
		domain, kind, protocol uintptr
	}{
		{"sctp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, {"sctp-packets", unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP},
		{"dccp", unix.AF_INET, unix.SOCK_DCCP, unix.IPPROTO_DCCP}, {"smc", unix.AF_SMC, unix.SOCK_STREAM, 0},
		{"l2tp", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_L2TP}, {"tipc", unix.AF_TIPC, unix.SOCK_RDM, 0},
		{"rds", unix.AF_RDS, unix.SOCK_SEQPACKET, 0}, {"vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0}, {"kcm", unix.AF_KCM, unix.SOCK_DGRAM, 0},
	} {
		list = append(list, Attempt{
			Name: "family/" + rare.name, Does: "connect by " + rare.name, Rare: true,
			Try: func(g *Ground) error {
				return connectWith(g, rare.domain, rare.kind, rare.protocol, sockaddr(g.Denied.AddrPort4()))
			},
		})
	}
	return sorted(append(list, netlinkAttempts()...))
}

// sorted brings attempts that were made from maps into a fixed order.
func sorted(list []Attempt) []Attempt {
	slices.SortFunc(list, func(a, b Attempt) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// echo is an ICMP echo request of a type with the token; the kernel fills in the
// checksum of a ping socket's.
func echo(kind byte, token string) []byte {
	b := append([]byte{kind, 0, 0, 0, 0, 1, 0, 1}, token...)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// ipPacket is a whole IPv4 packet to the denied peer.
func ipPacket(g *Ground) []byte {
	from, to := g.Host4.As4(), g.Denied.V4.As4()
	b := make([]byte, 20, 64)
	b[0], b[8], b[9] = 0x45, 64, ipprotoTest
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(g.Token)))
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return append(b, g.Token...)
}

// connectWith connects a socket of any kind and writes the token.
func connectWith(g *Ground, domain, kind, protocol uintptr, name []byte) error {
	fd, err := call(unix.SYS_SOCKET, domain, kind|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(int(fd))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	if _, err := call(unix.SYS_CONNECT, fd, m.put(0, name), uintptr(len(name))); err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("connect: %w", err)
	}
	waitFor(int(fd), unix.POLLOUT)
	_, err = call(unix.SYS_WRITE, fd, m.put(256, []byte(g.Token)), uintptr(len(g.Token)))
	return err
}

// waitFor waits a moment for an event of a descriptor.
func waitFor(fd int, events int16) {
	const most = 500 // milliseconds
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, most)
}

func fastOpenMPTCP(g *Ground) error {
	fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, ipprotoMPTCP)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(int(fd))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	name := sockaddr(g.Denied.AddrPort4())
	_, err = call(unix.SYS_SENDTO, fd, m.put(256, []byte(g.Token)), uintptr(len(g.Token)), unix.MSG_FASTOPEN, m.put(0, name), uintptr(len(name)))
	return err
}

func interfaceIndex(name string) (int, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("find interface: %w", err)
	}
	return device.Index, nil
}

// sendOnLink writes to the link itself, packet(7).
func sendOnLink(g *Ground, kind int) error {
	index, err := interfaceIndex(g.Outer)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, kind, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	all := [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	payload := ipPacket(g)
	if kind == unix.SOCK_RAW {
		head := append(append(all[:6:6], 2, 0, 0, 0, 0, 1), 8, 0) // ETH_P_IP
		payload = append(head, payload...)
	}
	const ipv4 = 0x0008 // ETH_P_IP in the network's order
	return unix.Sendto(fd, payload, 0, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: index, Halen: 6, Addr: all})
}
