package tlsproxy

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// newForwarder makes what carries allowed requests upstream.
func (p *Proxy) newForwarder() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      roundTripper(func(r *http.Request) (*http.Response, error) { return p.roundTrip(r) }),
		ModifyResponse: p.cleanResponse,
		FlushInterval:  -1, // each write goes out at once: events, tokens, gRPC
		BufferPool:     &bufferPool{},
		ErrorLog:       discardLog(),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			out, ok := w.(*reply)
			if !ok {
				panic(http.ErrAbortHandler)
			}
			p.fail(out, r, err)
		},
	}
}

// forward carries an allowed request upstream and its response back.
func (p *Proxy) forward(out *reply, r *http.Request, ex *exchange) {
	rc := http.NewResponseController(out)
	if ex.body != nil && r.ProtoMajor == 1 {
		// The response may begin while the body is still coming. Without
		// this net/http would read ahead of the upstream.
		if err := rc.EnableFullDuplex(); err != nil {
			p.fail(out, r, err)
			return
		}
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { p.gotConn(ex, info) }}
	p.forwarder.ServeHTTP(out, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))

	// The upstream may have answered before the body ended. Where the agent
	// can tell that the answer is complete, it gets time to finish.
	if ex.body != nil && !ex.body.ended() && r.ProtoMajor == 1 && out.Header().Get("Content-Length") != "" && rc.Flush() == nil {
		drain(rc, ex.in)
	}
}

// roundTripper makes a function an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// roundTrip sends a request through the pool of upstream connections.
func (p *Proxy) roundTrip(r *http.Request) (*http.Response, error) {
	made, err := p.pools()
	if err != nil {
		return nil, err
	}
	ex, ok := exchangeOf(r.Context())
	if !ok {
		return nil, errors.New("send upstream: no request")
	}
	return made.of(ex).RoundTrip(r)
}

// rewrite makes the upstream request: the judged scheme, host and port, and all
// else as the agent sent it.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	ex, ok := exchangeOf(pr.In.Context())
	if !ok {
		// Without scheme and host the transport refuses it.
		pr.Out.URL = new(url.URL)
		return
	}
	pr.Out.URL = upstreamURL(ex.request, pr.In.URL)
	if proxy, err := p.upstreamProxy(ex.request); err == nil && proxy != nil && ex.request.Scheme == "http" && !ex.priorKnowledge() {
		pr.Out.URL = proxiedURL(ex.request, pr.Out.URL)
	}
	if pr.Out.Host == "" { // HTTP/1.0 without a Host header
		pr.Out.Host = hostPort(ex.request)
	}
	// ReverseProxy drops these, to set its own. This proxy is not to be seen.
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := pr.In.Header[name]; ok {
			pr.Out.Header[name] = values
		}
	}
	// A server may ignore an offer to upgrade (RFC 9110 §7.8). Any but
	// WebSocket would make the proxy carry what it can't judge.
	if !ex.request.WebSocket {
		pr.Out.Header.Del("Connection")
		pr.Out.Header.Del("Upgrade")
	}
	// net/http fills the trailers in when the body has ended: into this map.
	pr.Out.Trailer = pr.In.Trailer
}

// cleanResponse takes out of an upstream's response what would be false here.
func (p *Proxy) cleanResponse(response *http.Response) error {
	ex, ok := exchangeOf(response.Request.Context())
	// ReverseProxy would open a tunnel where neither side names a protocol.
	switched := response.StatusCode == http.StatusSwitchingProtocols
	if !ok || switched && !ex.request.WebSocket {
		return errors.Join(errUpgrade, response.Body.Close())
	}
	if response.StatusCode == http.StatusProxyAuthRequired {
		// The agent has no part in what the proxy and the supervisor agree on.
		if proxy, err := p.upstreamProxy(ex.request); err == nil && proxy != nil {
			return errors.Join(&proxyError{response.StatusCode}, response.Body.Close())
		}
	}
	ex.empty = response.ContentLength == 0 && !switched
	if ex.body != nil && !switched {
		response.Body = &answerBody{response.Body, ex}
	}
	// Only the proxy denies.
	response.Header.Del(denialHeader)
	// An alternative service (RFC 7838) is another host or HTTP/3: the agent
	// would lose time on what it can't have.
	response.Header.Del("Alt-Svc")
	return nil
}

// upstreamURL returns the URL whose request target is, byte for byte, the one
// that the agent sent.
func upstreamURL(req *Request, in *url.URL) *url.URL {
	u := &url.URL{
		Scheme:     req.Scheme,
		Host:       joinHostPort(req),
		RawQuery:   req.Query,
		ForceQuery: in.ForceQuery,
	}
	if strings.HasPrefix(req.Path, "//") {
		// An opaque part that begins so would be sent in absolute form. What
		// a path may not hold unencoded gets encoded here, and only here.
		u.Path, u.RawPath = in.Path, in.RawPath
	} else {
		u.Opaque = req.Path
	}
	return u
}

// proxiedURL returns the URL whose request target is, in absolute form, the one
// that the agent sent (RFC 9112 §3.2.2, §3.2.4).
func proxiedURL(req *Request, u *url.URL) *url.URL {
	out := &url.URL{Scheme: u.Scheme, Host: u.Host, Opaque: "//" + u.Host, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if req.Path != "*" {
		out.Opaque += req.Path
	}
	return out
}

// joinHostPort returns host and port of a request, always with the port.
func joinHostPort(req *Request) string {
	return net.JoinHostPort(req.Host, strconv.Itoa(int(req.Port)))
}

// bufferPool keeps the buffers that response bodies are copied through.
type bufferPool struct{ pool sync.Pool }

// copyBufferBytes is the size of a copy buffer.
const copyBufferBytes = 64 << 10

// Get implements [httputil.BufferPool].
func (b *bufferPool) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, copyBufferBytes)
}

// Put implements [httputil.BufferPool].
func (b *bufferPool) Put(buf []byte) { b.pool.Put(&buf) }
