package supervisor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"boundary/audit"
	"boundary/policies"
)

const (
	lookupTimeout = 15 * time.Second
	// answerTTL is that of synthetic answers, in seconds; they hold for the
	// whole session.
	answerTTL = 60
)

// resolver answers the agent's DNS queries. No query of the agent's is ever
// passed on: for a name that a rule could allow, a new one is made of its
// canonical name and of its type, where that is one of a few, so nothing can be
// smuggled in letters' case, options or trailing bytes. Any other name is
// answered without one.
type resolver struct {
	s       *Session
	files   func() *nameFiles
	records *lookups[recordKey, records]
}

func newResolver(s *Session) *resolver {
	return &resolver{s: s, files: nameFilesOf(hostsPath, resolvConfPath), records: newLookups[recordKey, records]()}
}

// addresses finds the real addresses of a host: the operator's word, the
// address itself for a literal, else by name from the hosts file or DNS.
func (r *resolver) addresses(ctx context.Context, host string, port uint16) (addrs []netip.AddrPort, byOperator bool, err error) {
	if to, ok := r.s.policy.Resolve(host, port); ok {
		return []netip.AddrPort{to}, true, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a, port)}, false, nil
	}
	found, err := r.outside(ctx, host)
	if err != nil {
		return nil, false, err
	}
	for _, a := range found {
		addrs = append(addrs, netip.AddrPortFrom(a.Unmap(), port))
	}
	return addrs, false, nil
}

// outside looks a name up as the machine would.
func (r *resolver) outside(ctx context.Context, name string) ([]netip.Addr, error) {
	if !r.s.policy.MayLookUp(name) {
		return nil, &net.DNSError{Err: "no rule allows to look it up", Name: name, IsNotFound: true}
	}
	addrs, err := r.find(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look up: %w", err)
	}
	return addrs, nil
}

