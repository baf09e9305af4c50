package policies

import (
	"net/netip"
	"slices"
	"strings"
)

// MayLookUp says whether some rule could allow a name, so that a query for it
// may leave the machine. Addresses and the names of the loopback interface
// (RFC 6761 §6.3) are never looked up; nor is a name to which every way is
// denied, as the query itself would be one.
func (p *Policy) MayLookUp(name string) bool {
	name, err := CanonicalHost(name)
	if err != nil || name == localhost || strings.HasSuffix(name, "."+localhost) {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	if !p.deny.byName(name, func(r *rule) bool { return !r.blanket() }) {
		return false
	}
	return !p.allow.byName(name, func(*rule) bool { return false })
}

// NamesProxied says whether some rule of protocol http or tls names a host and
// port, so that the proxy is to judge a connection there: it reads what is asked
// for, and can explain a denial. A deny that is about all ports names none.
func (p *Policy) NamesProxied(host string, port uint16) bool {
	name, err := CanonicalHost(host)
	if err != nil {
		return false
	}
	literal, _ := netip.ParseAddr(name)
	other := func(r *rule) bool { return !(r.proxied() && r.ports != nil && r.matchesPort(port)) }
	return !p.allow.byHost(name, literal, other) || !p.deny.byHost(name, literal, other)
}

// CAFiles returns the files with further roots for upstream TLS, relative ones
// made relative to the working directory in place of the policy's folder.
func (p *Policy) CAFiles() []string { return slices.Clone(p.caFiles) }

// Required returns the guards without which nothing may start.
func (p *Policy) Required() []string { return slices.Clone(p.require) }

// PublicPorts returns the ports of `listen.public`.
func (p *Policy) PublicPorts() []uint16 { return slices.Clone(p.public) }

// Rule is what may be shown of a rule.
type Rule struct {
	Name string
	// At is where the rule stands, as "file:line".
	At string
	// Kind is "allow" or "deny".
	Kind string
}

// Rules returns the rules in the order of the sources.
func (p *Policy) Rules() []Rule {
	rules := make([]Rule, len(p.rules))
	for i, r := range p.rules {
		rules[i] = Rule{Name: r.name, At: r.at, Kind: "allow"}
		if r.deny {
			rules[i].Kind = "deny"
		}
	}
	return rules
}
