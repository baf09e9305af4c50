package policies

import (
	"net/netip"
	"strings"
)

// maxOverrides is how many method-override headers are judged before a request
// is refused.
const maxOverrides = 7

// query is a request made ready for matching.
type query struct {
	protocol protocols
	host     string
	literal  netip.Addr // the host, where it is an address
	port     uint16
	methods  [1 + maxOverrides]string
	nMethods int
	readings []string
	process  Process
	// addrs are the addresses that are judged: the literal, and the one that
	// the host resolves to.
	addrs  [2]netip.Addr
	nAddrs int
	class  addrClass
}

// newQuery reads a request. Where it can't be judged, the reason is not empty.
func (p *Policy) newQuery(r Request) (q query, reason string) {
	q.protocol = protocolSet(r.Protocol)
	q.process = r.Process
	q.port = r.Port
	switch q.protocol {
	case 0:
		return q, ReasonInvalidRequest
	case protoUnix:
		q.nMethods = 1
		readings, err := socketReadings(r.Path)
		if err != nil {
			return q, ReasonAmbiguousPath
		}
		q.readings = readings
		return q, ""
	}
	host, err := CanonicalHost(r.Host)
	if err != nil {
		return q, ReasonInvalidRequest
	}
	q.host = host
	p.addAddrs(&q, r)
	if q.protocol != protoHTTP {
		q.nMethods = 1
		return q, ""
	}
	return q, q.addHTTP(r)
}

// addAddrs notes the addresses of the request and what speaks against them.
func (p *Policy) addAddrs(q *query, r Request) {
	q.literal, _ = netip.ParseAddr(q.host)
	if r.AddrByOperator {
		return
	}
	if !r.Addr.IsValid() {
		if _, ok := p.resolved(q.host, q.port); ok {
			return
		}
	}
	if q.host == localhost {
		q.class |= addrPrivate // RFC 6761 §6.3, whatever it resolves to
	}
	if q.literal.IsValid() {
		q.addAddr(q.literal)
	}
	if r.Addr.IsValid() {
		q.addAddr(r.Addr)
	}
}

func (q *query) addAddr(addr netip.Addr) {
	addr = addr.WithZone("").Unmap()
	q.addrs[q.nAddrs] = addr
	q.nAddrs++
	q.class |= classify(addr)
}

// addHTTP reads what only an HTTP request has.
func (q *query) addHTTP(r Request) (reason string) {
	if !isToken(r.Method) || len(r.Overrides) > maxOverrides {
		return ReasonInvalidRequest
	}
	q.methods[0], q.nMethods = r.Method, 1
	for _, override := range r.Overrides {
		// Frameworks that heed the header ignore its case.
		method := strings.ToUpper(strings.TrimSpace(override))
		if !isToken(method) {
			return ReasonInvalidRequest
		}
		q.methods[q.nMethods] = method
		q.nMethods++
	}
	if r.Path == "*" && r.Method == "OPTIONS" {
		return "" // RFC 9112 §3.2.4: about the server, so there is no path.
	}
	readings, err := readings(r.Path)
	if err != nil {
		return ReasonAmbiguousPath
	}
	q.readings = readings
	return ""
}
