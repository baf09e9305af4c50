package tlsproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstBytesTimeout is how long a connection may stay silent before it
	// has said which protocol it speaks, and how long a TLS handshake and
	// the headers of a request may take.
	firstBytesTimeout = 30 * time.Second
)

// Config is what a [Proxy] is made from.
type Config struct {
	// Authority signs the leaves shown to the agent.
	Authority *Authority
	// Judge decides on requests and records them.
	Judge Judge
	// ExtraRoots holds PEM certificates that are trusted for upstream TLS
	// beside the system's roots. Empty: the system's only.
	ExtraRoots []byte
	// UpstreamProxy returns the proxy, "http" or "https", that leads to a URL
	// of which scheme, host and port are set; nil is none. Where it is nil
	// itself there is none at all.
	UpstreamProxy func(*url.URL) (*url.URL, error)
}

// Proxy ends the agent's HTTP connections and forwards allowed requests. It is
// made by [New], may be used concurrently, and must be closed.
type Proxy struct {
	authority *Authority
	judge     Judge
	extra     []byte
	proxyFor  func(*url.URL) (*url.URL, error)

	serve     sync.Once // starts server
	server    *http.Server
	handover  *handover
	tls       *tls.Config
	forwarder *httputil.ReverseProxy
	// pools are made on first use: that reads the system's roots.
	pools  func() (*pools, error)
	made   atomic.Pointer[pools] // what pools made, nil before
	ctx    context.Context       // ends with Close; parent of all requests
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool                    // guarded by mu
	conns  map[*agentConn]struct{} // open connections of the agent; guarded by mu
	busy   int                     // requests being handled; guarded by mu
	idle   chan struct{}           // closed when closed is set and busy is 0; guarded by mu
}

// New makes a proxy. It reads no file and starts no goroutine: both wait for
// the first connection.
func New(cfg Config) (*Proxy, error) {
	if cfg.Authority == nil || cfg.Judge == nil {
		return nil, errors.New("make proxy: an authority and a judge are needed")
	}
	if len(cfg.ExtraRoots) > 0 && !x509.NewCertPool().AppendCertsFromPEM(cfg.ExtraRoots) {
		return nil, errors.New("read extra roots: no PEM certificate found")
	}
	p := &Proxy{
		authority: cfg.Authority,
		judge:     cfg.Judge,
		extra:     cfg.ExtraRoots,
		proxyFor:  cfg.UpstreamProxy,
		handover:  newHandover(),
		conns:     make(map[*agentConn]struct{}),
		idle:      make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.pools = sync.OnceValues(p.newPools)
	p.tls = &tls.Config{
		GetConfigForClient: p.consider,
		GetCertificate:     p.certificate,
		NextProtos:         []string{"h2", "http/1.1"},
		MinVersion:         tls.VersionTLS12,
	}
	p.forwarder = p.newForwarder()
	p.server = p.newServer()
	return p, nil
}

// newServer makes the HTTP server that reads the agent's requests. Bodies and
// streams have no time limit: a model may think for minutes.
func (p *Proxy) newServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:                      http.HandlerFunc(p.handle),
		DisableGeneralOptionsHandler: true, // OPTIONS * is the upstream's to answer
		Protocols:                    protocols,
		ReadHeaderTimeout:            firstBytesTimeout,
		MaxHeaderBytes:               maxHeadBytes,
		BaseContext:                  func(net.Listener) context.Context { return p.ctx },
		ConnContext:                  withConn,
		ErrorLog:                     discardLog(),
	}
}

// discardLog returns a logger for net/http that drops what it is told: the
// texts quote the agent's bytes, and what matters reaches the Judge.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// Serve takes over a connection that the agent made, and owns it from then on.
// It returns once the connection has been handed to the HTTP server or closed,
// which takes as long as the agent takes to say what it speaks (30 s at most) or
// as the connection lasts where it is relayed, so it wants a goroutine of its
// own.
func (p *Proxy) Serve(conn net.Conn, flow Flow) {
	p.take(&agentConn{Conn: conn, flow: flow, closed: p.forget})
}

// take is Serve for a connection that has been wrapped.
func (p *Proxy) take(c *agentConn) {
	if !p.track(c) {
		_ = c.Conn.Close()
		return
	}
	if err := p.open(c); err != nil {
		// The Judge has been told what there is to tell.
		_ = c.Close()
	}
}

