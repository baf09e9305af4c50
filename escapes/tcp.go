package escapes

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// tcpAttempts connect by TCP.
func tcpAttempts() []Attempt {
	return bounded(slices.Concat(tcpConnectAttempts(), tcpAddressAttempts(), tcpAgainAttempts(), tcpFastOpenAttempts(),
		tcpRouteAttempts(), tcpGroupAttempts(), tcpTunnelAttempts(), tcpLoopbackAttempts(), tcpChildAttempts(), tcpWebAttempts()))
}

// tcpConnectAttempts vary how a program waits for its connection.
func tcpConnectAttempts() []Attempt {
	return []Attempt{
		{Name: "tcp/connect", Does: "connect and write", Try: func(g *Ground) error {
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/connect-ipv6", Does: "connect by IPv6", Needs: []Need{NeedIPv6}, Try: func(g *Ground) error {
			return connectAndWrite(g, g.Denied.AddrPort6())
		}},
		{Name: "tcp/connect-nonblocking", Does: "connect without blocking, wait with poll", Try: func(g *Ground) error {
			s, err := newSock(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
			if err != nil {
				return err
			}
			if err := s.connect(sockaddr(g.Denied.AddrPort4())); err != nil && !inProgress(err) {
				return err
			}
			if err := s.ready(attemptTime / 2); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		}},
		{Name: "tcp/connect-epoll", Does: "connect a socket that epoll already watches", Try: connectWatched},
		{Name: "tcp/connect-timeout", Does: "connect with a send timeout too short to wait for it", Try: func(g *Ground) error {
			s, err := streamTo(g.Denied.AddrPort4())
			if err != nil {
				return err
			}
			if err := s.set(unix.SOL_SOCKET, unix.SO_SNDTIMEO, words(0, 1)); err != nil {
				return err
			}
			if err := s.connect(sockaddr(g.Denied.AddrPort4())); err != nil && !inProgress(err) {
				return err
			}
			if err := s.ready(attemptTime / 2); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		}},
		{Name: "tcp/connect-signals", Does: "connect while signals come again and again", Try: connectUnderSignals},
		{Name: "tcp/connect-many-threads", Does: "connect one socket in four threads at once", Try: connectTogether},
		{Name: "tcp/descriptor-high", Does: "connect under a descriptor number above 1024", Try: func(g *Ground) error {
			const high = 1500
			limit := unix.Rlimit{Cur: 2 * high, Max: 2 * high}
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) // it may be higher already
			s, err := streamTo(g.Denied.AddrPort4())
			if err != nil {
				return err
			}
			if s.fd, err = call(unix.SYS_FCNTL, s.fd, unix.F_DUPFD, high); err != nil {
				return fmt.Errorf("duplicate: %w", err)
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/descriptor-passed", Does: "connect a socket that came back through a unix socket", Try: func(g *Ground) error {
			s, err := streamTo(g.Denied.AddrPort4())
			if err != nil {
				return err
			}
			if s, err = s.passed(); err != nil {
				return err
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/descriptor-executed", Does: "connect a socket from before an exec", Try: func(g *Ground) error {
			return acrossExec(func() (*sock, error) { return streamTo(g.Denied.AddrPort4()) }, func(s *sock) error {
				return s.connectAndWrite(g, g.Denied.AddrPort4())
			})
		}},
		{Name: "tcp/socket-high-bits", Does: "make the socket with bits above the low 32 of each register", Try: func(g *Ground) error {
			const above = 1 << 32
			s, err := newSock(unix.AF_INET|above, unix.SOCK_STREAM|above, unix.IPPROTO_TCP|above)
			if err != nil {
				return err
			}
			return s.connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/own-filter", Does: "connect behind a seccomp filter of its own that allows all", Try: connectBehindFilter},
	}
}

// connectAndWrite connects to an address and writes the token.
func connectAndWrite(g *Ground, to netip.AddrPort) error {
	s, err := streamTo(to)
	if err != nil {
		return err
	}
	return s.connectAndWrite(g, to)
}

// connectWatched registers the socket with epoll(7), then connects it.
func connectWatched(g *Ground) error {
	s, err := newSock(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	poll, err := unix.EpollCreate1(0)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	watch := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLET, Fd: int32(s.fd)}
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, int(s.fd), &watch); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	if err := s.connect(sockaddr(g.Denied.AddrPort4())); err != nil && !inProgress(err) {
		return err
	}
	for end := time.Now().Add(attemptTime / 2); time.Now().Before(end); {
		// The first event is the hang-up of a socket that is not connected yet.
		if _, err := unix.EpollWait(poll, make([]unix.EpollEvent, 1), 100); err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		if s.write([]byte(g.Token)) == nil {
			return nil
		}
	}
	return unix.ETIMEDOUT
}

// connectUnderSignals sends the connecting thread signals all the while, so
// that the call is begun anew where the kernel does that.
func connectUnderSignals(g *Ground) error {
	threads, done := make(chan int), make(chan struct{})
	defer close(done)
	go func() {
		thread := <-threads
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Microsecond):
				_ = unix.Tgkill(unix.Getpid(), thread, unix.SIGURG) // which Go itself uses
			}
		}
	}()
	return onOwnThread(func() error {
		threads <- unix.Gettid()
		var err error
		for range 20 {
			if err = connectAndWrite(g, g.Denied.AddrPort4()); err == nil {
				return nil
			}
		}
		return err
	})
}

// connectTogether has several threads connect one socket, half of them to the
// allowed peer.
func connectTogether(g *Ground) error {
	var last error
	for round := range 10 {
		s, err := streamTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		names := []uintptr{s.lay(sockaddr(g.Denied.AddrPort4())), s.lay(sockaddr(g.Allowed.AddrPort4()))}
		done := make(chan error, 4)
		for i := range cap(done) {
			go func() {
				_, err := call(unix.SYS_CONNECT, s.fd, names[(i+round)%len(names)], unix.SizeofSockaddrInet4)
				done <- err
			}()
		}
		for range cap(done) {
			<-done
		}
		last = s.write([]byte(g.Token))
	}
	return last
}

// connectBehindFilter installs a filter that allows everything, in the hope
// that the last one counts.
func connectBehindFilter(g *Ground) error {
	s, err := streamTo(g.Denied.AddrPort4())
	if err != nil {
		return err
	}
	return onOwnThread(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		const retAllow = 0x7fff0000 // SECCOMP_RET_ALLOW
		filter := s.lay(words(uintptr(unix.BPF_RET|unix.BPF_K) | retAllow<<32))
		const setModeFilter = 1 // SECCOMP_SET_MODE_FILTER
		if _, err := call(unix.SYS_SECCOMP, setModeFilter, 0, s.lay(words(1, filter))); err != nil {
			return fmt.Errorf("seccomp: %w", err)
		}
		return s.connectAndWrite(g, g.Denied.AddrPort4())
	})
}

// until calls do again and again until the time of a race is over.
func (g *Ground) until(do func()) {
	for end := time.Now().Add(g.RaceFor); time.Now().Before(end); {
		do()
	}
}
