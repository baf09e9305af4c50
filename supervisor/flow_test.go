package supervisor

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// arrival is a flow that was accepted, with its connection.
type arrival struct {
	fl   *flow
	conn net.Conn
}

func startFlows(t *testing.T) (*flows, <-chan arrival) {
	t.Helper()
	arrived := make(chan arrival, 8)
	f, err := listenFlows(func(fl *flow, conn net.Conn) { arrived <- arrival{fl, conn} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f, arrived
}

func dial(t *testing.T, to netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", to.String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func wantArrival(t *testing.T, arrived <-chan arrival, want *flow, from net.Conn) {
	t.Helper()
	select {
	case got := <-arrived:
		defer got.conn.Close()
		if got.fl != want || addrPortOf(got.conn.RemoteAddr()) != addrPortOf(from.LocalAddr()) {
			t.Errorf("%s arrived from %s, want %s from %s", got.fl, got.conn.RemoteAddr(), want, from.LocalAddr())
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("%s did not arrive", want)
	}
}

// wantReset connects as one whom nobody announced. The reset may come before
// the connect is seen to have worked.
func wantReset(t *testing.T, to netip.AddrPort) {
	t.Helper()
	wantResetFrom(t, netip.AddrPort{}, to)
}

func wantResetFrom(t *testing.T, from, to netip.AddrPort) {
	t.Helper()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", to.String())
	if err == nil {
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a stranger's connection to %s: %v, want a reset", to, err)
	}
}

func announced(t *testing.T, f *flows, name string) *flow {
	t.Helper()
	fl := &flow{dialled: netip.MustParseAddrPort("192.0.2.7:443"), name: name}
	key, err := f.announce(fl)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Addr().IsLoopback() || key.Addr().As4()[1] == 0 || key != fl.key || key.Port() != f.port4 {
		t.Errorf("announced at %s", key)
	}
	return fl
}

func TestFlowsClaim(t *testing.T) {
	f, arrived := startFlows(t)
	first, second := announced(t, f, "one.test"), announced(t, f, "two.test")
	// They arrive in another order than they were announced in, and before
	// it is known from which port they come.
	b, a := dial(t, second.key), dial(t, first.key)
	f.connected(first, addrPortOf(a.LocalAddr()))
	wantArrival(t, arrived, first, a)
	f.connected(second, addrPortOf(b.LocalAddr()))
	wantArrival(t, arrived, second, b)
	if len(f.pending) != 0 {
		t.Errorf("still pending: %v", f.pending)
	}
	// An identifier is used once.
	wantReset(t, first.key)
	// Nobody waits for a connect that has failed.
	failed := announced(t, f, "failed.test")
	stranger := dial(t, failed.key)
	f.cancel(failed)
	if _, err := stranger.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a stranger at the place of a connect that failed: %v", err)
	}
}

func TestFlowsStranger(t *testing.T) {
	f, arrived := startFlows(t)
	wantReset(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), f.port4))
	if f.v6 != nil {
		wantReset(t, netip.AddrPortFrom(netip.IPv6Loopback(), f.port6))
	}
	// A stranger who knows the identifier has the wrong source, be it that only
	// the address is wrong, and does not keep the right one out.
	fl := announced(t, f, "guessed.test")
	port := freePort(t)
	f.connected(fl, netip.AddrPortFrom(fl.key.Addr(), port))
	wantReset(t, fl.key)
	wantResetFrom(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 9}), port), fl.key)
	select {
	case got := <-arrived:
		t.Fatalf("%s arrived from %s", got.fl, got.conn.RemoteAddr())
	default:
	}
	wantArrival(t, arrived, fl, dialFrom(t, netip.AddrPortFrom(fl.key.Addr(), port), fl.key))
}

// freePort is a port that nobody has.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(l)
}

func dialFrom(t *testing.T, from, to netip.AddrPort) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(from)}
	conn, err := d.DialContext(t.Context(), "tcp4", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestFlowsV6(t *testing.T) {
	f, arrived := startFlows(t)
	if f.v6 == nil {
		if err := f.connectV6(&flow{}, -1); err != unix.ENETUNREACH {
			t.Errorf("on a machine without IPv6: %v", err)
		}
		return
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	fl := &flow{name: "six.test"}
	if err := f.connectV6(fl, fd); err != nil {
		t.Errorf("connect: %v", err)
	}
	select {
	case got := <-arrived:
		defer got.conn.Close()
		if got.fl != fl {
			t.Errorf("%s arrived, want %s", got.fl, fl)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the flow did not arrive")
	}
	if err := f.connectV6(&flow{}, fd); err != unix.EISCONN {
		t.Errorf("a connect that fails: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for source, left := range f.bySource {
		t.Errorf("left behind: %v from %v", left, source)
	}
}

func TestFlowsSweepAndCancel(t *testing.T) {
	f, _ := startFlows(t)
	kept, cancelled := announced(t, f, "kept.test"), announced(t, f, "cancelled.test")
	six := netip.MustParseAddrPort("[::1]:1")
	f.bySource[six] = kept
	f.cancel(cancelled)
	now := time.Now()
	f.sweep(now)
	if len(f.pending) != 1 || f.pending[kept.key.Addr()] != kept || f.bySource[six] != kept {
		t.Errorf("pending: %v", f.pending)
	}
	f.sweep(now.Add(announceTimeout + time.Second))
	if len(f.pending) != 0 || len(f.bySource) != 0 {
		t.Errorf("pending after their time: %v", f.pending)
	}
	wantReset(t, kept.key)
}

// TestFlowsClosed: nothing listens once the session has ended.
func TestFlowsClosed(t *testing.T) {
	f, _ := startFlows(t)
	f.close()
	if conn, err := net.Dial("tcp4", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), f.port4).String()); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
}