// open finds the protocol of a connection and hands it to the server.
func (p *Proxy) open(c *agentConn) error {
	host, err := p.flowHost(c.flow)
	if err != nil {
		return err
	}
	c.host = host
	if err := c.SetDeadline(time.Now().Add(firstBytesTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	proto, err := c.sniff()
	if isTimeout(err) && len(c.head) > 0 {
		proto, err = protoUnknown, nil
	}
	if err != nil {
		return fmt.Errorf("read first bytes: %w", err)
	}
	ready, err := p.prepare(c, proto)
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	p.serve.Do(func() { go p.run() })
	if !p.handover.give(ready) {
		return net.ErrClosed
	}
	return nil
}

// prepare makes of a connection what the server is to read from.
func (p *Proxy) prepare(c *agentConn, proto protocol) (net.Conn, error) {
	switch proto {
	case protoTLS:
		conn, err := p.handshake(c)
		switch {
		case c.relay != nil:
			return nil, p.relayTLS(c)
		case err != nil:
			return nil, err
		case conn.ConnectionState().NegotiatedProtocol == "h2":
			// Without the TLS state net/http finds HTTP/2 by its preface.
			return p.newHTTP2Conn(conn, c), nil
		}
		c.http1 = newHTTP1Conn(conn, c)
		return http1TLSConn{c.http1, conn}, nil
	case protoHTTP:
		c.http1 = newHTTP1Conn(c, c)
		return c.http1, nil
	case protoHTTP2:
		return p.newHTTP2Conn(c, c), nil
	}
	return nil, p.refuseConn(c, "", ReasonNotHTTP)
}

// run serves what the handover gives until it is closed.
func (p *Proxy) run() {
	// It ends with http.ErrServerClosed or net.ErrClosed, both by Close.
	_ = p.server.Serve(p.handover)
}

// flowHost returns the canonical host that a flow is for.
func (p *Proxy) flowHost(flow Flow) (string, error) {
	name := flow.Name
	if name == "" {
		name = flow.Dialled.Addr().Unmap().String()
	}
	host, err := p.judge.CanonicalHost(name)
	if err != nil {
		return "", fmt.Errorf("name connection to %s: %w", flow.Dialled, err)
	}
	return host, nil
}

// handshake ends the agent's TLS. A client that says why it gave up is
// recorded: it is the one sign that a program does not trust the authority.
func (p *Proxy) handshake(c *agentConn) (*tls.Conn, error) {
	c.keeps = true
	conn := tls.Server(c, p.tls)
	ctx, cancel := context.WithTimeout(p.ctx, firstBytesTimeout)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	if err == nil {
		c.secure = true
		c.server, err = p.serverName(c, conn.ConnectionState().ServerName)
		return conn, err
	}
	if c.relay == nil && saysWhy(err) {
		return nil, errors.Join(err, p.refuseConn(c, "https", ReasonTLS))
	}
	return nil, fmt.Errorf("shake hands with agent: %w", err)
}

// saysWhy tells whether a handshake failed for a reason of the protocol, and
// not because the client went away or was stopped.
func saysWhy(err error) bool {
	var network net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, context.Canceled), isTimeout(err), isReset(err):
		return false
	case errors.As(err, &network):
		// An alert from the client is a net.OpError, made by crypto/tls.
		var op *net.OpError
		return errors.As(err, &op) && op.Op == "remote error"
	}
	return true
}

// refuseConn records the denial of a whole connection and resets it.
func (p *Proxy) refuseConn(c *agentConn, scheme, reason string) error {
	req := &Request{
		Flow:   c.flow,
		ID:     p.judge.NewID(),
		Scheme: scheme,
		Host:   c.host,
		Port:   c.flow.Dialled.Port(),
	}
	err := p.judge.Refused(p.ctx, req, Verdict{Reason: reason}, 0)
	if reason == ReasonNotHTTP {
		err = errors.Join(err, c.reset())
	}
	return errors.Join(fmt.Errorf("refuse connection: %s", reason), err)
}

// consider decides, when the server name is known, whether a TLS connection is
// ended here or relayed.
func (p *Proxy) consider(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, ok := hello.Conn.(*agentConn)
	if !ok {
		return nil, fmt.Errorf("consider connection: unexpected connection %T", hello.Conn)
	}
	host, err := p.serverName(c, hello.ServerName)
	if err != nil {
		return nil, err
	}
	return nil, p.considerRelay(c, host)
}

// certificate chooses the leaf for a handshake: by server name, else by what
// the connection is for.
func (p *Proxy) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, ok := hello.Conn.(*agentConn)
	if !ok {
		return nil, fmt.Errorf("choose certificate: unexpected connection %T", hello.Conn)
	}
	host, err := p.serverName(c, hello.ServerName)
	if err != nil {
		return nil, err
	}
	return p.authority.Leaf(host)
}

// serverName returns the canonical host that a TLS connection is for.
func (p *Proxy) serverName(c *agentConn, sni string) (string, error) {
	if sni == "" {
		return c.host, nil
	}
	host, err := p.judge.CanonicalHost(sni)
	if err != nil {
		return "", fmt.Errorf("read server name: %w", err)
	}
	return host, nil
}

// connKey is the context key of the agent's connection.
type connKey struct{}

// withConn puts the agent's connection into the context of its requests.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(interface{ agentConn() *agentConn }); ok {
		conn = c.agentConn()
	}
	return context.WithValue(ctx, connKey{}, conn)
}
