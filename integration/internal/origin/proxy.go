package origin

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Proxy is a corporate proxy that listens: the only one that knows where hosts
// are, and that wants a user and a password.
type Proxy struct {
	addr   string
	server *http.Server
	served sync.WaitGroup
	to     map[string]string // addresses by HOST:PORT

	mu   sync.Mutex
	seen []string // what was asked for, guarded by mu
}

// proxyCredentials is "user:secret" as Basic has it (RFC 7617).
const proxyCredentials = "Basic dXNlcjpzZWNyZXQ="

// StartProxy starts a proxy that leads to some addresses, by HOST:PORT; with TLS
// where there is an authority. The caller closes it.
func StartProxy(authority *Authority, to map[string]string) (*Proxy, error) {
	l, err := listener(nil)
	if err != nil {
		return nil, err
	}
	p := &Proxy{addr: l.Addr().String(), to: to}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ErrorLog: discard()}
	if authority != nil {
		config := authority.TLS()
		config.NextProtos = []string{"http/1.1"}
		l = tls.NewListener(l, config)
	}
	p.served.Go(func() { _ = p.server.Serve(l) }) // until Close
	return p, nil
}

// Addr returns the address and port of the proxy.
func (p *Proxy) Addr() string { return p.addr }

// Seen returns what was asked for so far, as "METHOD TARGET".
func (p *Proxy) Seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Close ends the listener, and connections that are no tunnels.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.served.Wait()
	return err
}

// serve answers a request to the proxy.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != proxyCredentials {
		w.Header().Set("Proxy-Authenticate", `Basic realm="corporate"`)
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	host := r.Host
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "80")
	}
	to, ok := p.to[host]
	switch {
	case !ok:
		http.Error(w, "nobody knows "+host, http.StatusBadGateway)
	case r.Method == http.MethodConnect:
		p.tunnel(w, to)
	default:
		p.forward(w, r, to)
	}
}

// forward passes a request in absolute form on.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, to string) {
	r.RequestURI, r.URL.Host = "", to
	r.Header.Del("Proxy-Authorization")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// tunnel carries bytes until both sides have ended.
func (p *Proxy) tunnel(w http.ResponseWriter, to string) {
	up, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.Close()
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = io.Copy(up, buf)
		_ = up.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(conn, up)
	_ = conn.Close()
	sending.Wait()
}
