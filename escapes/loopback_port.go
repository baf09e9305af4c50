package escapes

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// portAttempts have a port that is the session's and another's at once, or one
// after the other.
func portAttempts() []Attempt {
	return []Attempt{
		{Name: "loopback/port-taken-over", Does: "listen, close, and connect to who takes the port outside", Try: func(g *Ground) error {
			return portTakenOver(g, func(own *inet) { unix.Close(int(own.fd)) })
		}},
		{Name: "loopback/port-shut-down", Does: "listen, shut the listener down, and connect to who takes the port outside", Try: func(g *Ground) error {
			return portTakenOver(g, func(own *inet) { _ = unix.Shutdown(int(own.fd), unix.SHUT_RDWR) })
		}},
		{Name: "loopback/reuse-port", Does: "share a port with a listener outside by SO_REUSEPORT", Try: reusePort},
		{Name: "loopback/reuse-port-filter", Does: "share a port by SO_REUSEPORT and give every connection to the other", Try: reusePortFilter},
		{Name: "loopback/other-family", Does: "listen on ::1 at a port of which another has 127.0.0.1", Try: func(g *Ground) error {
			return besideOther(g, netip.AddrPortFrom(loopback6, g.Loopback.Port), true, g.Loopback.Mapped())
		}},
		{Name: "loopback/wildcard-beside", Does: "listen on the wildcard address at a port of which another has 127.0.0.1", Try: func(g *Ground) error {
			at, err := g.order(order{Network: "tcp4", Address: "127.0.0.1:0", ReusePort: true})
			if err != nil {
				return err
			}
			to := netip.MustParseAddrPort(at)
			return besideOther(g, netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port()), false, to)
		}},
		{Name: "loopback/other-address-beside", Does: "listen on 127.0.0.2 at a port of which another has the wildcard address", Try: func(g *Ground) error {
			at, err := g.order(order{Network: "tcp4", Address: "0.0.0.0:0", ReusePort: true})
			if err != nil {
				return err
			}
			port := netip.MustParseAddrPort(at).Port()
			own := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port)
			return besideOther(g, own, false, netip.AddrPortFrom(loopback4, port))
		}},
		{Name: "loopback/beside-device", Does: "listen on another device's side of a port that is taken on lo", Needs: []Need{NeedOuter}, Try: besideDevice},
		{Name: "loopback/udp-port-taken-over", Does: "give up a UDP port and send to who takes it outside", Try: udpTakenOver},
		{Name: "loopback/udp-reuse-port", Does: "share a UDP port with a process outside by SO_REUSEPORT", Try: udpReusePort},
		{Name: "loopback/race-port", Does: "give up a port to another between the look and the connect", Long: true, Try: racePort},
	}
}

// listenLoopback listens at a loopback address; port 0 is the kernel's choice.
func listenLoopback(at netip.AddrPort, prepare func(*inet) error) (*inet, netip.AddrPort, error) {
	s, err := newInet(family(at), unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, at, err
	}
	if prepare != nil {
		if err := prepare(s); err != nil {
			return nil, at, err
		}
	}
	if err := s.bind(at); err != nil {
		return nil, at, err
	}
	if err := s.listen(); err != nil {
		return nil, at, err
	}
	port, err := s.port()
	return s, netip.AddrPortFrom(at.Addr(), port), err
}

func reuseAddress(s *inet) error { return s.set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }

