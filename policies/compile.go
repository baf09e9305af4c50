package policies

import (
	"net/netip"
	"net/url"
)

// Policy is a set of rules that answers requests. The zero Policy denies
// everything.
type Policy struct {
	allow, deny ruleIndex
	rules       []*rule
	resolve     map[resolveKey]resolved
	caFiles     []string
	proxy       *url.URL // nil: not said
	require     []string
	public      []uint16
}

// DenyAll is the policy that holds where there is none.
func DenyAll() *Policy { return &Policy{} }

// compile makes a policy of what was checked.
func compile(c *checked) *Policy {
	p := &Policy{
		rules:   c.rules,
		resolve: c.resolve,
		caFiles: c.caFiles,
		proxy:   c.proxy,
		require: c.require,
		public:  c.public,
	}
	for _, r := range c.rules {
		if r.deny {
			p.deny.add(r)
		} else {
			p.allow.add(r)
		}
	}
	return p
}

// ruleIndex finds the rules that are about a host without trying every rule.
type ruleIndex struct {
	any       []*rule
	exact     map[string][]*rule
	below     map[string][]*rule // by the name without "*."
	addrs     map[netip.Addr][]*rule
	nets      []netRule
	localhost []*rule
	unix      []*rule
}

type netRule struct {
	net  netip.Prefix
	rule *rule
}

// add enters a rule under each of its hosts.
func (x *ruleIndex) add(r *rule) {
	if r.protocols == protoUnix {
		x.unix = append(x.unix, r)
		return
	}
	for _, h := range r.hosts {
		switch h.kind {
		case hostAny:
			x.any = append(x.any, r)
		case hostExact:
			addTo(&x.exact, h.name, r)
		case hostBelow:
			addTo(&x.below, h.name, r)
		case hostAddr:
			addTo(&x.addrs, h.addr, r)
		case hostNet:
			x.nets = append(x.nets, netRule{h.net, r})
		case hostLocalhost:
			x.localhost = append(x.localhost, r)
		}
	}
}

func addTo[K comparable](m *map[K][]*rule, key K, r *rule) {
	if *m == nil {
		*m = map[K][]*rule{}
	}
	(*m)[key] = append((*m)[key], r)
}
