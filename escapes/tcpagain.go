package escapes

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// tcpAgainAttempts connect sockets that were something before.
func tcpAgainAttempts() []Attempt {
	allowed := func(g *Ground) netip.AddrPort { return g.Allowed.AddrPort4() }
	return []Attempt{
		{Name: "tcp/again-dissolved", Does: "connect where it may, dissolve that, and connect elsewhere", Try: connectAgain(allowed, (*sock).dissolve)},
		{Name: "tcp/again-dissolved-short", Does: "dissolve with an address of two bytes, and connect elsewhere",
			Try: connectAgain(allowed, func(s *sock) error { return s.connect(make([]byte, 2)) })},
		{Name: "tcp/again-reset", Does: "connect where it may, reset that by shutdown and dissolving, and connect elsewhere",
			Try: connectAgain(allowed, func(s *sock) error {
				if err := s.set(unix.SOL_SOCKET, unix.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
					return err
				}
				if _, err := call(unix.SYS_SHUTDOWN, s.fd, unix.SHUT_RDWR); err != nil {
					return fmt.Errorf("shutdown: %w", err)
				}
				return s.dissolve()
			})},
		{Name: "tcp/again-refused", Does: "be refused on loopback, and connect elsewhere", Try: func(g *Ground) error {
			s, err := streamTo(g.Denied.AddrPort4())
			if err != nil {
				return err
			}
			closed := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 1)
			if s.connect(sockaddr(closed)) == nil {
				return fmt.Errorf("somebody listens on port 1")
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/again-family", Does: "turn a connected IPv6 socket into an IPv4 one, and connect elsewhere", Try: func(g *Ground) error {
			const addrForm = 1 // IPV6_ADDRFORM, <linux/in6.h>
			s, err := streamTo(g.Allowed.Mapped())
			if err != nil {
				return err
			}
			if err := s.connect(sockaddr(g.Allowed.Mapped())); err != nil {
				return err
			}
			if err := s.setInt(unix.SOL_IPV6, addrForm, unix.AF_INET); err != nil {
				return err
			}
			if err := s.dissolve(); err != nil {
				return err
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/again-other-family", Does: "connect by IPv6, dissolve that, and connect by IPv4", Needs: []Need{NeedIPv6}, Try: func(g *Ground) error {
			s, err := streamTo(g.Allowed.AddrPort6())
			if err != nil {
				return err
			}
			if err := s.connect(sockaddr(g.Allowed.AddrPort6())); err != nil {
				return err
			}
			if err := s.dissolve(); err != nil {
				return err
			}
			return s.connectAndWrite(g, g.Denied.Mapped())
		}},
		{Name: "tcp/again-accepted", Does: "dissolve a connection that it accepted, and connect that socket", Try: connectAccepted},
		{Name: "tcp/again-listener", Does: "dissolve a listener, and connect it", Try: func(g *Ground) error {
			s, _, err := ownListener()
			if err != nil {
				return err
			}
			if err := s.dissolve(); err != nil {
				return err
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/again-self", Does: "connect to itself by a simultaneous open, dissolve that, and connect elsewhere", Try: connectSelf},
		{Name: "tcp/again-flood", Does: "connect and dissolve a hundred times, and connect elsewhere", Try: func(g *Ground) error {
			s, err := newSock(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return err
			}
			name, nowhere := s.lay(sockaddr(g.Allowed.AddrPort4())), s.lay(make([]byte, unix.SizeofSockaddrInet4))
			for range 100 {
				for _, at := range []uintptr{name, nowhere} {
					_, _ = call(unix.SYS_CONNECT, s.fd, at, unix.SizeofSockaddrInet4) // in progress, or refused
				}
			}
			if err := s.connect(sockaddr(g.Denied.AddrPort4())); err != nil && !inProgress(err) {
				return err
			}
			if err := s.ready(attemptTime / 4); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		}},
	}
}

// connectAgain connects where it may, has that undone, and connects to the
// denied peer.
func connectAgain(first func(*Ground) netip.AddrPort, undo func(*sock) error) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(first(g))
		if err != nil {
			return err
		}
		if err := s.connect(sockaddr(first(g))); err != nil {
			return err
		}
		if err := undo(s); err != nil {
			return err
		}
		return s.connectAndWrite(g, g.Denied.AddrPort4())
	}
}

// ownListener listens on a port of the kernel's choice, on every address: a
// socket that was bound to one keeps it.
func ownListener() (*sock, netip.AddrPort, error) {
	none := netip.AddrPort{}
	s, err := newSock(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, none, err
	}
	if _, err := call(unix.SYS_LISTEN, s.fd, 8); err != nil {
		return nil, none, fmt.Errorf("listen: %w", err)
	}
	at, err := s.name()
	if err != nil {
		return nil, none, err
	}
	return s, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()), nil
}

// connectAccepted accepts a connection of its own, and connects the socket
// that the kernel made for it.
func connectAccepted(g *Ground) error {
	l, at, err := ownListener()
	if err != nil {
		return err
	}
	c, err := streamTo(at)
	if err != nil {
		return err
	}
	if err := c.connect(sockaddr(at)); err != nil {
		return err
	}
	if err := l.readable(attemptTime / 4); err != nil {
		return err
	}
	fd, err := call(unix.SYS_ACCEPT4, l.fd, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	s, err := wrapSock(fd)
	if err != nil {
		return err
	}
	if err := s.dissolve(); err != nil {
		return err
	}
	return s.connectAndWrite(g, g.Denied.AddrPort4())
}

// readable waits until there is something to read or to accept.
func (s *sock) readable(limit time.Duration) error {
	poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, int(limit.Milliseconds())); err != nil || n == 0 {
		return fmt.Errorf("nothing came: %w", err)
	}
	return nil
}

// connectSelf connects a socket to the port that it is bound to itself: the
// handshake is a simultaneous open, RFC 9293 §3.5.
func connectSelf(g *Ground) error {
	s, err := newSock(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := s.bind(sockaddr(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))); err != nil {
		return err
	}
	at, err := s.name()
	if err != nil {
		return err
	}
	// The error of one whom no rule lets connect there does not end the
	// attempt: what counts is where it goes next.
	_ = s.connect(sockaddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())))
	if err := s.dissolve(); err != nil {
		return err
	}
	return s.connectAndWrite(g, g.Denied.AddrPort4())
}
