package supervisor

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestNames(t *testing.T) {
	n := newNames()
	seen := map[netip.Addr]string{}
	for i := range maxNames {
		name := strconv.Itoa(i) + ".test"
		a, ok := n.address(name)
		if !ok || !synthetic(a) || a == syntheticPrefix.Addr() || seen[a] != "" {
			t.Fatalf("%s is %s, %v (of %q)", name, a, ok, seen[a])
		}
		seen[a] = name
	}
	for i := range 3 {
		if a, ok := n.address("more" + strconv.Itoa(i) + ".test"); ok {
			t.Errorf("one more name got %s of %s", a, seen[a])
		}
	}
	for a, want := range seen {
		if got, ok := n.name(a); !ok || got != want {
			t.Fatalf("%s is %q, want %q", a, got, want)
		}
		if again, ok := n.address(want); !ok || again != a {
			t.Fatalf("%s is %s now, was %s", want, again, a)
		}
	}
	if name, ok := n.name(netip.MustParseAddr("192.0.2.1")); ok {
		t.Errorf("an address outside stands for %q", name)
	}
}

func TestPeersBounded(t *testing.T) {
	p := newPeers[sockaddr]()
	for i := range 2 * maxPeers {
		p.remember(inode(i), sockaddr{byte(i)})
		p.remember(inode(i), sockaddr{byte(i), 1})
		if i%3 == 0 {
			p.forget(inode(i))
		}
	}
	if len(p.shown) > maxPeers || p.order.Len() != len(p.shown) {
		t.Errorf("%d kept in an order of %d", len(p.shown), p.order.Len())
	}
	if _, ok := p.of(0); ok {
		t.Error("the oldest is kept")
	}
	last := inode(2*maxPeers - 1)
	if got, ok := p.of(last); !ok || cmp.Diff(sockaddr{byte(last), 1}, got) != "" {
		t.Errorf("the newest is %v, %v", got, ok)
	}
	p.forget(last)
	if _, ok := p.of(last); ok {
		t.Error("forgotten and still there")
	}
}

// TestPeersForgotten: a socket whose first connect has failed and whose second
// has not is as new as the second.
func TestPeersForgotten(t *testing.T) {
	p := newPeers[sockaddr]()
	const again = inode(1)
	p.remember(again, sockaddr{1})
	p.forget(again)
	for i := range inode(maxPeers) {
		if i == maxPeers/2 {
			p.remember(again, sockaddr{3})
		}
		p.remember(again+1+i, sockaddr{2})
	}
	if got, ok := p.of(again); !ok || cmp.Diff(sockaddr{3}, got) != "" {
		t.Errorf("one of the newer half is %v, %v", got, ok)
	}
}

func TestRepeats(t *testing.T) {
	const ino = inode(5)
	dialled := netip.MustParseAddrPort("192.0.2.7:443")
	first := func() *call {
		c := &call{}
		c.n.ID, c.n.PID, c.n.Data.Nr, c.n.Data.Args = 1, 77, unix.SYS_CONNECT, [6]uint64{3, 0x1000, 16}
		return c
	}
	r := newRepeats()
	r.note(first(), ino, dialled, value(0))
	if _, ok := r.again(first(), ino, dialled); ok {
		t.Error("recognised while it is off")
	}
	r.enable()
	r.note(first(), ino, dialled, fail(unix.EINPROGRESS))
	for range 3 { // the second answer may be lost as well
		if got, ok := r.again(first(), ino, dialled); !ok || got != fail(unix.EINPROGRESS) {
			t.Errorf("the same call again: %+v, %v", got, ok)
		}
	}
	for name, change := range map[string]func(*call, *inode, *netip.AddrPort){
		"thread":      func(c *call, _ *inode, _ *netip.AddrPort) { c.n.PID++ },
		"argument":    func(c *call, _ *inode, _ *netip.AddrPort) { c.n.Data.Args[1]++ },
		"place":       func(c *call, _ *inode, _ *netip.AddrPort) { c.n.Data.IP++ },
		"call":        func(c *call, _ *inode, _ *netip.AddrPort) { c.n.Data.Nr++ },
		"socket":      func(_ *call, i *inode, _ *netip.AddrPort) { *i++ },
		"destination": func(_ *call, _ *inode, d *netip.AddrPort) { *d = netip.AddrPortFrom(d.Addr(), 80) },
	} {
		c, i, d := first(), ino, dialled
		change(c, &i, &d)
		if _, ok := r.again(c, i, d); ok {
			t.Errorf("recognised with another %s", name)
		}
	}
	old := r.done[77]
	old.when = time.Now().Add(-repeatWithin - time.Millisecond)
	r.done[77] = old
	if _, ok := r.again(first(), ino, dialled); ok {
		t.Error("recognised after its time")
	}
	for i := range uint32(maxPeers + 10) {
		c := first()
		c.n.PID = i
		r.note(c, ino, dialled, value(0))
	}
	if len(r.done) > maxPeers {
		t.Errorf("%d calls are kept", len(r.done))
	}
}

func TestUnixNamesBounded(t *testing.T) {
	u := newUnixNames()
	for i := range maxUnixNames + 10 {
		u.addAbstract(strconv.Itoa(i), inode(i))
		u.addFile(fileID{ino: uint64(i)})
	}
	if len(u.abstract) > maxUnixNames || len(u.files) > maxUnixNames {
		t.Errorf("%d names and %d files are kept", len(u.abstract), len(u.files))
	}
}

func TestMergeEnv(t *testing.T) {
	env := []string{"A=1", "PATH=/bin", "A=2", "AB=3", "odd", "=C:=x"}
	want := []string{"PATH=/bin", "AB=3", "odd", "=C:=x", "A=new", "B="}
	if diff := cmp.Diff(want, mergeEnv(env, []string{"A=new", "B="})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if env[0] != "A=1" || env[2] != "A=2" {
		t.Errorf("the caller's environment was changed: %q", env)
	}
	if diff := cmp.Diff(env, mergeEnv(env, nil)); diff != "" {
		t.Errorf("nothing to add (-want +got)\n%s", diff)
	}
}
