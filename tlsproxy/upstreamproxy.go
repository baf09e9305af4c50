package tlsproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// proxyError is an upstream proxy that did not do its part.
type proxyError struct{ status int }

// Error implements error.
func (e *proxyError) Error() string { return fmt.Sprintf("upstream proxy answered %d", e.status) }

// upstreamProxy returns the proxy by which a request goes outside; nil is none.
// A host whose address the operator gave is reached without.
func (p *Proxy) upstreamProxy(req *Request) (*url.URL, error) {
	if p.proxyFor == nil {
		return nil, nil
	}
	scheme := req.Scheme
	if scheme != "http" {
		scheme = "https" // tls and tcp take the same way
	}
	return p.proxyFor(&url.URL{Scheme: scheme, Host: joinHostPort(req)})
}

// proxyOfRequest is upstreamProxy for [http.Transport.Proxy].
func (p *Proxy) proxyOfRequest(r *http.Request) (*url.URL, error) {
	ex, ok := exchangeOf(r.Context())
	if !ok {
		return nil, errors.New("choose upstream proxy: no request")
	}
	return p.upstreamProxy(ex.request)
}

// checkTunnel is told how a proxy answered the transport's CONNECT.
func checkTunnel(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &proxyError{answer.StatusCode}
	}
	return nil
}

// dialProxy connects to an upstream proxy. The operator has named it, so its
// address is not put to the Judge.
func dialProxy(ctx context.Context, address string) (*upstreamConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to upstream proxy: %w", err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connect to upstream proxy: unexpected connection %T", conn), conn.Close())
	}
	at, err := netip.ParseAddrPort(tcp.RemoteAddr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to upstream proxy: %w", err), conn.Close())
	}
	return &upstreamConn{TCPConn: tcp, addr: at, operator: true}, nil
}

// proxyAddress returns host and port of a proxy, with the port of its scheme
// where it names none.
func proxyAddress(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// dialThrough has an upstream proxy connect to the host and port of a request.
func (p *Proxy) dialThrough(ctx context.Context, proxy *url.URL, req *Request) (net.Conn, netip.AddrPort, error) {
	up, err := dialProxy(ctx, proxyAddress(proxy))
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = up.Close() })
	defer stop()
	conn, err := p.askProxy(ctx, up, proxy, joinHostPort(req))
	if err != nil {
		return nil, up.addr, errors.Join(fmt.Errorf("ask upstream proxy: %w", err), up.Close())
	}
	return conn, up.addr, nil
}

// askProxy sends a CONNECT, in TLS where the proxy is one of that kind.
func (p *Proxy) askProxy(ctx context.Context, up *upstreamConn, proxy *url.URL, target string) (net.Conn, error) {
	var conn net.Conn = up
	if proxy.Scheme == "https" {
		made, err := p.pools()
		if err != nil {
			return nil, err
		}
		config := made.usual.TLSClientConfig.Clone()
		config.ServerName, config.NextProtos = proxy.Hostname(), nil
		secure := tls.Client(up, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		ask.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := ask.Write(conn); err != nil {
		return nil, err
	}
	// A reader of one byte: what follows the answer is not the proxy's.
	answer, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), ask)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, &proxyError{answer.StatusCode}
	}
	return conn, nil
}

// oneByte reads no more than it has to.
type oneByte struct{ net.Conn }

// Read implements [io.Reader].
func (c oneByte) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(1, len(p))]) }
