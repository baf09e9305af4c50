package policies

import "strings"

// conflicts warns of allows of TLS, TCP and UDP that denies of HTTP requests make
// partly void: what is within such a connection can't be seen, so where both
// cover the same host and port the connection is refused.
func (v *validator) conflicts() {
	for _, allow := range v.out.rules {
		if allow.deny || allow.protocols&opaque == 0 {
			continue
		}
		for _, deny := range v.out.rules {
			if deny.deny && deny.onlyHTTP() && portsOverlap(allow.ports, deny.ports) && hostsOverlap(allow.hosts, deny.hosts) {
				v.diags.warnAt(allow.rng, "Conflicting rules",
					"The rule %q at %s denies HTTP requests to hosts and ports of this rule. Requests can't be seen within an undecrypted connection, so it is refused to these. Give the deny other ports, or narrow one of the rules.",
					deny.name, deny.at)
				break
			}
		}
	}
}

func portsOverlap(a, b []portRange) bool {
	if a == nil || b == nil {
		return true
	}
	for _, p := range a {
		for _, q := range b {
			if p.from <= q.to && q.from <= p.to {
				return true
			}
		}
	}
	return false
}

func hostsOverlap(a, b []hostPattern) bool {
	for _, p := range a {
		for _, q := range b {
			if p.covers(q) || q.covers(p) {
				return true
			}
		}
	}
	return false
}

// covers says whether every host of q is one of p, or, for networks, whether
// they share one.
func (p hostPattern) covers(q hostPattern) bool {
	switch p.kind {
	case hostAny:
		return true
	case hostBelow:
		return (q.kind == hostExact || q.kind == hostBelow) && strings.HasSuffix(q.name, "."+p.name) ||
			q.kind == hostBelow && q.name == p.name
	case hostExact:
		return q.kind == hostExact && q.name == p.name
	case hostAddr:
		return q.kind == hostAddr && q.addr == p.addr
	case hostNet:
		return q.kind == hostAddr && p.net.Contains(q.addr) || q.kind == hostNet && p.net.Overlaps(q.net)
	case hostLocalhost:
		return q.kind == hostLocalhost ||
			q.kind == hostAddr && q.addr.IsLoopback() ||
			q.kind == hostNet && q.net.Addr().IsLoopback()
	}
	return false
}
