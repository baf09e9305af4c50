package escapes

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// unixRaceAttempts change what a call names while it is looked at.
func unixRaceAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "unix/race-rename", Does: "exchange two sockets' paths during connect", Try: func(g *Ground) error {
			return racePath(g, func(path string) error { return os.Link(g.Unix.Stream, path) },
				func(path string) error { return os.Link(g.Unix.Allowed, path) }, "")
		}},
		{Name: "unix/race-symlink", Does: "exchange two symbolic links during connect", Try: func(g *Ground) error {
			return racePath(g, func(path string) error { return os.Symlink(g.Unix.Stream, path) },
				func(path string) error { return os.Symlink(g.Unix.Allowed, path) }, "")
		}},
		{Name: "unix/race-directory", Does: "exchange a folder of the path during connect", Try: func(g *Ground) error {
			return racePath(g, func(path string) error { return os.Symlink(filepath.Dir(g.Unix.Stream), path) },
				func(path string) error {
					if err := os.Mkdir(path, 0o755); err != nil {
						return err
					}
					return os.Symlink(g.Unix.Allowed, filepath.Join(path, filepath.Base(g.Unix.Stream)))
				}, filepath.Base(g.Unix.Stream))
		}},
		{Name: "unix/race-cwd", Does: "change the working folder during connect to a relative path", Try: raceCwd},
		{Name: "unix/race-bind-directory", Does: "exchange a folder of the path during bind, then connect to what was there", Try: raceBindDirectory},
		{Name: "unix/race-sendmsg-name", Does: "put a name into the message during sendmsg", Try: raceSendmsgName},
		{Name: "unix/race-sendmmsg-name", Does: "put a name into the second message during sendmmsg", Try: raceSendmmsgName},
		withoutDuplicates(Attempt{Name: "unix/race-sendmsg-tcp", Does: "exchange a TCP socket for a unix one during sendmsg with a name",
			Try: func(g *Ground) error { return raceSendmsgDescriptor(g, unix.AF_INET, unix.SOCK_STREAM) }}),
		{Name: "unix/race-sendmsg-udp", Does: "exchange a UDP socket for a unix one during sendmsg with a name", Try: func(g *Ground) error {
			return raceSendmsgDescriptor(g, unix.AF_INET, unix.SOCK_DGRAM)
		}},
		{Name: "unix/race-sendto-descriptor", Does: "exchange a stream socket for a datagram one during sendto", Try: raceSendtoDescriptor},
	}
	for i := range attempts {
		attempts[i].Long = true
	}
	return attempts
}

// beside runs flip again and again on another thread while do runs, for the
// time of a race.
func (g *Ground) beside(flip, do func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		runtime.LockOSThread()
		for {
			select {
			case <-stop:
				return
			default:
				flip()
			}
		}
	}()
	g.until(do)
	close(stop)
	<-stopped
}

// exchange has two paths change places, renameat2(2).
func exchange(a, b string) func() {
	const renameExchange = 2
	return func() { _ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, renameExchange) }
}

// racePath connects to a path, or to base below it, which leads to the denied
// and to the allowed socket in turn.
func racePath(g *Ground, denied, allowed func(path string) error, base string) error {
	a, b := g.mine("a"), g.mine("b")
	if err := denied(a); err != nil {
		return err
	}
	if err := allowed(b); err != nil {
		return err
	}
	name := pathSockaddr(filepath.Join(a, base))
	var last error
	g.beside(exchange(a, b), func() { last = dialUnix(g, unix.SOCK_STREAM, name) })
	return last
}

