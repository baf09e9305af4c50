package escapes

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// stallManyAttempts have many processes do what one may not, or use up what the
// supervisor has only so much of.
func stallManyAttempts() []Attempt {
	return []Attempt{
		stall("processes", "have it connect, for many processes, where loopback drops everything", func(a *arena) error {
			return a.inNamespace("processes", unix.CLONE_NEWUSER|unix.CLONE_NEWNET)
		}, NeedUserns),
		stall("waiters", "wait for datagrams in more threads than can be waited for", stallWaiters),
		stall("rights", "pass many descriptors, in many threads, to a socket that does not receive", stallRights),
		stall("flows", "open connections for HTTP until there are no more, and say nothing", func(a *arena) error {
			for range 3 {
				if err := a.inBackground("flows"); err != nil {
					return err
				}
			}
			time.Sleep(stallFor / 2) // others are watched when they are there
			return nil
		}),
	}
}

// processesPart is namespacePart by processes with one thread each.
func processesPart(g *Ground, _ []string) error {
	a, err := newDeafArena(g)
	if err != nil {
		return err
	}
	name := a.at(0)
	for range crowdSize {
		if _, err := a.fork(0, func() {
			fd, _, _ := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
			unix.RawSyscall(unix.SYS_CONNECT, fd, name, unix.SizeofSockaddrInet4)
			unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
		}); err != nil {
			return err
		}
	}
	ready()
	select {}
}

// stallWaiters waits on one socket that receives nothing.
func stallWaiters(a *arena) error {
	fd, err := openUDP(unix.AF_INET)
	if err != nil {
		return err
	}
	a.half(512, unix.SizeofSockaddrInet4)
	a.crowd(6*crowdSize, func(int) {
		_, _ = call(unix.SYS_RECVFROM, uintptr(fd), a.at(1024), 1, 0, a.at(0), a.at(512))
	})
	return nil
}

// stallRights has the supervisor hold the descriptors of messages that wait.
func stallRights(a *arena) error {
	const most = 253 // SCM_MAX_FD
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	for err := error(nil); err == nil; {
		err = unix.Sendto(pair[0], make([]byte, pageSize), unix.MSG_DONTWAIT, nil)
	}
	files := make([]int, most)
	for i := range files {
		files[i] = pair[0]
	}
	control := unix.UnixRights(files...)
	a.crowd(crowdSize, func(int) { _ = unix.Sendmsg(pair[0], []byte("x"), control, nil, 0) })
	return nil
}

// flowsPart connects for HTTP until it may not, and goes on trying.
func flowsPart(g *Ground, _ []string) error {
	endsWithParent()
	ready()
	to := net.TCPAddrFromAddrPort(g.Denied.AddrPort4())
	at := &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: int(webPorts[0])}
	for {
		fd, err := openTCP(unix.AF_INET, 0)
		if err == nil {
			if err = unix.Connect(fd, at); err != nil {
				unix.Close(fd)
			}
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}
