package escapes

import (
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// unixAttempts use unix sockets of processes outside.
func unixAttempts() []Attempt {
	return slices.Concat(unixTypeAttempts(), unixPathAttempts(), unixDatagramAttempts(), unixNameAttempts(),
		unixViewAttempts(), unixFileAttempts(), unixRaceAttempts())
}

// unixTypeAttempts connect plainly, by sockets of every type and origin.
func unixTypeAttempts() []Attempt {
	return []Attempt{
		{Name: "unix/stream", Does: "connect to the path of a stream socket", Try: func(g *Ground) error {
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(g.Unix.Stream))
		}},
		{Name: "unix/seqpacket", Does: "connect to the path of a seqpacket socket", Try: func(g *Ground) error {
			return dialUnix(g, unix.SOCK_SEQPACKET, pathSockaddr(g.Unix.Seqpacket))
		}},
		{Name: "unix/dgram-connect", Does: "connect a datagram socket to a path", Try: func(g *Ground) error {
			return dialUnix(g, unix.SOCK_DGRAM, pathSockaddr(g.Unix.Dgram))
		}},
		{Name: "unix/raw", Does: "connect a raw unix socket, which the kernel makes a datagram one", Try: func(g *Ground) error {
			return dialUnix(g, unix.SOCK_RAW, pathSockaddr(g.Unix.Dgram))
		}},
		{Name: "unix/nonblocking", Does: "connect to a path without blocking", Try: func(g *Ground) error {
			return dialUnix(g, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, pathSockaddr(g.Unix.Stream))
		}},
		{Name: "unix/passed", Does: "connect a socket that came by SCM_RIGHTS", Try: connectPassedUnix},
		{Name: "unix/pair-reconnect", Does: "connect one end of a socket pair elsewhere", Try: func(g *Ground) error {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			l, err := localOf(uintptr(pair[0]))
			if err != nil {
				return err
			}
			return l.dial(g, pathSockaddr(g.Unix.Dgram))
		}},
	}
}

// local is a unix socket with memory for what it is passed. Both live as long
// as the process.
type local struct {
	fd uintptr
	m  memory
}

func newLocal(typ uintptr) (*local, error) {
	fd, err := call(unix.SYS_SOCKET, unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return localOf(fd)
}

func localOf(fd uintptr) (*local, error) {
	m, err := newMemory(16 << 10)
	if err != nil {
		return nil, err
	}
	return &local{fd, m}, nil
}

// dialUnix connects a new socket to an address and writes the token.
func dialUnix(g *Ground, typ uintptr, name []byte) error {
	l, err := newLocal(typ)
	if err != nil {
		return err
	}
	defer unix.Close(int(l.fd))
	return l.dial(g, name)
}

func (l *local) dial(g *Ground, name []byte) error {
	if err := l.connect(name); err != nil {
		return err
	}
	return l.write(g.Token)
}

func (l *local) connect(name []byte) error {
	if _, err := call(unix.SYS_CONNECT, l.fd, l.m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

func (l *local) bind(name []byte) error {
	if _, err := call(unix.SYS_BIND, l.fd, l.m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func (l *local) write(text string) error {
	if _, err := call(unix.SYS_WRITE, l.fd, l.m.put(256, []byte(text)), uintptr(len(text))); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// listenUnix makes a listener or a datagram socket of the attempt's own.
func listenUnix(typ uintptr, name []byte) (*local, error) {
	l, err := newLocal(typ)
	if err != nil {
		return nil, err
	}
	if err := l.bind(name); err != nil {
		return nil, err
	}
	if typ&^unix.SOCK_NONBLOCK == unix.SOCK_DGRAM {
		return l, nil
	}
	if _, err := call(unix.SYS_LISTEN, l.fd, 16); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// mine is a path of the attempt's own, short enough for an address.
func (g *Ground) mine(name string) string {
	return filepath.Join(g.Dir, g.Token[len(g.Token)-6:]+name)
}

// connectPassedUnix makes a socket, sends it to itself and connects what came.
func connectPassedUnix(g *Ground) error {
	l, err := newLocal(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	fd, err := passed(int(l.fd))
	if err != nil {
		return err
	}
	unix.Close(int(l.fd))
	l.fd = uintptr(fd)
	return l.dial(g, pathSockaddr(g.Unix.Stream))
}

// passed sends a descriptor through a socket pair and returns what came out.
func passed(fd int) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		return -1, fmt.Errorf("send descriptor: %w", err)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[1], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("receive descriptor: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("%d descriptors: %w", len(fds), err)
	}
	return fds[0], nil
}
