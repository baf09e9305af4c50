package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	dns     bool // for the resolver, not the proxy
	made    time.Time

	source chan netip.AddrPort // the agent's end, once connected; one value
}

// flows is the listener on loopback that the proxy and the resolver share. It
// accepts nothing but announced flows.
//
// A flow is told by the destination address: each is sent to an address of
// its own in 127.0.0.0/8, random and used once, and its source port is checked
// on arrival. A socket that is IPv6 only has but ::1, and is told by its source
// port alone: see connectV6.
type flows struct {
	v4, v6 net.Listener // v6 is nil on a machine without IPv6
	port4  uint16
	port6  uint16
	accept func(*flow, net.Conn)

	mu      sync.Mutex
	pending map[netip.Addr]*flow // guarded by mu, by identifier
	// v6mu is held for reading from before a connect to ::1 until its source
	// port stands in bySource, and for writing to look one up.
	v6mu     sync.RWMutex
	bySource sync.Map // uint16 to *flow
}

// announceTimeout is how long an announced flow is awaited, and how long an
// accepted connection waits for the end of the connect that made it.
const announceTimeout = 60 * time.Second

func listenFlows(accept func(*flow, net.Conn)) (*flows, error) {
	f := &flows{accept: accept, pending: map[netip.Addr]*flow{}}
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
		return nil, fmt.Errorf("listen on loopback (SO_BINDTODEVICE needs Linux 5.7): %w", err)
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
func (f *flows) connected(fl *flow, source netip.AddrPort) { fl.source <- source }

// cancel takes back a flow whose connect failed.
func (f *flows) cancel(fl *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending[fl.key.Addr()] == fl {
		delete(f.pending, fl.key.Addr())
	}
}

// connectV6 connects a socket to ::1 by connect, and announces the flow under
// the source port that it got. No connection is looked up meanwhile.
func (f *flows) connectV6(fl *flow, connect func(netip.AddrPort) (netip.AddrPort, error)) error {
	if f.v6 == nil {
		return unix.ENETUNREACH
	}
	fl.source = make(chan netip.AddrPort, 1)
	fl.made = time.Now()
	f.v6mu.RLock()
	defer f.v6mu.RUnlock()
	source, err := connect(netip.AddrPortFrom(netip.IPv6Loopback(), f.port6))
	if source.IsValid() {
		fl.source <- source
		f.bySource.Store(source.Port(), fl)
	}
	return err
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
	fl := f.claim(conn)
	if fl == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		return
	}
	f.accept(fl, conn)
}

func (f *flows) claim(conn net.Conn) *flow {
	local := addrPortOf(conn.LocalAddr())
	remote := addrPortOf(conn.RemoteAddr())
	var fl *flow
	if local.Addr().Is4() {
		f.mu.Lock()
		fl = f.pending[local.Addr()]
		f.mu.Unlock()
	} else {
		f.v6mu.Lock()
		if v, ok := f.bySource.LoadAndDelete(remote.Port()); ok {
			fl = v.(*flow)
		}
		f.v6mu.Unlock()
	}
	if fl == nil {
		return nil
	}
	timeout := time.NewTimer(announceTimeout)
	defer timeout.Stop()
	select {
	case source := <-fl.source:
		if source.Port() != remote.Port() {
			fl.source <- source // a stranger's guess: the right one may yet come
			return nil
		}
	case <-timeout.C:
		return nil
	}
	f.cancel(fl)
	return fl
}

// sweep forgets flows that never arrived: their connect was given up.
func (f *flows) sweep(now time.Time) {
	old := func(fl *flow) bool { return now.Sub(fl.made) > announceTimeout }
	f.mu.Lock()
	for addr, fl := range f.pending {
		if old(fl) {
			delete(f.pending, addr)
		}
	}
	f.mu.Unlock()
	f.bySource.Range(func(k, v any) bool {
		if old(v.(*flow)) {
			f.bySource.CompareAndDelete(k, v)
		}
		return true
	})
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
