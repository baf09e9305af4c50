package escapes

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// starve makes sockets of which the supervisor has to hold something, until
// there are no more or the time is over, and uses the network then.
func (g *Ground) starve(kind uintptr) error {
	made := 0
	var failed error
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end) && failed == nil; made++ {
		_, failed = call(unix.SYS_SOCKET, unix.AF_INET, kind, 0)
	}
	// A descriptor of one's own is needed for what follows.
	for fd := made; fd > made-4 && fd > 0; fd-- {
		_ = unix.Close(fd)
	}
	g.reach()
	return fmt.Errorf("%d sockets: %w", made, failed)
}

// starveTogether has another process make sockets, as each has a limit of its
// own, and makes connections to a port for which there is a proxy meanwhile.
func starveTogether(g *Ground) error {
	if err := g.stepCommand("", stepStarve, nil).Start(); err != nil {
		return err
	}
	name := sockaddr(netip.AddrPortFrom(g.Denied.V4, webPorts[0]))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	at := m.put(0, name)
	made := 0
	var failed error
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end) && made < 10000; made++ {
		var fd uintptr
		if fd, failed = call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); failed != nil {
			break
		}
		_, _ = call(unix.SYS_CONNECT, fd, at, uintptr(len(name))) // refused in the end
	}
	g.reach()
	return fmt.Errorf("%d sockets: %w", made, failed)
}
