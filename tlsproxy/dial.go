package tlsproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"syscall"
	"time"
)

const (
	// dialTimeout bounds the look-up and all tries to connect together.
	dialTimeout = 30 * time.Second
	// dialStagger is how long one address is tried before the next is tried
	// beside it: "Connection Attempt Delay", RFC 8305 §5.
	dialStagger = 250 * time.Millisecond
	// maxDials bounds the addresses of one host that are tried.
	maxDials = 16
)

// deniedError is an upstream address that the Judge refused.
type deniedError struct {
	addr    netip.AddrPort
	verdict Verdict
}

// Error implements error.
func (e *deniedError) Error() string {
	return fmt.Sprintf("use upstream address %s: denied: %s", e.addr, e.verdict.Reason)
}

// lookupError is a host whose addresses could not be found.
type lookupError struct {
	host string
	err  error
}

// Error implements error.
func (e *lookupError) Error() string { return fmt.Sprintf("look up %s: %v", e.host, e.err) }

// Unwrap returns the cause.
func (e *lookupError) Unwrap() error { return e.err }

// upstreamConn is a connection to an upstream, and what is known about it.
type upstreamConn struct {
	*net.TCPConn
	addr     netip.AddrPort
	operator bool     // the address is the operator's own word
	asked    *Request // the request for which the Judge allowed addr
}

// dial connects for the request that ctx belongs to. The address argument, made
// by the transport from the same request, counts only where it is a proxy's.
func (p *Proxy) dial(ctx context.Context, _, address string) (net.Conn, error) {
	ex, ok := exchangeOf(ctx)
	if !ok {
		return nil, errors.New("dial upstream: no request")
	}
	proxy, err := p.upstreamProxy(ex.request)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		up, err := dialProxy(ctx, address)
		if err != nil {
			return nil, err // a nil *upstreamConn would not be a nil net.Conn
		}
		return up, nil
	}
	up, err := p.dialFor(ctx, ex.request)
	if err != nil {
		return nil, err
	}
	return up, nil
}

// dialPrior is dial for HTTP/2 without TLS.
func (p *Proxy) dialPrior(ctx context.Context, _, _ string) (net.Conn, error) {
	ex, ok := exchangeOf(ctx)
	if !ok {
		return nil, errors.New("dial upstream: no request")
	}
	conn, _, err := p.dialAnyWay(ctx, ex.request)
	return conn, err
}

// dialAnyWay connects to the host and port of a request, through the upstream
// proxy where there is one, and says to which address.
func (p *Proxy) dialAnyWay(ctx context.Context, req *Request) (net.Conn, netip.AddrPort, error) {
	proxy, err := p.upstreamProxy(req)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	if proxy != nil {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return p.dialThrough(ctx, proxy, req)
	}
	up, err := p.dialFor(ctx, req)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return up, up.addr, nil
}

// dialFor connects to the host and port of a request.
func (p *Proxy) dialFor(ctx context.Context, req *Request) (*upstreamConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, operator, err := p.judge.Lookup(ctx, req.Host, req.Port)
	if err != nil {
		return nil, &lookupError{req.Host, err}
	}
	if len(addrs) == 0 {
		return nil, &lookupError{req.Host, &net.DNSError{Err: "no address", Name: req.Host, IsNotFound: true}}
	}
	dialer := &net.Dialer{}
	if !operator {
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return p.checkAddress(req, address)
		}
	}
	conn, err := dialAny(ctx, addrs[:min(len(addrs), maxDials)], func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, "tcp", addr.String())
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return nil, errors.Join(fmt.Errorf("dial %s: unexpected connection %T", addr, conn), conn.Close())
		}
		return &upstreamConn{TCPConn: tcp, addr: addr, operator: operator, asked: req}, nil
	})
	if err != nil {
		return nil, err
	}
	return conn.(*upstreamConn), nil // as made above
}

// checkAddress puts an address that is about to be connected to, to the Judge.
func (p *Proxy) checkAddress(req *Request, address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read upstream address: %w", err)
	}
	if verdict := p.judge.Address(req, addr); !verdict.Allowed {
		return &deniedError{addr, verdict}
	}
	return nil
}

// gotConn is told which connection a request will use, before anything is
// written to it. A connection that was made for another request is put to the
// Judge again: what that one may reach, this one perhaps may not.
func (p *Proxy) gotConn(ex *exchange, info httptrace.GotConnInfo) {
	conn := info.Conn
	protocol := ""
	for t, ok := conn.(*tls.Conn); ok; t, ok = conn.(*tls.Conn) {
		if protocol == "" { // else within is the TLS to a proxy
			protocol = t.ConnectionState().NegotiatedProtocol
		}
		conn = t.NetConn()
	}
	up, ok := conn.(*upstreamConn)
	if !ok {
		ex.cancel(fmt.Errorf("use upstream connection: unexpected %T", conn))
		_ = info.Conn.Close()
		return
	}
	ex.use(up.addr)
	if up.operator || up.asked == ex.request {
		return
	}
	verdict := p.judge.Address(ex.request, up.addr)
	if verdict.Allowed {
		return
	}
	ex.cancel(&deniedError{up.addr, verdict})
	if protocol != "h2" && !ex.priorKnowledge() {
		// HTTP/1 writes the request without looking at the context again.
		// HTTP/2 looks before it writes, and others use the connection.
		_ = info.Conn.Close()
	}
}

// dialOne connects to one address.
type dialOne func(context.Context, netip.AddrPort) (net.Conn, error)

// dialed is what became of one try.
type dialed struct {
	conn net.Conn
	err  error
}

// dialAny tries the addresses in order, the next one when the one before has
// failed or is slow, and returns the first connection. If none succeeds, the
// error is a denial if there was one, else the first.
//
// Preconditions: there is at least one address.
func dialAny(ctx context.Context, addrs []netip.AddrPort, dial dialOne) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed, len(addrs))
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failure error
	for next, pending := 0, 0; next < len(addrs) || pending > 0; {
		select {
		case <-timer.C:
			addr := addrs[next]
			next++
			pending++
			go func() {
				conn, err := dial(ctx, addr)
				results <- dialed{conn, err}
			}()
			if next < len(addrs) {
				timer.Reset(dialStagger)
			}
		case result := <-results:
			pending--
			if result.err == nil {
				go closeLate(results, pending)
				return result.conn, nil
			}
			failure = worse(failure, result.err)
			if next < len(addrs) {
				timer.Reset(0)
			}
		}
	}
	return nil, failure
}

// closeLate closes the connections of tries that came in second. Their context
// has ended, so that they report soon.
func closeLate(results <-chan dialed, pending int) {
	for range pending {
		if late := <-results; late.err == nil {
			_ = late.conn.Close()
		}
	}
}

// worse chooses the error that tells the agent more.
func worse(a, b error) error {
	var denied *deniedError
	if a == nil || errors.As(b, &denied) && !errors.As(a, &denied) {
		return b
	}
	return a
}