// answer is the reply to a DNS message, or nil where none can be given.
func (r *resolver) answer(ctx context.Context, query []byte, proc *process, tcp bool) []byte {
	var q dns.Msg
	if err := q.Unpack(query); err != nil || q.Response {
		return nil
	}
	m := new(dns.Msg)
	m.SetReply(&q)
	m.RecursionAvailable = true
	size := dns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
		m.SetEdns0(opt.UDPSize(), false)
	}
	switch {
	case q.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(q.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case q.Question[0].Qclass != dns.ClassINET:
		m.Rcode = dns.RcodeRefused
	default:
		r.respond(ctx, m, q.Question[0], proc)
	}
	if tcp {
		size = dns.MaxMsgSize
	}
	m.Truncate(size)
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// respond fills in the answer to one question, after it was recorded.
func (r *resolver) respond(ctx context.Context, m *dns.Msg, q dns.Question, proc *process) {
	name, err := policies.CanonicalHost(strings.TrimSuffix(q.Name, "."))
	known := err == nil && (r.s.policy.MayLookUp(name) || r.s.policy.ResolvesName(name))
	if err != nil {
		name = strings.ToLower(strings.TrimSuffix(q.Name, "."))
	}
	local := r.isLocal(name, q)
	rec := &audit.Record{
		Event: audit.DNS, Decision: audit.Deny, Reason: policies.ReasonDefault, Protocol: "dns",
		Method: dns.Type(q.Qtype).String(), Host: name, Port: portDNS, Process: &proc.record,
	}
	switch {
	case known && !answerable(q.Qtype):
		rec.Reason = "record-type"
	case known || local:
		rec.Decision, rec.Reason = audit.Allow, policies.ReasonRule
	}
	if r.s.record(rec) != nil {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	switch {
	case local:
		r.respondLocal(m, q, name)
	case err != nil:
		m.Rcode = dns.RcodeNameError
	case q.Qtype == dns.TypeHTTPS || q.Qtype == dns.TypeSVCB:
		// No encrypted ClientHello shall hide the name, and no HTTP/3 is
		// advertised.
	case q.Qtype == dns.TypeA || q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeANY:
		r.respondAddress(ctx, m, q, name, known)
	case known && !r.s.policy.ResolvesName(name):
		r.forward(ctx, m, q, name)
	}
}

// respondAddress answers with the address that stands for the name. Only for
// a name that a rule could allow does it matter whether it exists outside.
func (r *resolver) respondAddress(ctx context.Context, m *dns.Msg, q dns.Question, name string, known bool) {
	switch {
	case r.s.policy.ResolvesName(name), r.s.agentProxies.named(name), known && r.s.throughProxy(name):
	case known:
		if _, err := r.outside(ctx, name); err != nil {
			var notFound *net.DNSError
			m.Rcode = dns.RcodeServerFailure
			if errors.As(err, &notFound) && notFound.IsNotFound {
				m.Rcode = dns.RcodeNameError
			}
			return
		}
	case r.belowSearchDomain(name):
		m.Rcode = dns.RcodeNameError
		return
	}
	if q.Qtype == dns.TypeAAAA {
		return // the name exists, with IPv4 addresses only
	}
	a, ok := r.s.names.address(name)
	if !ok {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	v4 := a.As4()
	m.Answer = append(m.Answer, &dns.A{Hdr: header(q.Name, dns.TypeA), A: v4[:]})
}

func header(name string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: typ, Class: dns.ClassINET, Ttl: answerTTL}
}

// belowSearchDomain says whether a name may come of the resolver's search
// list: the agent's program tries NAME.SEARCH before NAME, and must be told
// that it is not there.
func (r *resolver) belowSearchDomain(name string) bool {
	for _, domain := range r.files().config.Search {
		domain = strings.ToLower(strings.Trim(domain, "."))
		if domain != "" && (name == domain || strings.HasSuffix(name, "."+domain)) {
			return true
		}
	}
	return false
}

// isLocal says whether the answer lies on the machine: localhost (RFC 6761
// §6.3), and the reverse of loopback and of synthetic addresses.
func (r *resolver) isLocal(name string, q dns.Question) bool {
	if q.Qtype == dns.TypePTR {
		_, ok := r.reverse(name)
		return ok
	}
	return isLocalhost(name)
}

func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

func (r *resolver) respondLocal(m *dns.Msg, q dns.Question, name string) {
	switch q.Qtype {
	case dns.TypePTR:
		host, _ := r.reverse(name)
		m.Answer = append(m.Answer, &dns.PTR{Hdr: header(q.Name, dns.TypePTR), Ptr: dns.Fqdn(host)})
	case dns.TypeA:
		m.Answer = append(m.Answer, &dns.A{Hdr: header(q.Name, dns.TypeA), A: net.IPv4(127, 0, 0, 1).To4()})
	case dns.TypeAAAA:
		m.Answer = append(m.Answer, &dns.AAAA{Hdr: header(q.Name, dns.TypeAAAA), AAAA: net.IPv6loopback})
	}
}

// reverse reads an in-addr.arpa name and says for which host it stands.
func (r *resolver) reverse(name string) (string, bool) {
	labels, ok := strings.CutSuffix(name, ".in-addr.arpa")
	if !ok {
		return "", false
	}
	parts := strings.Split(labels, ".")
	if len(parts) != net.IPv4len {
		return "", false
	}
	a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
	if err != nil {
		return "", false
	}
	if a.IsLoopback() {
		return "localhost", true
	}
	return r.s.names.name(a)
}

// tcpIdle is how long a DNS connection may be silent (RFC 7766 §6.2.3).
const tcpIdle = 10 * time.Second

// serveTCP answers queries on a connection to port 53 (RFC 1035 §4.2.2).
func (r *resolver) serveTCP(conn net.Conn, proc *process) {
	defer conn.Close()
	for {
		_ = conn.SetDeadline(time.Now().Add(tcpIdle))
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(r.s.ctx, lookupTimeout)
		answer := r.answer(ctx, query, proc, true)
		cancel()
		if answer == nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(tcpIdle))
		framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(answer)), uint16(len(answer)))
		if _, err := conn.Write(append(framed, answer...)); err != nil {
			return
		}
	}
}
