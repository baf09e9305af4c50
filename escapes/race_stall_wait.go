package escapes

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stallMemory passes a name on a page that nobody gives.
func stallMemory(a *arena) error {
	f, err := a.watch()
	if err != nil {
		return err
	}
	a.crowd(crowdSize, func(int) {
		fd, err := openTCP(unix.AF_INET, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		_, _ = call(unix.SYS_CONNECT, uintptr(fd), f.page.at(0), unix.SizeofSockaddrInet4)
	})
	return nil
}

// unixListener makes a stream listener of the session's own that accepts no
// more, or a datagram socket that receives no more, and returns its name.
func (a *arena) unixListener(name string, kind uintptr) ([]byte, error) {
	path := filepath.Join(a.Dir, name)
	_ = os.Remove(path) // of an attempt before
	fd, err := openUnix(kind)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	at := &unix.SockaddrUnix{Name: path}
	if err := unix.Bind(fd, at); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 0); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	const more = 600 // than a queue of either kind holds
	for range more {
		client, err := openUnix(kind | unix.SOCK_NONBLOCK)
		if err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
		if kind == unix.SOCK_STREAM {
			err = unix.Connect(client, at)
		} else {
			err = unix.Sendto(client, []byte("x"), unix.MSG_DONTWAIT, at)
			unix.Close(client)
		}
		if err == unix.EAGAIN {
			return unixName(path), nil
		}
		if err != nil {
			return nil, fmt.Errorf("fill the queue: %w", err)
		}
	}
	return nil, fmt.Errorf("the queue is never full")
}

// stallFlag makes a call on a socket that does not block, and has it block from
// some moment on: right between the supervisor's look at the flag and its own
// call. What blocks before that look is left waiting, and another is tried.
func (a *arena) stallFlag(open func() (int, error), do func(fd int)) {
	const late, early = 200 * time.Nanosecond, 2 * time.Microsecond
	var delay atomic.Int64 // between call and flag
	delay.Store(int64(20 * time.Microsecond))
	a.crowd(2, func(int) {
		fd, err := open()
		if err != nil {
			return
		}
		_ = unix.SetNonblock(fd, true)
		var began atomic.Bool
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for !began.Load() {
			}
			spin(time.Duration(delay.Load()))
			_ = unix.SetNonblock(fd, false)
		}()
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began.Store(true)
			do(fd)
			close(done)
		}()
		select {
		case <-done:
			unix.Close(fd)
			delay.Add(-int64(late))
		case <-time.After(10 * time.Millisecond):
			delay.Add(int64(early))
		}
	})
}

func stallFlagUnix(a *arena) error {
	name, err := a.unixListener("stall-stream", unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	a.put(0, name)
	a.stallFlag(func() (int, error) { return openUnix(unix.SOCK_STREAM) }, func(fd int) { _ = a.connect(fd, 0, maxUnixName) })
	return nil
}

func stallFlagTCP(a *arena) error {
	to, err := a.fullListener()
	if err != nil {
		return err
	}
	a.put(0, sockaddr(to))
	a.stallFlag(func() (int, error) { return openTCP(unix.AF_INET, 0) }, func(fd int) { _ = a.connect(fd, 0, unix.SizeofSockaddrInet4) })
	return nil
}

func stallFlagSend(a *arena) error {
	name, err := a.unixListener("stall-dgram", unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	a.put(0, name)
	token := a.put(512, []byte("x"))
	a.stallFlag(func() (int, error) { return openUnix(unix.SOCK_DGRAM) }, func(fd int) {
		_, _ = call(unix.SYS_SENDTO, uintptr(fd), token, 1, 0, a.at(0), maxUnixName)
	})
	return nil
}

// stallBacklog has calls wait that may well wait: each costs the supervisor
// something all the while.
func stallBacklog(a *arena) error {
	to, err := a.fullListener()
	if err != nil {
		return err
	}
	a.put(0, sockaddr(to))
	a.crowd(2*crowdSize, func(int) {
		if fd, err := openTCP(unix.AF_INET, 0); err == nil {
			_ = a.connect(fd, 0, unix.SizeofSockaddrInet4)
			unix.Close(fd)
		}
	})
	return nil
}

// stallLinger has the supervisor close a connection, as its last holder, that
// waits for a minute when it is closed: what was written is never read.
func stallLinger(a *arena) error {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	const small = 4096
	_ = unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUF, small)
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(listener, 4096); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	to, err := unix.Getsockname(listener)
	if err != nil {
		return err
	}
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.crowd(8, func(int) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil || unix.Connect(fd, to) != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, small)
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 60})
		for err := error(nil); err == nil; {
			err = unix.Sendto(fd, make([]byte, small), unix.MSG_DONTWAIT, nil)
		}
		go func() { _ = a.connect(fd, 0, unix.SizeofSockaddrInet4) }()
		spin(rand.N(200 * time.Microsecond))
		go unix.Close(fd) // waits itself where it is the last
		time.Sleep(time.Millisecond)
	})
	return nil
}

