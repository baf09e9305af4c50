package supervisor

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"boundary/audit"
	"boundary/policies"
	"boundary/tlsproxy"
)

// judge answers the proxy's questions from the policy and records what it
// answers. It is safe for concurrent use.
type judge struct{ s *Session }

var _ tlsproxy.Judge = judge{}

func (j judge) NewID() string { return audit.NewID() }

func (j judge) CanonicalHost(host string) (string, error) { return policies.CanonicalHost(host) }

func (j judge) Request(_ context.Context, req *tlsproxy.Request) (tlsproxy.Verdict, error) {
	q := question(req)
	d := j.s.policy.Decide(q)
	r := requestRecord(req, d)
	if d.Allowed {
		r.Decision = audit.Allow
	} else {
		r.Status = http.StatusForbidden
	}
	if err := j.s.record(r); err != nil {
		return tlsproxy.Verdict{}, err
	}
	return j.verdict(q, d), nil
}

// verdict is a decision as the proxy knows it.
func (j judge) verdict(q policies.Request, d policies.Decision) tlsproxy.Verdict {
	v := tlsproxy.Verdict{
		Allowed: d.Allowed, Rule: d.Rule, RuleAt: d.RuleAt, Reason: d.Reason, MaxRequestBytes: d.MaxRequestBytes,
	}
	if !d.Allowed {
		v.Suggestion = j.s.policy.Suggest(q)
	}
	return v
}

// Connect decides on a connection within which nothing is read. A CONNECT goes
// the way that a connect to its target would.
func (j judge) Connect(_ context.Context, req *tlsproxy.Request, status int) (tlsproxy.Way, tlsproxy.Verdict, error) {
	q := question(req)
	d := j.s.policy.Decide(q)
	if q.Protocol == policies.TCP && (req.Port == portDNS || req.Port == portDNSOverTLS) {
		d = policies.Decision{Reason: "dns-by-tunnel"}
	}
	r := requestRecord(req, d)
	switch {
	case d.Allowed:
		r.Decision = audit.Allow
		return tlsproxy.WayRelay, j.verdict(q, d), j.s.record(r)
	case q.Protocol == policies.TLS || d.Reason != "dns-by-tunnel" && j.s.isProxied(req.Host, req.Port):
		return tlsproxy.WayRead, tlsproxy.Verdict{}, nil
	}
	r.Status = status
	return tlsproxy.WayDeny, j.verdict(q, d), j.s.record(r)
}

func (j judge) Refused(_ context.Context, req *tlsproxy.Request, v tlsproxy.Verdict, status int) error {
	r := requestRecord(req, policies.Decision{Rule: v.Rule, RuleAt: v.RuleAt, Reason: v.Reason})
	r.Status = status
	return j.s.record(r)
}

func (j judge) Address(req *tlsproxy.Request, addr netip.AddrPort) tlsproxy.Verdict {
	q := question(req)
	q.Addr = addr.Addr()
	return j.verdict(q, j.s.policy.Decide(q))
}

func (j judge) Lookup(ctx context.Context, host string, port uint16) ([]netip.AddrPort, bool, error) {
	return j.s.resolver.addresses(ctx, host, port)
}

func (j judge) Done(req *tlsproxy.Request, res tlsproxy.Result) {
	ms := float64(res.Duration) / float64(time.Millisecond)
	r := requestRecord(req, policies.Decision{})
	if !res.Denied {
		r.Decision = audit.Allow
	}
	r.Status = res.Status
	r.BytesSent, r.BytesReceived, r.DurationMS = &res.Sent, &res.Received, &ms
	if res.Upstream.IsValid() {
		r.Upstream = res.Upstream.String()
	}
	if res.Err != nil {
		r.Message = res.Err.Error()
	}
	_ = j.s.record(r) // its beginning is recorded; a failure is counted by the log
}

func question(req *tlsproxy.Request) policies.Request {
	q := policies.Request{
		Protocol: policies.HTTP, Host: req.Host, Port: req.Port, Method: req.Method, Overrides: req.Overrides,
		Path: req.Path, Process: processOf(req).policy,
	}
	switch {
	case req.Scheme == "tls":
		q.Protocol = policies.TLS
	case req.Scheme == "tcp":
		q.Protocol = policies.TCP
	case req.WebSocket:
		q.Method = policies.WebSocket
	}
	return q
}

// requestRecord describes a request that was denied, unless told otherwise.
func requestRecord(req *tlsproxy.Request, d policies.Decision) *audit.Record {
	r := &audit.Record{
		Event: audit.RequestEvent, ID: req.ID, Decision: audit.Deny, Rule: d.Rule, RuleAt: d.RuleAt, Reason: d.Reason,
		Protocol: req.Scheme, Method: req.Method, Host: req.Host, Port: req.Port, Path: req.Path,
		Query: audit.QueryNames(req.Query), Process: &processOf(req).record,
	}
	if req.WebSocket {
		r.Method = policies.WebSocket
	}
	switch req.Scheme {
	case "": // the bytes were neither TLS nor HTTP
		r.Event, r.Protocol = audit.Connect, "tcp"
	case "tcp", "tls":
		r.Event = audit.Connect
	}
	if r.Host == "" {
		r.Host = strings.TrimSuffix(req.Flow.Name, ".")
	}
	return r
}

func processOf(req *tlsproxy.Request) *process {
	if p, ok := req.Flow.Process.(*process); ok && p != nil {
		return p
	}
	return unknownProcess(0)
}
