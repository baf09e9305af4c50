package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// flow is a connection of the agent's that the supervisor has announced: it
// is about to arrive at our own listener.
type flow struct {
	key     netip.AddrPort // where it was sent: the identifier
	dialled netip.AddrPort
	name    string // host for which dialled stands, or ""
	proc    *process
	toProxy bool // the agent takes it for a proxy
	dns     bool // for the resolver, not the proxy
	made    time.Time

	source chan netip.AddrPort // the agent's end, once connected; one value
	back   func()              // gives back the share of descriptors; nil: there is none
}

// release is called when the flow's connection is closed, or will never be.
func (fl *flow) release() {
	if fl.back != nil {
		fl.back()
	}
}

// flowConn is a connection that arrived.
type flowConn struct {
	*net.TCPConn
	flow *flow
}

// Close implements [net.Conn].
func (c flowConn) Close() error {
	defer c.flow.release()
	return c.TCPConn.Close()
}

// flows is the listener on loopback that the proxy and the resolver share. It
// accepts nothing but announced flows.
//
// A flow is told by the destination address: each is sent to an address of
// its own in 127.0.0.0/8, random and used once, and its source is checked on
// arrival. A socket that is IPv6 only has but ::1, and is told by its own
// address alone: see connectV6.
type flows struct {
	v4, v6 net.Listener // v6 is nil on a machine without IPv6
	port4  uint16
	port6  uint16
	accept func(*flow, net.Conn)

	mu       sync.Mutex
	pending  map[netip.Addr]*flow     // guarded by mu, by identifier
	bySource map[netip.AddrPort]*flow // guarded by mu, by the agent's end
}

// announceTimeout is how long an announced flow is awaited, and how long an
// accepted connection waits for the end of the connect that made it.
const announceTimeout = 60 * time.Second

func listenFlows(accept func(*flow, net.Conn)) (*flows, error) {
	f := &flows{accept: accept, pending: map[netip.Addr]*flow{}, bySource: map[netip.AddrPort]*flow{}}
	// All of 127.0.0.0/8 is wanted, and nothing from outside: the wildcard
	// address on the loopback device alone. SO_BINDTODEVICE needs no
	// privilege since Linux 5.7.
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		ctlErr := rc.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "lo") })
		return errors.Join(ctlErr, err)
	}}
	v4, err := lc.Listen(context.Background(), "tcp4", "0.0.0.0:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback (SO_BINDTODEVICE needs Linux 5.7, and is refused inside another boundary): %w", err)
	}
	f.v4, f.port4 = v4, portOf(v4)
	if v6, err := lc.Listen(context.Background(), "tcp6", "[::1]:0"); err == nil {
		f.v6, f.port6 = v6, portOf(v6)
		go f.serve(v6)
	}
	go f.serve(v4)
	return f, nil
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// announce makes a flow and the address to which its connection goes.
func (f *flows) announce(fl *flow) (netip.AddrPort, error) {
	fl.source = make(chan netip.AddrPort, 1)
	fl.made = time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for range 16 {
		addr, err := randomLoopback()
		if err != nil {
			return netip.AddrPort{}, err
		}
		if f.pending[addr] == nil {
			f.pending[addr] = fl
			fl.key = netip.AddrPortFrom(addr, f.port4)
			return fl.key, nil
		}
	}
	return netip.AddrPort{}, unix.EAGAIN
}

// randomLoopback is an address in 127.0.0.0/8 but not in 127.0.0.0/16, where
// people's own listeners are.
func randomLoopback() (netip.Addr, error) {
	var b [4]byte
	for b[1] == 0 {
		if _, err := rand.Read(b[1:]); err != nil {
			return netip.Addr{}, fmt.Errorf("random identifier: %w", err)
		}
	}
	b[0] = 127
	return netip.AddrFrom4(b), nil
}

// connected tells which source the flow's connection has.
func (f *flows) connected(fl *flow, source netip.AddrPort) {
	fl.source <- netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
}