// stallReceivers waits in calls that the supervisor answers when there is
// something to receive.
func stallReceivers(a *arena) error {
	a.half(512, unix.SizeofSockaddrInet4)
	a.crowd(4*crowdSize, func(int) {
		fd, err := openUDP(unix.AF_INET)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		_, _ = call(unix.SYS_RECVFROM, uintptr(fd), a.at(1024), 1, 0, a.at(0), a.at(512))
	})
	return nil
}

// stallFlood asks for names without a rest.
func stallFlood(a *arena) error {
	fd, err := openUDP(unix.AF_INET)
	if err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Addr: netip.MustParseAddr("127.0.0.1").As4(), Port: 9}
	a.crowd(crowdSize, func(int) {
		for range 1000 {
			_ = unix.Connect(fd, to)
		}
	})
	return nil
}

// stallVectors sends as many datagrams by one call as there can be, to a peer
// that is denied.
func stallVectors(a *arena) error {
	const most, headers = 1024, 0x10000
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.put(64, sockaddr(netip.MustParseAddrPort("127.0.0.1:9")))
	own, err := openUDP(unix.AF_INET)
	if err != nil {
		return err
	}
	_ = a.connect(own, 64, unix.SizeofSockaddrInet4)
	for i := range most {
		at := headers + i*manyHeaderSize
		a.message(at, 64, unix.SizeofSockaddrInet4)
		a.word(at+headerVector, uint64(a.at(vectorAt)))
	}
	a.word(vectorAt, uint64(a.at(arenaSize/2)))
	a.word(vectorAt+8, 60<<10)
	a.crowd(crowdSize/2, func(int) {
		_, _ = call(unix.SYS_SENDMMSG, uintptr(own), a.at(headers), most, unix.MSG_DONTWAIT)
	})
	return nil
}

// stallStopped stops and continues processes that connect all the time.
func stallStopped(a *arena) error {
	names, err := a.sharedNames()
	if err != nil {
		return err
	}
	name := names.at(0)
	var children []*forked
	for range 16 {
		child, err := a.fork(0, func() {
			fd, _, _ := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
			unix.RawSyscall(unix.SYS_CONNECT, fd, name, unix.SizeofSockaddrInet4)
			unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
		})
		if err != nil {
			return err
		}
		children = append(children, child)
	}
	turn := a.turnNames(names)
	a.crowd(1, func(int) {
		turn()
		child := children[rand.N(len(children))]
		_ = unix.Kill(child.pid, unix.SIGSTOP)
		time.Sleep(rand.N(2 * time.Millisecond))
		if rand.N(8) == 0 {
			_ = unix.Kill(child.pid, unix.SIGCONT)
		}
	})
	time.AfterFunc(stallFor, func() {
		for _, child := range children {
			child.end()
		}
	})
	return nil
}