// raceCwd connects to a path that is allowed from one folder only.
func raceCwd(g *Ground) error {
	base := filepath.Base(g.Unix.Stream)
	own := g.mine("d")
	if err := os.Mkdir(own, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(g.Unix.Allowed, filepath.Join(own, base)); err != nil {
		return err
	}
	var last error
	g.beside(func() {
		_ = unix.Chdir(own)
		_ = unix.Chdir(filepath.Dir(g.Unix.Stream))
	}, func() { last = dialUnix(g, unix.SOCK_STREAM, pathSockaddr(base)) })
	return last
}

// raceBindDirectory binds in a folder that changes places with a link to the
// folder of the denied socket, so that whoever looks twice sees the denied
// socket where an own one was bound.
func raceBindDirectory(g *Ground) error {
	dir, link, base := g.mine("a"), g.mine("b"), filepath.Base(g.Unix.Stream)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	real, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := os.Symlink(filepath.Dir(g.Unix.Stream), link); err != nil {
		return err
	}
	var last error
	g.beside(exchange(dir, link), func() {
		l, err := newLocal(unix.SOCK_STREAM)
		if err != nil {
			last = err
			return
		}
		bound := l.bind(pathSockaddr(filepath.Join(dir, base)))
		if bound == nil {
			last = dialUnix(g, unix.SOCK_STREAM, pathSockaddr(g.Unix.Stream))
		}
		_ = unix.Unlinkat(real, base, 0) // of the own folder, whatever its name is now
		unix.Close(int(l.fd))
		_ = unix.Munmap(l.m)
	})
	return last
}

// drained is a connected datagram socket of the attempt's own whose peer is
// read, so that messages without a name go through.
func drained(g *Ground) (*local, func(), error) {
	peer, err := listenUnix(unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, abstractSockaddr(g.Token))
	if err != nil {
		return nil, nil, err
	}
	l, err := newLocal(unix.SOCK_DGRAM | unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, nil, err
	}
	if err := l.connect(abstractSockaddr(g.Token)); err != nil {
		return nil, nil, err
	}
	buf := make([]byte, 256)
	drain := func() {
		for {
			if _, err := unix.Read(int(peer.fd), buf); err != nil {
				return
			}
		}
	}
	return l, drain, nil
}

// raceSendmsgName has a message without a name looked at, and one with a name
// sent.
func raceSendmsgName(g *Ground) error {
	l, drain, err := drained(g)
	if err != nil {
		return err
	}
	l.lay([]unixMessage{{to: pathSockaddr(g.Unix.Dgram), data: g.Token}})
	name := uint64(l.m.at(slotsAt))
	g.beside(func() {
		l.m.word(0, 0)
		l.m.word(0, name)
	}, func() {
		_, err = call(unix.SYS_SENDMSG, l.fd, l.m.at(0), unix.MSG_DONTWAIT)
		drain()
	})
	return err
}

// raceSendmmsgName is raceSendmsgName for the second of two messages.
func raceSendmmsgName(g *Ground) error {
	l, drain, err := drained(g)
	if err != nil {
		return err
	}
	l.lay([]unixMessage{{data: "first"}, {to: pathSockaddr(g.Unix.Dgram), data: g.Token}})
	name := uint64(l.m.at(slotsAt + slotSize))
	g.beside(func() {
		l.m.word(headerSize, 0)
		l.m.word(headerSize, name)
	}, func() {
		_, err = call(unix.SYS_SENDMMSG, l.fd, l.m.at(0), 2, unix.MSG_DONTWAIT)
		drain()
	})
	return err
}

// raceSendmsgDescriptor sends with a name on a descriptor that is now a socket
// to which the name means nothing, now a unix datagram socket.
func raceSendmsgDescriptor(g *Ground, family, typ uintptr) error {
	l, err := newLocal(unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	other, err := call(unix.SYS_SOCKET, family, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	flipped, err := unix.Dup(int(l.fd))
	if err != nil {
		return err
	}
	l.lay([]unixMessage{{to: pathSockaddr(g.Unix.Dgram), data: g.Token}})
	g.beside(flipDescriptor(flipped, int(other), int(l.fd)), func() {
		_, err = call(unix.SYS_SENDMSG, uintptr(flipped), l.m.at(0), unix.MSG_DONTWAIT)
	})
	return err
}

// flipDescriptor makes a number stand for one socket and then for another.
func flipDescriptor(number, one, other int) func() {
	return func() {
		_ = unix.Dup3(one, number, unix.O_CLOEXEC)
		_ = unix.Dup3(other, number, unix.O_CLOEXEC)
	}
}

// raceSendtoDescriptor is raceSendmsgDescriptor for sendto.
func raceSendtoDescriptor(g *Ground) error {
	l, err := newLocal(unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	stream, err := newLocal(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	flipped, err := unix.Dup(int(l.fd))
	if err != nil {
		return err
	}
	sender := &local{uintptr(flipped), l.m}
	g.beside(flipDescriptor(flipped, int(stream.fd), int(l.fd)), func() {
		err = sender.sendto(g.Token, pathSockaddr(g.Unix.Dgram))
	})
	return err
}
