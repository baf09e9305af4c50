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
	"sync"
	"time"

	"github.com/miekg/dns"

	"boundary/audit"
	"boundary/policies"
)

const (
	lookupTimeout = 15 * time.Second
	// lookupCache is how long an answer from outside is used again. Go's
	// resolver does not tell the time to live, so it is short: a CDN rotates.
	lookupCache = 5 * time.Second
	// answerTTL is that of synthetic answers, in seconds; they hold for the
	// whole session.
	answerTTL      = 60
	resolvConfPath = "/etc/resolv.conf"
)

// resolver answers the agent's DNS queries. No query of the agent's is ever
// passed on: for a name that a rule could allow, a new one is made of its name
// and type alone, so nothing can be smuggled in options or trailing bytes. Any
// other name is answered without one.
type resolver struct {
	s      *Session
	lookup *net.Resolver

	config func() *dns.ClientConfig // nil fields where there is no resolv.conf

	mu    sync.Mutex
	cache map[string]*lookupResult // guarded by mu
}

// lookupResult is one look-up, under way until done is closed.
type lookupResult struct {
	done  chan struct{}
	until time.Time // guarded by resolver.mu
	addrs []netip.Addr
	err   error
}

func newResolver(s *Session) *resolver {
	return &resolver{
		s: s, lookup: &net.Resolver{PreferGo: true}, cache: map[string]*lookupResult{},
		config: sync.OnceValue(func() *dns.ClientConfig {
			c, err := dns.ClientConfigFromFile(resolvConfPath)
			if err != nil {
				return &dns.ClientConfig{}
			}
			return c
		}),
	}
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

// outside looks a name up with the machine's own resolver. Look-ups of one
// name share one query.
func (r *resolver) outside(ctx context.Context, name string) ([]netip.Addr, error) {
	if !r.s.policy.MayLookUp(name) {
		return nil, &net.DNSError{Err: "no rule allows to look it up", Name: name, IsNotFound: true}
	}
	r.mu.Lock()
	res := r.cache[name]
	if res == nil || !res.until.IsZero() && time.Now().After(res.until) {
		res = &lookupResult{done: make(chan struct{})}
		if len(r.cache) >= maxPeers {
			clear(r.cache)
		}
		r.cache[name] = res
		go r.fetch(name, res)
	}
	r.mu.Unlock()
	select {
	case <-res.done:
		return res.addrs, res.err
	case <-ctx.Done():
		return nil, fmt.Errorf("look up %s: %w", name, ctx.Err())
	}
}

func (r *resolver) fetch(name string, res *lookupResult) {
	ctx, cancel := context.WithTimeout(r.s.ctx, lookupTimeout)
	defer cancel()
	query := name
	if strings.Contains(name, ".") {
		query += "." // the agent's own resolver has gone through the search list
	}
	res.addrs, res.err = r.lookup.LookupNetIP(ctx, "ip", query)
	r.mu.Lock()
	res.until = time.Now().Add(lookupCache)
	r.mu.Unlock()
	close(res.done)
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
		Method: dns.TypeToString[q.Qtype], Host: name, Port: portDNS, Process: &proc.record,
	}
	if known || local {
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
		r.forward(ctx, m, q)
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
	for _, domain := range r.config().Search {
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

// forward asks the machine's name servers for other types (MX, TXT, SRV …) of
// a name that a rule could allow.
func (r *resolver) forward(ctx context.Context, m *dns.Msg, q dns.Question) {
	m.Rcode = dns.RcodeServerFailure
	ask := new(dns.Msg)
	ask.SetQuestion(q.Name, q.Qtype)
	ask.SetEdns0(dns.DefaultMsgSize, false)
	config := r.config()
	for _, server := range config.Servers {
		addr := net.JoinHostPort(server, config.Port)
		got, _, err := (&dns.Client{}).ExchangeContext(ctx, ask, addr)
		if err == nil && got.Truncated {
			got, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, ask, addr)
		}
		if err == nil {
			m.Rcode, m.Answer, m.Ns = got.Rcode, got.Answer, got.Ns
			return
		}
	}
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
