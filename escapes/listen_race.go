package escapes

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// shutdownUnderListen: a connection to a loopback listener whose queue is full
// stays half made, and gives the socket a loopback address that is not its
// own choice. Shutdown dissolves that (net/ipv4/af_inet.c, inet_shutdown), and
// who listens then gets the wildcard address.
func shutdownUnderListen(g *Ground) error {
	own, at, err := listenLoopback(netip.AddrPortFrom(loopback4, 0), nil)
	if err != nil {
		return err
	}
	if _, err := call(unix.SYS_LISTEN, own.fd, 0); err != nil {
		return err
	}
	for range 3 { // more than the queue has room for
		if s, err := newInet(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); err == nil {
			_ = s.connect(at)
		}
	}
	return g.raceListen(func() (*inet, error) {
		s, err := newInet(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		_ = s.connect(at) // under way
		shut := make(chan struct{})
		go func() {
			defer close(shut)
			turn(time.Duration(rand.IntN(400)) * time.Microsecond)
			_ = unix.Shutdown(int(s.fd), unix.SHUT_RD)
		}()
		for s.listen() != nil {
			select {
			case <-shut:
				return s, s.listen()
			default:
			}
		}
		<-shut
		return s, nil
	})
}

// turn waits for less than a sleep can.
func turn(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// raceListen makes listeners until outside could reach one, and has that one
// called.
func (g *Ground) raceListen(try func() (*inet, error)) error {
	var reached *inet
	var failed error
	g.until(func() {
		if reached != nil {
			return
		}
		s, err := try()
		if err == nil && s.isOpen() {
			reached = s
			return
		}
		failed = err
		if s != nil {
			unix.Close(int(s.fd))
			_ = unix.Munmap(s.m)
		}
	})
	if reached == nil {
		return failed
	}
	return g.called(reached, "tcp")
}

// isOpen tells whether the socket has the wildcard address. The kernel's table
// is asked, proc_pid_net(5): getsockname may say what the caller expects.
func (s *inet) isOpen() bool {
	port, err := s.port()
	if err != nil {
		return false
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, _ := os.ReadFile(table)
		if regexp.MustCompile(fmt.Sprintf(`: 0+:%04X [0-9A-F]+:0000 0A`, port)).Match(text) {
			return true
		}
	}
	return false
}

// raceV6Only: what IPV6_V6ONLY says decides which families are meant.
func raceV6Only(g *Ground) error {
	return g.raceListen(func() (*inet, error) {
		s, err := newInet(unix.AF_INET6, unix.SOCK_STREAM, 0)
		if err != nil {
			return nil, err
		}
		m, err := newMemory(4096)
		if err != nil {
			return s, err
		}
		defer func() { _ = unix.Munmap(m) }()
		done := make(chan struct{})
		go func() {
			defer close(done)
			other := &inet{s.fd, m}
			for i := range uint32(40) {
				_ = other.set(unix.SOL_IPV6, unix.IPV6_V6ONLY, i%2)
			}
		}()
		err = s.bind(netip.AddrPortFrom(netip.IPv6Unspecified(), 0))
		<-done
		if err != nil {
			return s, err
		}
		return s, s.listen()
	})
}
