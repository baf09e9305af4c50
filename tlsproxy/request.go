package tlsproxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// problem is why a request is refused before it is judged.
type problem struct {
	status int
	reason string
	detail string // a sentence for the agent
}

// Error implements error.
func (p *problem) Error() string { return p.detail }

// describe reads what the Judge needs from a request. With a problem the
// request is to be refused, and is described as far as it could be read.
func (p *Proxy) describe(c *agentConn, r *http.Request) (*Request, *problem) {
	req := p.requestOn(c)
	req.Proto, req.Method, req.ContentLength = r.Proto, r.Method, r.ContentLength
	req.Overrides, req.WebSocket = overrides(r.Header), isWebSocket(r)
	forProxy := c.speaksToProxy(r)
	if forProxy {
		req.Scheme, req.Port = proxiedTo(r.URL)
	}
	bad := p.readHost(c, r, req, forProxy)
	if err := readTarget(r, req); err != nil && bad == nil {
		bad = err
	}
	if err := checkTarget(r, req); err != nil && bad == nil {
		bad = err
	}
	if r.ProtoMajor == 2 && bad == nil {
		bad = checkHTTP2(r)
	}
	if r.Method == http.MethodConnect {
		bad = &problem{http.StatusForbidden, ReasonUnsupportedMethod,
			"CONNECT is for proxies, in HTTP/1 and not within another connection. None is needed here."}
	}
	return req, bad
}

// speaksToProxy tells whether a request is one to a proxy, in absolute form (RFC
// 9112 §3.2.2): it is for the host and port that it names. In TLS it is one only
// where the agent knows of a proxy; elsewhere such a target has to be for the
// server that the connection was made to.
func (c *agentConn) speaksToProxy(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.URL.Host != "" && r.Method != http.MethodConnect &&
		(r.URL.Scheme == "http" || r.URL.Scheme == "https") && (!c.secure || c.flow.Proxy)
}

// proxiedTo returns the scheme and the port that an absolute target is for; the
// port is 0 where it names one that can't be.
func proxiedTo(u *url.URL) (scheme string, port uint16) {
	switch number, err := strconv.ParseUint(u.Port(), 10, 16); {
	case err == nil:
		return u.Scheme, uint16(number)
	case u.Port() != "":
		return u.Scheme, 0
	case u.Scheme == "https":
		return u.Scheme, 443
	}
	return u.Scheme, 80
}

// readHost finds the host of a request and compares it with the connection,
// unless the request is for a proxy.
func (p *Proxy) readHost(c *agentConn, r *http.Request, req *Request, forProxy bool) *problem {
	if r.Host == "" && !r.ProtoAtLeast(1, 1) {
		return nil // older than the Host header: it is for what the connection is for
	}
	name, port, err := splitHost(r.Host)
	if err != nil {
		return &problem{http.StatusBadRequest, ReasonBadHost, fmt.Sprintf("The Host header can't be read: %v.", err)}
	}
	host, err := p.judge.CanonicalHost(name)
	if err != nil {
		return &problem{http.StatusBadRequest, ReasonBadHost, fmt.Sprintf("%q is not a host name.", name)}
	}
	req.Host = host
	// HTTP/2 may carry a Host field beside :authority; they must agree (RFC
	// 9113 §8.3.1).
	for _, also := range r.Header["Host"] {
		if also != r.Host {
			return &problem{http.StatusBadRequest, ReasonBadHost, "The Host header and :authority are not the same."}
		}
	}
	if port != "" && port != strconv.Itoa(int(req.Port)) {
		return &problem{http.StatusMisdirectedRequest, ReasonHostMismatch,
			fmt.Sprintf("The request is for port %s, but the connection was made to port %d.", port, req.Port)}
	}
	switch {
	case !c.secure, forProxy:
		return nil
	case c.server != host:
		return &problem{http.StatusMisdirectedRequest, ReasonHostMismatch,
			fmt.Sprintf("The request is for host %s, but the TLS connection was made for %s.", host, c.server)}
	}
	return nil
}

