package policies

import (
	"net/netip"
	"strings"
)

// byName calls yield with every rule that is about a name by its text, until
// yield returns false. A rule may come more than once.
func (x *ruleIndex) byName(name string, yield func(*rule) bool) bool {
	if !each(x.any, yield) || !each(x.exact[name], yield) {
		return false
	}
	if name == localhost && !each(x.localhost, yield) {
		return false
	}
	if len(x.below) == 0 {
		return true
	}
	for rest := name; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return true
		}
		rest = rest[i+1:]
		if !each(x.below[rest], yield) {
			return false
		}
	}
}

// byAddr calls yield with every rule that is about an address by its number,
// until yield returns false.
func (x *ruleIndex) byAddr(addr netip.Addr, yield func(*rule) bool) bool {
	if !each(x.addrs[addr], yield) {
		return false
	}
	if addr.IsLoopback() && !each(x.localhost, yield) {
		return false
	}
	for _, n := range x.nets {
		if n.net.Contains(addr) && !yield(n.rule) {
			return false
		}
	}
	return true
}

// byHost calls yield with every rule that is about a host, which is a name or
// an address.
func (x *ruleIndex) byHost(host string, literal netip.Addr, yield func(*rule) bool) bool {
	if !literal.IsValid() {
		return x.byName(host, yield)
	}
	return each(x.any, yield) && x.byAddr(literal, yield)
}

func each(rules []*rule, yield func(*rule) bool) bool {
	for _, r := range rules {
		if !yield(r) {
			return false
		}
	}
	return true
}

// allowing calls yield with every allow that is about the host of a query.
func (p *Policy) allowing(q *query, yield func(*rule) bool) {
	if q.protocol == protoUnix {
		each(p.allow.unix, yield)
		return
	}
	p.allow.byHost(q.host, q.literal, yield)
}

// denying calls yield with every deny that is about the host of a query, or
// about an address behind it.
func (p *Policy) denying(q *query, yield func(*rule) bool) {
	if q.protocol == protoUnix {
		each(p.deny.unix, yield)
		return
	}
	if !p.deny.byHost(q.host, q.literal, yield) {
		return
	}
	for _, addr := range q.addrs[:q.nAddrs] {
		if !p.deny.byAddr(addr, yield) {
			return
		}
		carried, n := carriedIPv4(addr)
		for _, a := range carried[:n] {
			if !p.deny.byAddr(a, yield) {
				return
			}
		}
	}
}