// cancel takes back a flow whose connect failed. Whoever arrived on a guess
// need not wait for it any longer.
func (f *flows) cancel(fl *flow) {
	f.forget(fl)
	close(fl.source)
	fl.release()
}

// forget is for a flow that has arrived, or never will.
func (f *flows) forget(fl *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending[fl.key.Addr()] == fl {
		delete(f.pending, fl.key.Addr())
	}
	if f.bySource[fl.key] == fl {
		delete(f.bySource, fl.key)
	}
}

// connectV6 connects a socket that is IPv6 only to ::1. It is bound first, so
// that the flow is announced under the address that it comes from.
func (f *flows) connectV6(fl *flow, fd int) error {
	if f.v6 == nil {
		fl.release()
		return unix.ENETUNREACH
	}
	source, err := sourceV6(fd)
	if err != nil {
		fl.release()
		return err
	}
	to := &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16(), Port: int(f.port6)}
	fl.source, fl.made, fl.key = make(chan netip.AddrPort, 1), time.Now(), source
	f.mu.Lock()
	if f.bySource[source] != nil {
		// A second connect while the first is under way: the kernel says so.
		f.mu.Unlock()
		fl.release()
		return unix.Connect(fd, to)
	}
	f.bySource[source] = fl
	f.mu.Unlock()
	if err = unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		f.cancel(fl)
		return err
	}
	f.connected(fl, source)
	return err
}

// sourceV6 is the address from which a socket will connect to ::1; one that has
// none is given one.
func sourceV6(fd int) (netip.AddrPort, error) {
	// EINVAL: it is bound, or connected, already.
	if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16()}); err != nil && err != unix.EINVAL {
		return netip.AddrPort{}, err
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	at := fromUnixSockaddr(local)
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	}
	return at, nil
}

func (f *flows) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, most likely: others may be freed soon.
			time.Sleep(5 * time.Millisecond)
			continue
		}
		go f.arrive(conn)
	}
}

// arrive hands an announced connection on and resets any other.
func (f *flows) arrive(conn net.Conn) {
	tcp := conn.(*net.TCPConn)
	fl := f.claim(conn)
	if fl == nil {
		_ = tcp.SetLinger(0)
		tcp.Close()
		return
	}
	f.accept(fl, flowConn{tcp, fl})
}

func (f *flows) claim(conn net.Conn) *flow {
	local := addrPortOf(conn.LocalAddr())
	remote := addrPortOf(conn.RemoteAddr())
	f.mu.Lock()
	fl := f.pending[local.Addr()]
	if !local.Addr().Is4() {
		fl = f.bySource[remote]
	}
	f.mu.Unlock()
	if fl == nil {
		return nil
	}
	timeout := time.NewTimer(announceTimeout)
	defer timeout.Stop()
	select {
	case source, ok := <-fl.source:
		if !ok {
			return nil // the announced connect failed
		}
		if source != remote {
			fl.source <- source // a stranger's guess: the right one may yet come
			return nil
		}
	case <-timeout.C:
		return nil
	}
	f.forget(fl)
	return fl
}

// sweep forgets flows that never arrived: their connect was given up.
func (f *flows) sweep(now time.Time) {
	old := func(fl *flow) bool {
		if now.Sub(fl.made) <= announceTimeout {
			return false
		}
		fl.release()
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.pending, func(_ netip.Addr, fl *flow) bool { return old(fl) })
	maps.DeleteFunc(f.bySource, func(_ netip.AddrPort, fl *flow) bool { return old(fl) })
}

func (f *flows) close() {
	f.v4.Close()
	if f.v6 != nil {
		f.v6.Close()
	}
}

func addrPortOf(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// String names the flow in diagnostics.
func (fl *flow) String() string {
	if fl.name != "" {
		return net.JoinHostPort(fl.name, strconv.Itoa(int(fl.dialled.Port())))
	}
	return fl.dialled.String()
}