// splitHost parts a Host header (RFC 9110 §7.2) into host, without brackets,
// and port, which may be empty.
func splitHost(hostport string) (host, port string, err error) {
	if hostport == "" {
		return "", "", errors.New("it is missing")
	}
	if strings.HasPrefix(hostport, "[") && strings.HasSuffix(hostport, "]") {
		return hostport[1 : len(hostport)-1], "", nil
	}
	if !strings.Contains(hostport, ":") {
		return hostport, "", nil
	}
	host, port, err = net.SplitHostPort(hostport)
	if err != nil {
		return "", "", fmt.Errorf("%q is no host and port", hostport)
	}
	if port == "" {
		return host, "", nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", fmt.Errorf("%q is no port", port)
	}
	return host, strconv.FormatUint(number, 10), nil
}

// readTarget takes path and query from the request target, in origin, absolute
// or asterisk form (RFC 9112 §3.2), byte for byte.
func readTarget(r *http.Request, req *Request) *problem {
	if r.Method == http.MethodConnect {
		return nil
	}
	target := r.RequestURI
	bad := &problem{http.StatusBadRequest, ReasonBadTarget, "The request target is not one that HTTP allows."}
	for i := range len(target) {
		// A space could end the request line of the upstream early; a
		// fragment is never sent, and servers disagree on one.
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' {
			return bad
		}
	}
	switch {
	case target == "*":
		req.Path = target
		if r.Method != http.MethodOptions {
			return bad
		}
		return nil
	case !strings.HasPrefix(target, "/") && r.ProtoMajor > 1:
		return bad // RFC 9113 §8.3.1
	case !strings.HasPrefix(target, "/"):
		scheme, rest, ok := strings.Cut(target, "://")
		if !ok || r.URL.User != nil {
			return bad
		}
		if !strings.EqualFold(scheme, req.Scheme) {
			return &problem{http.StatusMisdirectedRequest, ReasonHostMismatch,
				fmt.Sprintf("The request is for scheme %s, but the connection carries %s.", scheme, req.Scheme)}
		}
		target = "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			target = rest[i:]
		}
		if target[0] == '?' {
			target = "/" + target
		}
	}
	req.Path, req.Query, _ = strings.Cut(target, "?")
	return nil
}

// checkTarget refuses what an upstream could take for another target than the one
// that is judged.
func checkTarget(r *http.Request, req *Request) *problem {
	for name := range r.Header {
		if f, _ := fieldOf([]byte(name)); f.overridesTarget() {
			return &problem{http.StatusBadRequest, ReasonBadTarget,
				fmt.Sprintf("Some servers would take the header %s for the request target.", f)}
		}
	}
	want := req.Path
	if req.Query != "" || r.URL.ForceQuery {
		want += "?" + req.Query
	}
	if r.Method != http.MethodConnect && upstreamURL(req, r.URL).RequestURI() != want {
		return &problem{http.StatusBadRequest, ReasonBadTarget, "The request target can't be passed on as it was sent."}
	}
	return nil
}

// overrides returns the methods that method-override headers name, in every
// spelling.
func overrides(h http.Header) []string {
	var methods []string
	for name, values := range h {
		if f, _ := fieldOf([]byte(name)); !f.overridesMethod() {
			continue
		}
		for _, value := range values {
			for method := range strings.SplitSeq(value, ",") {
				if method = strings.ToUpper(strings.TrimSpace(method)); method != "" {
					methods = append(methods, method)
				}
			}
		}
	}
	return methods
}

// isWebSocket tells whether a request is the opening handshake of RFC 6455 §4.1.
func isWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.Method == http.MethodGet &&
		strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		hasToken(r.Header["Connection"], "upgrade")
}

// hasToken tells whether a comma-separated header holds a token, in any case.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// hostPort returns the request's host as a Host header has it: without a port
// that goes without saying.
func hostPort(r *Request) string {
	host := r.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if (r.Scheme != "https" || r.Port != 443) && (r.Scheme != "http" || r.Port != 80) {
		host += ":" + strconv.Itoa(int(r.Port))
	}
	return host
}

// url returns the request's URL, for people.
func (r *Request) url() string {
	url := r.Scheme + "://" + hostPort(r)
	if r.Path != "*" {
		url += r.Path
	}
	if r.Query != "" {
		url += "?" + r.Query
	}
	return url
}
