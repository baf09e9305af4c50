package escapes

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// listenAttempts have outside reach in.
func listenAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "listen/wildcard", Does: "listen on 0.0.0.0", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), listenPort(g))))
		}},
		{Name: "listen/wildcard-any-port", Does: "listen on 0.0.0.0 at a port of the kernel's choice", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)))
		}},
		{Name: "listen/outer-address", Does: "listen on the machine's outer address", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, bindAt(netip.AddrPortFrom(g.Host4, 0)))
		}},
		{Name: "listen/unbound", Does: "listen without bind", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0)
		}},
		{Name: "listen/unbound-ipv6", Does: "listen without bind by IPv6, for both families", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET6, 0)
		}},
		{Name: "listen/dual-stack", Does: "listen on :: and be called by IPv4", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET6, 0, setTo(unix.SOL_IPV6, unix.IPV6_V6ONLY, 0), bindAt(netip.AddrPortFrom(netip.IPv6Unspecified(), 0)))
		}},
		{Name: "listen/mapped-wildcard", Does: "listen on ::ffff:0.0.0.0", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET6, 0, bindAt(Peer{V4: netip.IPv4Unspecified()}.Mapped()))
		}},
		{Name: "listen/mapped-outer", Does: "listen on the outer address, written as an IPv6 one", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET6, 0, bindAt(Peer{V4: g.Host4}.Mapped()))
		}},
		{Name: "listen/family-unspec", Does: "bind with the family AF_UNSPEC, which means the wildcard", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, func(s *inet) error { return s.bindBytes(make([]byte, unix.SizeofSockaddrInet4)) })
		}},
		{Name: "listen/rebound", Does: "listen on loopback, close, and listen on the wildcard at that port", Try: listenRebound},
		{Name: "listen/reuse-port", Does: "listen on loopback and beside it on the wildcard, by SO_REUSEPORT", Try: listenBeside},
		{Name: "listen/freebind", Does: "bind with IP_FREEBIND to the outer address", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, setTo(unix.SOL_IP, unix.IP_FREEBIND, 1), bindAt(netip.AddrPortFrom(g.Host4, 0)))
		}},
		{Name: "listen/transparent", Does: "bind with IP_TRANSPARENT", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, tolerant(setTo(unix.SOL_IP, unix.IP_TRANSPARENT, 1)), bindAt(netip.AddrPortFrom(g.Host4, 0)))
		}},
		{Name: "listen/late-port", Does: "bind an address without a port, which listen chooses", Try: func(g *Ground) error {
			const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT, <linux/in.h>
			return g.listenOn(unix.AF_INET, 0, setTo(unix.SOL_IP, bindAddressNoPort, 1), bindAt(netip.AddrPortFrom(g.Host4, 0)))
		}},
		{Name: "listen/device", Does: "bind to the outer device and the wildcard", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, func(s *inet) error { return s.device(g.Outer) }, bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)))
		}},
		{Name: "listen/defer-accept", Does: "listen on the wildcard with TCP_DEFER_ACCEPT and TCP_FASTOPEN", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, setTo(unix.SOL_TCP, unix.TCP_DEFER_ACCEPT, 1), setTo(unix.SOL_TCP, unix.TCP_FASTOPEN, 16))
		}},
		{Name: "listen/multipath", Does: "listen by MPTCP", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, unix.IPPROTO_MPTCP)
		}},
		{Name: "listen/multipath-ipv6", Does: "listen by MPTCP on IPv6, for both families", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET6, unix.IPPROTO_MPTCP, bindAt(netip.AddrPortFrom(netip.IPv6Unspecified(), 0)))
		}},
		{Name: "listen/passed", Does: "listen on a socket that came by SCM_RIGHTS", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, func(s *inet) error {
				fd, err := passed(int(s.fd))
				s.fd = uintptr(fd)
				return err
			})
		}},
		{Name: "listen/bound-by-child", Does: "listen on a socket that another process bound", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, func(s *inet) error { return g.bindByChild(s) })
		}},
		{Name: "listen/dissolved", Does: "connect to an own listener, dissolve, and listen", Try: listenDissolved},
		{Name: "listen/shut-down", Does: "listen, shut the listener down, and listen again", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, func(s *inet) error {
				if err := s.listen(); err != nil {
					return err
				}
				return unix.Shutdown(int(s.fd), unix.SHUT_RD)
			})
		}},
		{Name: "listen/refused", Does: "have a connect refused, then listen on that socket", Try: func(g *Ground) error {
			return g.listenOn(unix.AF_INET, 0, func(s *inet) error {
				_ = s.connect(netip.AddrPortFrom(loopback4, 1)) // nobody is there
				return nil
			})
		}},
		{Name: "listen/race-shutdown", Does: "dissolve a connection that is being made during listen", Long: true, Try: shutdownUnderListen},
		{Name: "listen/race-v6only", Does: "change IPV6_V6ONLY during bind", Long: true, Try: raceV6Only},
	}
	attempts = append(attempts, udpListenAttempts()...)
	for i := range attempts {
		attempts[i].Needs = append(attempts[i].Needs, NeedOuter)
	}
	return attempts
}

