package supervisor

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// names gives each host name of the session a synthetic address, so that an
// address that the agent dials stands for exactly one name.
type names struct {
	mu     sync.Mutex
	byName map[string]netip.Addr // guarded by mu
	byAddr map[netip.Addr]string // guarded by mu
	next   uint32                // guarded by mu
}

// syntheticPrefix is set aside for benchmarks (RFC 2544, RFC 6890) and routed
// nowhere.
var syntheticPrefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, 0}), 15)

// maxNames is how many addresses the prefix has, but for its first.
const maxNames = 1<<17 - 1

func newNames() *names {
	return &names{byName: map[string]netip.Addr{}, byAddr: map[netip.Addr]string{}}
}

// address is the address that stands for a canonical name. It is false once
// there are more names than addresses: an address is never used for a second
// name.
func (n *names) address(name string) (netip.Addr, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, ok := n.byName[name]; ok {
		return a, true
	}
	if n.next >= maxNames {
		return netip.Addr{}, false
	}
	n.next++
	base := syntheticPrefix.Addr().As4()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+n.next)
	a := netip.AddrFrom4(b)
	n.byName[name], n.byAddr[a] = a, name
	return a, true
}

// name is the host for which an address stands.
func (n *names) name(a netip.Addr) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.byAddr[a]
	return name, ok
}

// synthetic says whether an address is of the prefix: nothing real is there.
func synthetic(a netip.Addr) bool { return syntheticPrefix.Contains(a) }
