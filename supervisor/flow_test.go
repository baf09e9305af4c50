package supervisor

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
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

func wantReset(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a stranger's connection: %v, want a reset", err)
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
	wantReset(t, dial(t, first.key))
}

func TestFlowsStranger(t *testing.T) {
	f, arrived := startFlows(t)
	wantReset(t, dial(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), f.port4)))
	if f.v6 != nil {
		wantReset(t, dial(t, netip.AddrPortFrom(netip.IPv6Loopback(), f.port6)))
	}
	// A stranger who knows the identifier has the wrong source port, and does
	// not keep the right one out.
	fl := announced(t, f, "guessed.test")
	right := dial(t, netip.AddrPortFrom(fl.key.Addr(), heldPort(t)))
	f.connected(fl, addrPortOf(right.LocalAddr()))
	wantReset(t, dial(t, fl.key))
	select {
	case got := <-arrived:
		t.Fatalf("%s arrived from %s", got.fl, got.conn.RemoteAddr())
	default:
	}
	own := dialFrom(t, right.LocalAddr().(*net.TCPAddr).Port, fl.key)
	wantArrival(t, arrived, fl, own)
}

// heldPort is a port on which the test listens on all of loopback.
func heldPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return portOf(l)
}

// dialFrom connects from a port that another connection of the test's has too.
func dialFrom(t *testing.T, port int, to netip.AddrPort) net.Conn {
	t.Helper()
	d := net.Dialer{
		Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: to.Addr().AsSlice(), Port: port},
		Control: func(_, _ string, rc syscall.RawConn) error {
			var err error
			ctl := rc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
			return errors.Join(ctl, err)
		},
	}
	conn, err := d.DialContext(context.Background(), "tcp4", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestFlowsV6(t *testing.T) {
	f, arrived := startFlows(t)
	if f.v6 == nil {
		if err := f.connectV6(&flow{}, nil); err != unix.ENETUNREACH {
			t.Errorf("on a machine without IPv6: %v", err)
		}
		return
	}
	fl := &flow{name: "six.test"}
	var conn net.Conn
	err := f.connectV6(fl, func(to netip.AddrPort) (netip.AddrPort, error) {
		conn = dial(t, to)
		return addrPortOf(conn.LocalAddr()), unix.EINPROGRESS
	})
	if err != unix.EINPROGRESS {
		t.Errorf("connect: %v", err)
	}
	wantArrival(t, arrived, fl, conn)
	err = f.connectV6(&flow{}, func(netip.AddrPort) (netip.AddrPort, error) { return netip.AddrPort{}, unix.ECONNREFUSED })
	if err != unix.ECONNREFUSED {
		t.Errorf("a connect that fails: %v", err)
	}
	f.bySource.Range(func(k, v any) bool {
		t.Errorf("left behind: %v from %v", v, k)
		return true
	})
}

func TestFlowsSweepAndCancel(t *testing.T) {
	f, _ := startFlows(t)
	kept, cancelled := announced(t, f, "kept.test"), announced(t, f, "cancelled.test")
	f.bySource.Store(uint16(1), kept)
	f.cancel(cancelled)
	f.cancel(cancelled)
	now := time.Now()
	f.sweep(now)
	if _, six := f.bySource.Load(uint16(1)); len(f.pending) != 1 || f.pending[kept.key.Addr()] != kept || !six {
		t.Errorf("pending: %v", f.pending)
	}
	f.sweep(now.Add(announceTimeout + time.Second))
	if _, six := f.bySource.Load(uint16(1)); len(f.pending) != 0 || six {
		t.Errorf("pending after their time: %v", f.pending)
	}
	wantReset(t, dial(t, kept.key))
}

// TestFlowsClosed: nothing listens once the session has ended.
func TestFlowsClosed(t *testing.T) {
	f, _ := startFlows(t)
	conn := dial(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 9, 9}), f.port4))
	f.close()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a stranger's connection: %v", err)
	}
	if c, err := net.Dial("tcp4", f.v4.Addr().String()); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
}
