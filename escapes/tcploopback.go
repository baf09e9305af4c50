package escapes

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// tcpLoopbackAttempts connect to this machine's own addresses.
func tcpLoopbackAttempts() []Attempt {
	return []Attempt{
		{Name: "tcp/self-zero", Does: "connect to the address of all zeroes, which is loopback", Try: func(g *Ground) error {
			return connectAndWrite(g, netip.AddrPortFrom(netip.IPv4Unspecified(), g.Loopback.Port))
		}},
		{Name: "tcp/self-zero-ipv6", Does: "connect to the IPv6 address of all zeroes", Needs: []Need{NeedIPv6}, Try: func(g *Ground) error {
			return connectAndWrite(g, netip.AddrPortFrom(netip.IPv6Unspecified(), g.Loopback.Port))
		}},
		{Name: "tcp/self-zero-mapped", Does: "connect an IPv6 socket to the IPv4 address of all zeroes", Try: func(g *Ground) error {
			zero := netip.AddrFrom16(netip.IPv4Unspecified().As16())
			return connectAndWrite(g, netip.AddrPortFrom(zero, g.Loopback.Port))
		}},
		{Name: "tcp/self-outer", Does: "connect to this machine by the address that outside knows", Needs: []Need{NeedOuter}, Try: func(g *Ground) error {
			return connectAndWrite(g, netip.AddrPortFrom(g.Host4, g.Loopback.Port))
		}},
		{Name: "tcp/self-outer-ipv6", Does: "connect to this machine by the IPv6 address that outside knows", Needs: []Need{NeedOuter, NeedIPv6},
			Try: func(g *Ground) error { return connectAndWrite(g, netip.AddrPortFrom(g.Host6, g.Loopback.Port)) }},
		{Name: "tcp/loopback-out", Does: "connect to a listener of its own, but by the interface that leads out", Needs: []Need{NeedOuter},
			Try: func(g *Ground) error {
				_, at, err := ownListener()
				if err != nil {
					return err
				}
				s, err := streamTo(at)
				if err != nil {
					return err
				}
				if err := s.bindToDevice(g.Outer); err != nil {
					return err
				}
				return connectBriefly(s, sockaddr(at))
			}},
		{Name: "tcp/web-out", Does: "connect to a web port by the interface that leads out", Needs: []Need{NeedOuter, NeedWeb},
			Try: func(g *Ground) error {
				to := netip.AddrPortFrom(g.Denied.V4, 443)
				s, err := streamTo(to)
				if err != nil {
					return err
				}
				if err := s.bindToDevice(g.Outer); err != nil {
					return err
				}
				return connectBriefly(s, sockaddr(to))
			}},
		{Name: "tcp/web-out-ipv6", Does: "connect to a web port by IPv6 and the interface that leads out", Needs: []Need{NeedOuter, NeedWeb, NeedIPv6},
			Try: func(g *Ground) error {
				to := netip.AddrPortFrom(g.Denied.V6, 443)
				s, err := streamTo(to)
				if err != nil {
					return err
				}
				if err := s.setInt(unix.SOL_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
					return err
				}
				if err := s.bindToDevice(g.Outer); err != nil {
					return err
				}
				return connectBriefly(s, sockaddr(to))
			}},
		{Name: "tcp/web-behind", Does: "find out where a web connection really leads, and connect there again", Needs: []Need{NeedWeb}, Try: connectBehind},
	}
}

// connectBehind asks the kernel's table, rather than getpeername, where a
// connection leads. To that address, and to others of that listener's, it
// connects once more and writes what opens something elsewhere.
func connectBehind(g *Ground) error {
	to := netip.AddrPortFrom(g.Denied.V4, 80)
	s, err := streamTo(to)
	if err != nil {
		return err
	}
	if err := s.connect(sockaddr(to)); err != nil {
		return err
	}
	real, err := s.leadsTo()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("CONNECT %v HTTP/1.1\r\nHost: %[1]v\r\n\r\n%s", g.Denied.AddrPort4(), g.Token)
	var errs []error
	for _, at := range []netip.Addr{real.Addr(), real.Addr().Next(), netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.AddrFrom4([4]byte{127, 1, 2, 3})} {
		again, err := streamTo(real)
		if err != nil {
			return err
		}
		if err = again.connect(sockaddr(netip.AddrPortFrom(at, real.Port()))); err == nil {
			err = again.write([]byte(text))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// leadsTo finds the socket in the kernel's table of connections and returns
// the other end's address, proc_pid_net(5).
func (s *sock) leadsTo() (netip.AddrPort, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.fd), &st); err != nil {
		return netip.AddrPort{}, fmt.Errorf("fstat: %w", err)
	}
	table, err := os.Open("/proc/self/net/tcp")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer table.Close()
	const remoteField, inodeField = 2, 9
	for lines := bufio.NewScanner(table); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > inodeField && fields[inodeField] == fmt.Sprint(st.Ino) {
			return tableAddress(fields[remoteField])
		}
	}
	return netip.AddrPort{}, fmt.Errorf("socket %d is in no table", st.Ino)
}

// tableAddress reads an address of /proc/net/tcp: a number in the machine's
// order, and the port.
func tableAddress(text string) (netip.AddrPort, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(b) != 6 {
		return netip.AddrPort{}, fmt.Errorf("read address %q: %w", text, err)
	}
	var ip [4]byte
	binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(b))
	return netip.AddrPortFrom(netip.AddrFrom4(ip), binary.BigEndian.Uint16(b[4:])), nil
}