func reuse(s *inet) error { return s.set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

// portTakenOver gives up a port after the session was seen to listen there.
func portTakenOver(g *Ground, giveUp func(*inet)) error {
	own, at, err := listenLoopback(netip.AddrPortFrom(loopback4, 0), reuseAddress)
	if err != nil {
		return err
	}
	giveUp(own)
	if _, err := g.order(order{Network: "tcp4", Address: at.String()}); err != nil {
		return err
	}
	return connectAndWrite(g, at)
}

// manyTimes is enough for a choice of the kernel's to fall each way.
const manyTimes = 64

// reusePort connects until the kernel chooses the other's listener.
func reusePort(g *Ground) error {
	at, err := g.order(order{Network: "tcp4", Address: "127.0.0.1:0", ReusePort: true})
	if err != nil {
		return err
	}
	to := netip.MustParseAddrPort(at)
	if _, _, err := listenLoopback(to, reuse); err != nil {
		return err
	}
	for range manyTimes {
		err = connectAndWrite(g, to)
	}
	return err
}

// reusePortFilter chooses by a program, socket(7): the listener that was first.
func reusePortFilter(g *Ground) error {
	at, err := g.order(order{Network: "tcp4", Address: "127.0.0.1:0", ReusePort: true})
	if err != nil {
		return err
	}
	to := netip.MustParseAddrPort(at)
	own, _, err := listenLoopback(to, reuse)
	if err != nil {
		return err
	}
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	program := m.program(0, []instruction{{bpfReturn, 0, 0, 0}})
	if _, err := call(unix.SYS_SETSOCKOPT, own.fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, program, programSize); err != nil {
		return fmt.Errorf("attach program: %w", err)
	}
	return connectAndWrite(g, to)
}

// besideOther listens where that is possible, and connects to the other.
func besideOther(g *Ground, own netip.AddrPort, only6 bool, to netip.AddrPort) error {
	_, _, failed := listenLoopback(own, func(s *inet) error {
		if only6 {
			return s.set(unix.SOL_IPV6, unix.IPV6_V6ONLY, 1)
		}
		return reuse(s)
	})
	var err error
	for range manyTimes {
		err = connectAndWrite(g, to)
	}
	return errors.Join(err, failed)
}

// besideDevice: two listeners of one address can stand beside each other where
// each is bound to a device. The connection comes in on lo.
func besideDevice(g *Ground) error {
	at, err := g.order(order{Network: "tcp4", Address: "127.0.0.1:0", Device: "lo"})
	if err != nil {
		return err
	}
	to := netip.MustParseAddrPort(at)
	if _, _, err := listenLoopback(to, func(s *inet) error { return s.device(g.Outer) }); err != nil {
		return err
	}
	return connectAndWrite(g, to)
}

// udpTakenOver sends to a port that was the attempt's own.
func udpTakenOver(g *Ground) error {
	own, err := newInet(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := own.bind(netip.AddrPortFrom(loopback4, 0)); err != nil {
		return err
	}
	port, err := own.port()
	if err != nil {
		return err
	}
	to := netip.AddrPortFrom(loopback4, port)
	if err := writeTo(g, "udp4", to.String()); err != nil {
		return fmt.Errorf("reach own: %w", err)
	}
	unix.Close(int(own.fd))
	if _, err := g.order(order{Network: "udp4", Address: to.String()}); err != nil {
		return err
	}
	return writeTo(g, "udp4", to.String())
}

// udpReusePort sends from many ports until the kernel chooses the other.
func udpReusePort(g *Ground) error {
	at, err := g.order(order{Network: "udp4", Address: "127.0.0.1:0", ReusePort: true})
	if err != nil {
		return err
	}
	own, err := newInet(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := reuse(own); err != nil {
		return err
	}
	if err := own.bind(netip.MustParseAddrPort(at)); err != nil {
		return err
	}
	for range manyTimes {
		err = writeTo(g, "udp4", at)
	}
	return err
}

// racePort listens and stops listening, in turn, at a port that another takes
// whenever it is free, and connects all the while.
func racePort(g *Ground) error {
	own, at, err := listenLoopback(netip.AddrPortFrom(loopback4, 0), reuseAddress)
	if err != nil {
		return err
	}
	if _, err := g.order(order{Network: "tcp4", Address: at.String(), Eager: true}); err != nil {
		return err
	}
	var last error
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { g.until(func() { last = connectAndWrite(g, at) }) })
	g.until(func() {
		_ = unix.Shutdown(int(own.fd), unix.SHUT_RDWR)
		_ = own.listen()
	})
	return last
}
