package policies

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// protocols is a set of protocols.
type protocols uint8

const (
	protoHTTP protocols = 1 << iota
	protoTLS
	protoTCP
	protoUDP
	protoUnix
)

// anyHostProtocol is what a deny is about that names no protocol.
const anyHostProtocol = protoHTTP | opaque

// opaque are the protocols within which HTTP requests can't be seen.
const opaque = protoTLS | protoTCP | protoUDP

// protocolSet returns the set of one protocol, or none for an unknown one.
func protocolSet(p Protocol) protocols {
	switch p {
	case HTTP:
		return protoHTTP
	case TLS:
		return protoTLS
	case TCP:
		return protoTCP
	case UDP:
		return protoUDP
	case Unix:
		return protoUnix
	}
	return 0
}

// portRange is an inclusive range of ports.
type portRange struct {
	from, to uint16
}

// rule is a checked rule, ready to match.
type rule struct {
	name string
	at   string // file:line
	// order is the place of the rule among all rules. It never decides the
	// verdict, only which of several rules is named.
	order int
	deny  bool

	protocols protocols
	hosts     []hostPattern
	ports     []portRange // nil: any
	methods   []string    // nil: any
	paths     []glob      // nil: any
	process   []glob      // nil: any
	ancestor  []glob      // nil: any
	private   bool
	maxBytes  int64 // -1: none

	rng hcl.Range
}

// matchesPort says whether the rule is about a port.
func (r *rule) matchesPort(port uint16) bool {
	if r.ports == nil {
		return true
	}
	return slices.ContainsFunc(r.ports, func(p portRange) bool { return p.from <= port && port <= p.to })
}

// matchesMethod compares as RFC 9110 §9.1 does, with case; but a deny matches
// any case, as some servers do.
func (r *rule) matchesMethod(method string) bool {
	if r.methods == nil {
		return true
	}
	if !r.deny {
		return slices.Contains(r.methods, method)
	}
	return slices.ContainsFunc(r.methods, func(m string) bool { return strings.EqualFold(m, method) })
}

// matchesPath says whether an allow matches every reading, or a deny any.
func (r *rule) matchesPath(readings []string) bool {
	if r.paths == nil {
		return true
	}
	matches := func(reading string) bool {
		return slices.ContainsFunc(r.paths, func(g glob) bool { return g.match(reading) })
	}
	if r.deny {
		return slices.ContainsFunc(readings, matches)
	}
	return len(readings) > 0 && !slices.ContainsFunc(readings, func(reading string) bool { return !matches(reading) })
}

// matchesProcess says whether the rule is about a program.
func (r *rule) matchesProcess(p Process) bool {
	if r.process != nil && !r.matchesExe(r.process, p.Exe) {
		return false
	}
	if r.ancestor == nil {
		return true
	}
	return slices.ContainsFunc(p.Ancestors, func(exe string) bool { return r.matchesExe(r.ancestor, exe) })
}

// matchesExe matches one executable. One that is not known matches no allow,
// and every deny.
func (r *rule) matchesExe(globs []glob, exe string) bool {
	if exe == "" {
		return r.deny
	}
	base := exe[strings.LastIndexByte(exe, '/')+1:]
	return slices.ContainsFunc(globs, func(g glob) bool {
		if g.base {
			return g.match(base)
		}
		return g.match(exe)
	})
}

// namesAddr says whether `hosts` spells out an address.
func (r *rule) namesAddr(addr netip.Addr) bool {
	return slices.ContainsFunc(r.hosts, func(h hostPattern) bool { return h.kind == hostAddr && h.addr == addr })
}

// onlyHTTP says whether the rule is about HTTP requests and nothing else.
func (r *rule) onlyHTTP() bool { return r.protocols == protoHTTP }

// proxied says whether the rule is about what the proxy sees, and nothing else.
func (r *rule) proxied() bool { return r.protocols == protoHTTP || r.protocols == protoTLS }

// blanket says whether the rule denies every way to its hosts, whoever asks.
func (r *rule) blanket() bool {
	return r.deny && r.protocols == anyHostProtocol && r.ports == nil && r.process == nil && r.ancestor == nil
}
