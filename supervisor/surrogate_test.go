package supervisor

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

func TestSurrogatesBind(t *testing.T) {
	type step struct {
		who   int
		at    string
		reuse bool
		errno unix.Errno
	}
	for _, tt := range []struct {
		name  string
		steps []step
		finds map[string]int // which of them a datagram to an address goes to; -1: none
	}{
		{"exact", []step{{0, "127.0.0.1:5000", false, 0}}, map[string]int{"127.0.0.1:5000": 0, "127.0.0.2:5000": -1, "127.0.0.1:5001": -1}},
		{"two addresses", []step{{0, "127.0.0.1:5000", false, 0}, {1, "127.0.0.2:5000", false, 0}},
			map[string]int{"127.0.0.1:5000": 0, "127.0.0.2:5000": 1, "127.0.0.3:5000": -1}},
		{"taken", []step{{0, "127.0.0.1:5000", false, 0}, {1, "127.0.0.1:5000", false, unix.EADDRINUSE}}, map[string]int{"127.0.0.1:5000": 0}},
		{"wildcard over exact", []step{{0, "127.0.0.1:5000", false, 0}, {1, "0.0.0.0:5000", false, unix.EADDRINUSE}}, nil},
		{"exact under wildcard", []step{{0, "0.0.0.0:5000", false, 0}, {1, "127.0.0.1:5000", false, unix.EADDRINUSE}},
			map[string]int{"127.0.0.9:5000": 0}},
		{"reuse", []step{{0, "0.0.0.0:5000", false, 0}, {1, "127.0.0.1:5000", true, 0}},
			map[string]int{"127.0.0.1:5000": 1, "127.0.0.2:5000": 0}},
		{"exact first, whatever the order", []step{{0, "127.0.0.1:5000", false, 0}, {1, "0.0.0.0:5000", true, 0}},
			map[string]int{"127.0.0.1:5000": 0, "127.0.0.2:5000": 1}},
		{"IPv4 wildcard takes IPv4", []step{{0, "0.0.0.0:5000", false, 0}}, map[string]int{"[::1]:5000": -1, "[::]:5000": -1, "127.0.0.1:5000": 0}},
		{"IPv6 wildcard takes both", []step{{2, "[::]:5000", false, 0}}, map[string]int{"[::1]:5000": 2, "127.0.0.1:5000": 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := newSurrogates()
			all := []*surrogate{{family: unix.AF_INET}, {family: unix.AF_INET}, {family: unix.AF_INET6}}
			for _, s := range tt.steps {
				want := netip.MustParseAddrPort(s.at)
				got, errno := table.bind(all[s.who], want, s.reuse)
				if errno != s.errno || errno == 0 && got != want {
					t.Errorf("bind %d to %s: %s, %v; want %v", s.who, s.at, got, errno, s.errno)
				}
			}
			for dst, want := range tt.finds {
				got := table.boundTo(netip.MustParseAddrPort(dst))
				if want < 0 && got != nil || want >= 0 && got != all[want] {
					t.Errorf("%s does not lead to %d", dst, want)
				}
			}
			for _, s := range all {
				table.unbind(s, 5000)
			}
			if len(table.bound) != 0 {
				t.Errorf("left behind: %v", table.bound)
			}
		})
	}
}

// TestSurrogatesBindAny takes every port there is.
func TestSurrogatesBindAny(t *testing.T) {
	table, any4 := newSurrogates(), netip.MustParseAddrPort("0.0.0.0:0")
	const ports = 60999 - 32768 + 1
	for i := range ports {
		if got, errno := table.bind(&surrogate{}, any4, false); errno != 0 || got.Port() < 32768 || got.Port() > 60999 {
			t.Fatalf("bind %d: %s, %v", i, got, errno)
		}
	}
	if len(table.bound) != ports {
		t.Errorf("%d ports for %d sockets", len(table.bound), ports)
	}
	if got, errno := table.bind(&surrogate{}, any4, false); errno != unix.EADDRINUSE {
		t.Errorf("one more: %s, %v", got, errno)
	}
}

// TestSurrogateName: the name by which the supervisor sees whether the agent's
// end is open is that of this very end.
func TestSurrogateName(t *testing.T) {
	s := testSession(t, "")
	sur, theirs, err := newSurrogate(s, unix.AF_INET, true)
	if err != nil {
		t.Fatal(err)
	}
	probe, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(probe)
	if err := seccomp.Connect(probe, sur.agent); err != unix.EPERM || !sur.alive(probe) {
		t.Errorf("while it is open: %v", err)
	}
	s.surrogates.byIno[sur.ino] = sur
	s.surrogates.sweep()
	if s.surrogates.none() {
		t.Error("swept while it is open")
	}
	if err := unix.Close(theirs); err != nil {
		t.Fatal(err)
	}
	if err := seccomp.Connect(probe, sur.agent); err != unix.ECONNREFUSED || sur.alive(probe) {
		t.Errorf("after it was closed: %v", err)
	}
	s.surrogates.sweep()
	if !s.surrogates.none() || !sur.closed {
		t.Error("not swept after it was closed")
	}
}

// TestSurrogateSources: each datagram is told with whence it came, also where
// the agent reads some natively.
func TestSurrogateSources(t *testing.T) {
	s := testSession(t, "")
	sur, theirs, err := newSurrogate(s, unix.AF_INET, true)
	if err != nil {
		t.Fatal(err)
	}
	defer sur.close()
	defer unix.Close(theirs)
	from := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	for port, data := range []string{"", "one", "two", "same", "same", ""} {
		sur.deliver([]byte(data), from(uint16(port)))
	}
	for _, want := range []struct {
		data string
		port uint16
		peek bool
		skip bool // read natively
	}{{"", 0, false, false}, {"one", 1, true, false}, {"one", 1, false, true}, {"two", 2, false, false},
		{"same", 3, false, false}, {"same", 4, false, false}, {"", 5, false, false}} {
		buf, flags := make([]byte, 16), unix.MSG_DONTWAIT
		if want.peek {
			flags |= unix.MSG_PEEK
		}
		n, _, err := unix.Recvfrom(theirs, buf, flags)
		if err != nil || string(buf[:n]) != want.data {
			t.Fatalf("read %q, %v; want %q", buf[:n], err, want.data)
		}
		if want.skip {
			continue
		}
		if got := sur.sourceOf(buf[:n], want.peek); got != from(want.port) {
			t.Errorf("%q came from %s, want port %d", want.data, got, want.port)
		}
	}
	// An IPv4 socket has no way to tell of an IPv6 sender.
	sur.deliver([]byte("six"), netip.MustParseAddrPort("[::1]:9"))
	// A connected socket hears its peer only.
	sur.peer = from(9)
	sur.deliver([]byte("stranger"), from(8))
	sur.deliver([]byte("peer"), from(9))
	buf := make([]byte, 16)
	if n, _, err := unix.Recvfrom(theirs, buf, unix.MSG_DONTWAIT); err != nil || string(buf[:n]) != "peer" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	// A reader that never comes costs no more than its queue.
	for range 3 * maxSources {
		sur.deliver([]byte("x"), from(9))
	}
	if len(sur.sources) > maxSources {
		t.Errorf("%d sources are kept", len(sur.sources))
	}
}
