package escapes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// raceListenAttempts race for a listener that outside can reach. The kernel
// says where a socket really listens; only then is outside asked to call.
func raceListenAttempts() []Attempt {
	return []Attempt{
		race("bind-address", "turn the address under bind, and listen", raceBind, NeedOuter),
		race("bind-listen", "bind and listen at the same moment", raceBindListen, NeedOuter),
		race("bind-descriptor", "turn the descriptor between TCP and UDP under bind", raceBindDescriptor, NeedOuter),
		race("listen-descriptor", "turn the descriptor under listen", raceListenDescriptor, NeedOuter),
		race("listen-connect", "listen and connect at the same moment", raceListenConnect, NeedOuter),
		race("listen-shutdown", "shut a connect to loopback down between the look at its address and listen", raceListenShutdown, NeedOuter),
	}
}

// offer tells outside of a socket that listens elsewhere than on loopback.
func (a *arena) offer(fd int) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listens == 0 {
		a.saw(errors.New("does not listen"))
		return
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return
	}
	at := netip.AddrPort{}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		at = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		at = netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), uint16(name.Port))
	}
	if at.Addr().IsLoopback() {
		a.saw(errors.New("listens on loopback"))
		return
	}
	a.saw(fmt.Errorf("listens on %v", at.Addr()))
	a.mu.Lock() // one caller comes
	defer a.mu.Unlock()
	_ = a.Listens("tcp", netip.AddrPortFrom(a.Host4, at.Port()).String())
}

// raceBind turns the address between loopback, the wildcard and outside's.
func raceBind(a *arena) ([]func(), error) {
	return []func(){
		a.turn(0, word4(netip.AddrPortFrom(a.Host4, 0)), word4(netip.MustParseAddrPort("127.0.0.1:0")), word4(netip.MustParseAddrPort("0.0.0.0:0"))),
		func() {
			fd, err := openTCP(unix.AF_INET, 0)
			if err != nil {
				return
			}
			defer unix.Close(fd)
			_, err = call(unix.SYS_BIND, uintptr(fd), a.at(0), unix.SizeofSockaddrInet4)
			a.saw(err)
			if _, err := call(unix.SYS_LISTEN, uintptr(fd), 1); err == nil {
				a.offer(fd)
			}
		},
	}, nil
}

// together does two things at the same moment, the second a bit later.
func together(first, second func()) {
	var both sync.WaitGroup
	start := make(chan struct{})
	both.Go(func() {
		<-start
		first()
	})
	both.Go(func() {
		<-start
		spin(rand.N(300 * time.Microsecond))
		second()
	})
	close(start)
	both.Wait()
}

func raceBindListen(a *arena) ([]func(), error) {
	a.put(0, sockaddr(netip.AddrPortFrom(a.Host4, 0)))
	return []func(){func() {
		fd, err := openTCP(unix.AF_INET, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		listen := func() { _, _ = call(unix.SYS_LISTEN, uintptr(fd), 1) }
		bind := func() { _, _ = call(unix.SYS_BIND, uintptr(fd), a.at(0), unix.SizeofSockaddrInet4) }
		if rand.N(2) == 0 {
			listen, bind = bind, listen
		}
		together(listen, bind)
		a.offer(fd)
	}}, nil
}

// raceBindDescriptor binds a number that is now a TCP socket and now one for
// UDP, or of IPv6.
func raceBindDescriptor(a *arena) ([]func(), error) {
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	udp, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(netip.AddrPortFrom(a.Host4, 0)))
	return []func(){func() {
		fd, err := openTCP(unix.AF_INET, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
		bind := func() { _, _ = call(unix.SYS_BIND, uintptr(number), a.at(0), unix.SizeofSockaddrInet4) }
		swap := func() { _ = unix.Dup3(udp, number, unix.O_CLOEXEC) }
		together(bind, swap)
		_, _ = call(unix.SYS_LISTEN, uintptr(fd), 1)
		a.offer(fd)
	}}, nil
}

// raceListenDescriptor listens on a number that is now bound to loopback and
// now to the address outside.
func raceListenDescriptor(a *arena) ([]func(), error) {
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(netip.MustParseAddrPort("127.0.0.1:0")))
	a.put(64, sockaddr(netip.AddrPortFrom(a.Host4, 0)))
	bound := func(offset int) int {
		fd, err := openTCP(unix.AF_INET, 0)
		if err == nil {
			_, _ = call(unix.SYS_BIND, uintptr(fd), a.at(offset), unix.SizeofSockaddrInet4)
		}
		return fd
	}
	return []func(){func() {
		inner, outer := bound(0), bound(64)
		defer unix.Close(inner)
		defer unix.Close(outer)
		_ = unix.Dup3(inner, number, unix.O_CLOEXEC)
		together(
			func() { _, _ = call(unix.SYS_LISTEN, uintptr(number), 1) },
			func() { _ = unix.Dup3(outer, number, unix.O_CLOEXEC) },
		)
		_, _ = call(unix.SYS_LISTEN, uintptr(number), 1)
		a.offer(outer)
	}}, nil
}

// raceListenConnect has a connect to the allowed peer choose the address of a
// socket that listens.
func raceListenConnect(a *arena) ([]func(), error) {
	a.put(0, sockaddr(a.Allowed.AddrPort4()))
	return []func(){func() {
		fd, err := openTCP(unix.AF_INET, unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		together(
			func() { _ = a.connect(fd, 0, unix.SizeofSockaddrInet4) },
			func() { _ = a.connect(fd, 64, unix.SizeofSockaddrInet4) }, // AF_UNSPEC
		)
		together(
			func() { _, _ = call(unix.SYS_LISTEN, uintptr(fd), 1) },
			func() { _ = a.connect(fd, 64, unix.SizeofSockaddrInet4) },
		)
		a.offer(fd)
	}}, nil
}

// raceListenShutdown uses that shutdown(2) of a connect under way takes the
// address off a socket: it is loopback's before, and the wildcard after. The
// connect is to a listener of the session's own that accepts no more.
func raceListenShutdown(a *arena) ([]func(), error) {
	to, err := a.fullListener()
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(to))
	return []func(){func() {
		fd, err := openTCP(unix.AF_INET, unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		if err := a.connect(fd, 0, unix.SizeofSockaddrInet4); err != unix.EINPROGRESS {
			a.saw(fmt.Errorf("connect: %w", err))
			return
		}
		together(
			func() { _, _ = call(unix.SYS_LISTEN, uintptr(fd), 1) },
			func() { _ = unix.Shutdown(fd, unix.SHUT_RDWR) },
		)
		a.offer(fd)
	}}, nil
}

// fullListener makes a listener on loopback that answers no connection any
// more, and returns its address.
func (a *arena) fullListener() (netip.AddrPort, error) {
	none := netip.AddrPort{}
	fd, err := openTCP(unix.AF_INET, 0)
	if err != nil {
		return none, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return none, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		return none, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return none, err
	}
	const more = 3 // than its queue holds
	for range more {
		client, err := openTCP(unix.AF_INET, unix.SOCK_NONBLOCK)
		if err != nil {
			return none, err
		}
		_ = unix.Connect(client, name) // under way
	}
	time.Sleep(10 * time.Millisecond)
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port)), nil
}