// listenOn makes a socket, does with it what it is told, listens, and is
// called from outside.
func (g *Ground) listenOn(family, proto uintptr, do ...func(*inet) error) error {
	s, err := newInet(family, unix.SOCK_STREAM, proto)
	if err != nil {
		return err
	}
	for _, one := range do {
		if err := one(s); err != nil {
			return err
		}
	}
	if err := s.listen(); err != nil {
		return err
	}
	return g.called(s, "tcp")
}

// called waits for a call to the machine's outer address at a socket's port.
func (g *Ground) called(s *inet, network string) error {
	port, err := s.port()
	if err != nil {
		return err
	}
	return g.Listens(network, netip.AddrPortFrom(g.Host4, port).String())
}

// listenPort is a port that is the attempt's own, as far as that is known.
func listenPort(g *Ground) uint16 {
	n, _ := strconv.ParseUint(g.Token[len(g.Token)-3:], 16, 16) // a token is hexadecimal
	return uint16(20000 + n)
}

func bindAt(at netip.AddrPort) func(*inet) error {
	return func(s *inet) error { return s.bind(at) }
}

func setTo(level, option uintptr, value uint32) func(*inet) error {
	return func(s *inet) error { return s.set(level, option, value) }
}

// tolerant goes on where that could not be done.
func tolerant(do func(*inet) error) func(*inet) error {
	return func(s *inet) error {
		_ = do(s)
		return nil
	}
}

// bindByChild has a child process bind the socket, which it finds as its
// standard input.
func (g *Ground) bindByChild(s *inet) error {
	fd, err := unix.Dup(int(s.fd))
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close()
	h, err := g.startHelper("bind", nil, file)
	if err != nil {
		return err
	}
	h.end()
	return nil
}

// bindStep binds the first inherited descriptor to the wildcard.
func bindStep(*Ground) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	s := &inet{firstInherited, m}
	if err := s.bind(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)); err != nil {
		return err
	}
	sayReady("bound")
	return nil
}

// listenRebound gives a port up that was seen to be on loopback.
func listenRebound(g *Ground) error {
	own, at, err := listenLoopback(netip.AddrPortFrom(loopback4, 0), reuseAddress)
	if err != nil {
		return err
	}
	unix.Close(int(own.fd))
	return g.listenOn(unix.AF_INET, 0, reuseAddress, bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())))
}

// listenBeside shares a port that was seen to be on loopback.
func listenBeside(g *Ground) error {
	_, at, err := listenLoopback(netip.AddrPortFrom(loopback4, 0), reuse)
	if err != nil {
		return err
	}
	return g.listenOn(unix.AF_INET, 0, reuse, bindAt(netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())))
}

// listenDissolved: connect gives an unbound socket a loopback address, which
// AF_UNSPEC takes away again, connect(2).
func listenDissolved(g *Ground) error {
	_, at, err := listenLoopback(netip.AddrPortFrom(loopback4, 0), nil)
	if err != nil {
		return err
	}
	return g.listenOn(unix.AF_INET, 0, func(s *inet) error {
		if err := s.connect(at); err != nil {
			return fmt.Errorf("reach own: %w", err)
		}
		return s.connectBytes(make([]byte, unix.SizeofSockaddrInet4))
	})
}
