package escapes

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

const msgFastOpen = 0x20000000 // MSG_FASTOPEN, <linux/socket.h>

// tcpFastOpenAttempts connect by sending, RFC 7413.
func tcpFastOpenAttempts() []Attempt {
	v4 := func(g *Ground) netip.AddrPort { return g.Denied.AddrPort4() }
	v6 := func(g *Ground) netip.AddrPort { return g.Denied.AddrPort6() }
	mapped := func(g *Ground) netip.AddrPort { return g.Denied.Mapped() }
	sendto := func(s *sock, g *Ground, to []byte) error { return s.sendto([]byte(g.Token), msgFastOpen, to) }
	one := func(g *Ground, to []byte) message { return message{name: to, parts: [][]byte{[]byte(g.Token)}} }
	return []Attempt{
		{Name: "tcp/fastopen-sendto", Does: "connect by sendto", Try: fastOpen(v4, sendto)},
		{Name: "tcp/fastopen-ipv6", Does: "connect by sendto over IPv6", Needs: []Need{NeedIPv6}, Try: fastOpen(v6, sendto)},
		{Name: "tcp/fastopen-mapped", Does: "connect an IPv6 socket to an IPv4 address by sendto", Try: fastOpen(mapped, sendto)},
		{Name: "tcp/fastopen-sendmsg", Does: "connect by sendmsg", Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
			return s.sendmsg(msgFastOpen, one(g, to))
		})},
		{Name: "tcp/fastopen-sendmmsg", Does: "connect by sendmmsg", Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
			return s.sendmmsg(msgFastOpen, one(g, to))
		})},
		{Name: "tcp/fastopen-high-bits", Does: "connect by sendto with bits above the low 32 of its flags",
			Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
				return s.sendto([]byte(g.Token), 1<<40|msgFastOpen, to)
			})},
		{Name: "tcp/fastopen-more-flags", Does: "connect by sendmsg with other flags beside",
			Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
				return s.sendmsg(msgFastOpen|unix.MSG_NOSIGNAL|unix.MSG_WAITALL|unix.MSG_CONFIRM, one(g, to))
			})},
		{Name: "tcp/fastopen-empty", Does: "connect by sending nothing", Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
			if err := s.sendto(nil, msgFastOpen, to); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "tcp/fastopen-nonblocking", Does: "connect by sendto without blocking", Try: func(g *Ground) error {
			s, err := newSock(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return err
			}
			if err := sendto(s, g, sockaddr(v4(g))); err != nil && !inProgress(err) {
				return err
			}
			if err := s.ready(attemptTime / 2); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		}},
		{Name: "tcp/fastopen-dissolved", Does: "connect where it may, dissolve that, and connect elsewhere by sendto",
			Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
				if err := s.connect(sockaddr(g.Allowed.AddrPort4())); err != nil {
					return err
				}
				if err := s.dissolve(); err != nil {
					return err
				}
				return sendto(s, g, to)
			})},
		{Name: "tcp/fastopen-option", Does: "have connect put off until the first write", Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
			if err := s.setInt(unix.SOL_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
				return err
			}
			if err := s.connect(to); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "tcp/fastopen-option-high-bits", Does: "have connect put off, by bits above the low 32 of level and option",
			Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
				const above = 1 << 32
				if err := s.setInt(above|unix.SOL_TCP, above|unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
					return err
				}
				if err := s.connect(to); err != nil {
					return err
				}
				return s.write([]byte(g.Token))
			})},
		{Name: "tcp/fastopen-cookieless", Does: "connect by sendto with the data in the first packet",
			Try: fastOpen(v4, func(s *sock, g *Ground, to []byte) error {
				const noCookie = 34 // TCP_FASTOPEN_NO_COOKIE, <linux/tcp.h>
				if err := s.setInt(unix.SOL_TCP, noCookie, 1); err != nil {
					return err
				}
				return sendto(s, g, to)
			})},
		{Name: "tcp/fastopen-child", Does: "connect by sendto in a vforked child", Needs: []Need{NeedAMD64}, Try: func(g *Ground) error {
			s, err := streamTo(v4(g))
			if err != nil {
				return err
			}
			text, name := []byte(g.Token), sockaddr(v4(g))
			return s.child(unix.CLONE_VM|unix.CLONE_VFORK, []step{{number: unix.SYS_SENDTO, args: [6]uintptr{
				s.fd, s.lay(text), uintptr(len(text)), msgFastOpen, s.lay(name), uintptr(len(name)),
			}}})
		}},
	}
}

// fastOpen sends with a socket that is not connected.
func fastOpen(to func(*Ground) netip.AddrPort, send func(*sock, *Ground, []byte) error) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(to(g))
		if err != nil {
			return err
		}
		if err := send(s, g, sockaddr(to(g))); err != nil {
			return fmt.Errorf("fast open: %w", err)
		}
		return nil
	}
}
