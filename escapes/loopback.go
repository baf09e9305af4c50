package escapes

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// loopbackAttempts reach processes outside that listen on this machine.
func loopbackAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "loopback/ipv4", Does: "connect to a process outside on 127.0.0.1", Try: func(g *Ground) error {
			return connectAndWrite(g, g.Loopback.AddrPort4())
		}},
		{Name: "loopback/ipv6", Does: "connect to a process outside on ::1", Try: func(g *Ground) error {
			return connectAndWrite(g, g.Loopback.AddrPort6())
		}},
		{Name: "loopback/mapped", Does: "connect to ::ffff:127.0.0.1", Try: func(g *Ground) error {
			return connectAndWrite(g, g.Loopback.Mapped())
		}},
		{Name: "loopback/unspecified", Does: "connect to 0.0.0.0, which is loopback", Try: func(g *Ground) error {
			return connectAndWrite(g, netip.AddrPortFrom(netip.IPv4Unspecified(), g.Loopback.Port))
		}},
		{Name: "loopback/unspecified-ipv6", Does: "connect to ::, which is loopback", Try: func(g *Ground) error {
			return connectAndWrite(g, netip.AddrPortFrom(netip.IPv6Unspecified(), g.Loopback.Port))
		}},
		{Name: "loopback/unspecified-mapped", Does: "connect to ::ffff:0.0.0.0", Try: func(g *Ground) error {
			return connectAndWrite(g, Peer{V4: netip.IPv4Unspecified(), Port: g.Loopback.Port}.Mapped())
		}},
		{Name: "loopback/other-address", Does: "connect to 127.8.9.10, where a wildcard listener answers", Try: func(g *Ground) error {
			return connectOrdered(g, order{Network: "tcp4", Address: "0.0.0.0:0"}, netip.MustParseAddr("127.8.9.10"))
		}},
		{Name: "loopback/by-name", Does: "connect to localhost by its name", Try: func(g *Ground) error {
			return writeTo(g, "tcp", net.JoinHostPort("localhost", strconv.Itoa(int(g.Loopback.Port))))
		}},
		{Name: "loopback/relay", Does: "connect to a process of the same user that relays to a denied peer", Try: func(g *Ground) error {
			return connectOrdered(g, order{Network: "tcp4", Address: "127.0.0.1:0", Relay: true}, loopback4)
		}},
		{Name: "loopback/own-address", Does: "connect to the machine's outer address", Needs: []Need{NeedOuter}, Try: func(g *Ground) error {
			return connectOrdered(g, order{Network: "tcp4", Address: "0.0.0.0:0"}, g.Host4)
		}},
		{Name: "loopback/own-address-ipv6", Does: "connect to the machine's outer IPv6 address", Needs: []Need{NeedOuter, NeedIPv6}, Try: func(g *Ground) error {
			return connectOrdered(g, order{Network: "tcp6", Address: "[::]:0"}, g.Host6)
		}},
		{Name: "loopback/udp", Does: "send to a process outside on 127.0.0.1", Try: func(g *Ground) error {
			return writeTo(g, "udp", g.Loopback.AddrPort4().String())
		}},
		{Name: "loopback/udp-ipv6", Does: "send to a process outside on ::1", Try: func(g *Ground) error {
			return writeTo(g, "udp", g.Loopback.AddrPort6().String())
		}},
		{Name: "loopback/udp-unspecified", Does: "send to 0.0.0.0, which is loopback", Try: func(g *Ground) error {
			return writeTo(g, "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), g.Loopback.Port).String())
		}},
	}
	return append(attempts, portAttempts()...)
}

// connectOrdered has a listener opened outside and connects to its port.
func connectOrdered(g *Ground, o order, to netip.Addr) error {
	at, err := g.order(o)
	if err != nil {
		return err
	}
	ap, err := netip.ParseAddrPort(at)
	if err != nil {
		return err
	}
	return connectAndWrite(g, netip.AddrPortFrom(to, ap.Port()))
}

// writeTo writes the token as an ordinary program does.
func writeTo(g *Ground, network, address string) error {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(g.Token))
	return err
}

// inet is a socket of the attempt's with memory for what it is passed.
type inet struct {
	fd uintptr
	m  memory
}

func newInet(family, typ, proto uintptr) (*inet, error) {
	fd, err := call(unix.SYS_SOCKET, family, typ|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	m, err := newMemory(4096)
	if err != nil {
		return nil, err
	}
	return &inet{fd, m}, nil
}

// set sets an int option.
func (s *inet) set(level, option uintptr, value uint32) error {
	if _, err := call(unix.SYS_SETSOCKOPT, s.fd, level, option, s.m.half(512, value), 4); err != nil {
		return fmt.Errorf("setsockopt: %w", err)
	}
	return nil
}

// device binds the socket to an interface.
func (s *inet) device(name string) error {
	_, err := call(unix.SYS_SETSOCKOPT, s.fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, s.m.put(512, append([]byte(name), 0)), uintptr(len(name)+1))
	if err != nil {
		return fmt.Errorf("bind to device: %w", err)
	}
	return nil
}

func (s *inet) bind(to netip.AddrPort) error { return s.bindBytes(sockaddr(to)) }

func (s *inet) bindBytes(name []byte) error {
	if _, err := call(unix.SYS_BIND, s.fd, s.m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func (s *inet) connect(to netip.AddrPort) error { return s.connectBytes(sockaddr(to)) }

func (s *inet) connectBytes(name []byte) error {
	if _, err := call(unix.SYS_CONNECT, s.fd, s.m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

func (s *inet) listen() error {
	if _, err := call(unix.SYS_LISTEN, s.fd, 2*manyTimes); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// port is the port to which the kernel says the socket is bound.
func (s *inet) port() (uint16, error) {
	s.m.half(256, 128)
	if _, err := call(unix.SYS_GETSOCKNAME, s.fd, s.m.at(0), s.m.at(256)); err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	return uint16(s.m[2])<<8 | uint16(s.m[3]), nil
}
