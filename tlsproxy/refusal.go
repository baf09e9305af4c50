package tlsproxy

import (
	"net/http"
	"strings"
)

// refuseHead records and answers a head that was refused. w and r belong to its
// substitute.
func (p *Proxy) refuseHead(w http.ResponseWriter, r *http.Request, c *agentConn, refused *refusedHead) {
	if len(refused.head.accept) > 0 {
		r.Header["Accept"] = refused.head.accept
	}
	p.refuse(w, r, p.describeRefused(c, refused), Verdict{Reason: refused.bad.reason}, refused.bad.status, refused.bad.detail)
}

// describeRefused describes a request as far as its head could be read.
func (p *Proxy) describeRefused(c *agentConn, refused *refusedHead) *Request {
	h := &refused.head
	req := p.requestOn(c)
	req.Proto, req.Method, req.ContentLength = h.proto, h.method, h.length
	if h.hosts == 1 {
		req.Host = p.hostOr(h.host, req.Host)
	}
	if strings.HasPrefix(h.target, "/") {
		req.Path, req.Query, _ = strings.Cut(h.target, "?")
	} else if _, rest, ok := strings.Cut(h.target, "://"); ok {
		host, target, _ := strings.Cut(rest, "/")
		req.Host = p.hostOr(host, req.Host)
		req.Path, req.Query, _ = strings.Cut("/"+target, "?")
	}
	return req
}

// requestOn describes a request of which only the connection is known.
func (p *Proxy) requestOn(c *agentConn) *Request {
	req := &Request{
		Flow:   c.flow,
		ID:     p.judge.NewID(),
		Scheme: "http",
		Host:   c.host,
		Port:   c.flow.Dialled.Port(),
	}
	if c.secure {
		req.Scheme, req.Host = "https", c.server
	}
	return req
}

// hostOr returns the canonical form of a Host header, or another host where it
// has none.
func (p *Proxy) hostOr(header, other string) string {
	name, _, err := splitHost(header)
	if err != nil {
		return other
	}
	host, err := p.judge.CanonicalHost(name)
	if err != nil {
		return other
	}
	return host
}
