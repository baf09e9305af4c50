package escapes

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// tcpAttempts connect by TCP.
func tcpAttempts() []Attempt {
	return []Attempt{
		{Name: "tcp/connect", Does: "connect and write", Try: func(g *Ground) error {
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
		{Name: "tcp/connect-ipv6", Does: "connect by IPv6", Needs: []Need{NeedIPv6}, Try: func(g *Ground) error {
			return connectAndWrite(g, g.Denied.AddrPort6())
		}},
	}
}

// connectAndWrite connects to an address and writes the token.
func connectAndWrite(g *Ground, to netip.AddrPort) error {
	fd, err := call(unix.SYS_SOCKET, family(to), unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(int(fd))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	name := sockaddr(to)
	if _, err := call(unix.SYS_CONNECT, fd, m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	_, err = call(unix.SYS_WRITE, fd, m.put(256, []byte(g.Token)), uintptr(len(g.Token)))
	return err
}

// until calls do again and again until the time of a race is over.
func (g *Ground) until(do func()) {
	for end := time.Now().Add(g.RaceFor); time.Now().Before(end); {
		do()
	}
}
