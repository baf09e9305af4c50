package tlsproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// errRelayed ends a handshake in whose place the connection is relayed.
var errRelayed = errors.New("connection is relayed")

// relay is a connection that is carried without being read.
type relay struct {
	p      *Proxy
	req    *Request
	start  time.Time
	up     net.Conn
	result Result
}

// newRelay makes a relay for a request that the Judge has recorded.
func (p *Proxy) newRelay(req *Request) *relay { return &relay{p: p, req: req, start: time.Now()} }

// dial connects to the upstream. An address that the Judge refuses is recorded.
func (r *relay) dial(ctx context.Context) error {
	up, at, err := r.p.dialAnyWay(ctx, r.req)
	r.result.Upstream = at
	var denied *deniedError
	if errors.As(err, &denied) {
		r.result.Denied = true
		// It is refused whether or not it can be recorded.
		err = errors.Join(err, r.p.judge.Refused(context.WithoutCancel(ctx), r.req, denied.verdict, 0))
	}
	if err != nil {
		r.result.Err = err
		return err
	}
	r.up = up
	return nil
}

// done reports the end.
func (r *relay) done() {
	r.result.Duration = time.Since(r.start)
	r.p.judge.Done(r.req, r.result)
}

// carry copies both ways until both have ended, or one has failed. Between two
// TCP sockets the bytes stay in the kernel: [net.TCPConn.ReadFrom] is splice(2).
func (r *relay) carry(agent net.Conn) {
	stop := context.AfterFunc(r.p.ctx, func() {
		_ = agent.Close()
		_ = r.up.Close()
	})
	defer stop()
	up := r.up
	if direct, ok := up.(*upstreamConn); ok {
		up = direct.TCPConn
	}
	var sending sync.WaitGroup
	var sent int64
	var sendErr error
	sending.Go(func() { sent, sendErr = copyOn(up, agent) })
	received, err := copyOn(agent, up)
	sending.Wait()
	r.result.Sent += sent
	r.result.Received = received
	r.result.Err = errors.Join(sendErr, err)
}

// copyOn copies one direction and passes its end on: an orderly one as such, a
// failure as a reset of both.
func copyOn(to, from net.Conn) (int64, error) {
	n, err := io.Copy(to, from)
	if err == nil {
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			// The peer has gone where this fails, which the other direction tells.
			_ = half.CloseWrite()
		}
		return n, nil
	}
	for _, conn := range []net.Conn{to, from} {
		if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
			_ = tcp.SetLinger(0) // without it, it is closed all the same
		}
		_ = conn.Close()
	}
	return n, err
}

// relayTLS carries a TLS connection whose first bytes were read already.
func (p *Proxy) relayTLS(c *agentConn) error {
	defer p.end() // considerRelay began it
	out := p.newRelay(c.relay)
	defer out.done()
	// The deadline was for the first bytes.
	if err := errors.Join(c.SetDeadline(time.Time{}), out.dial(p.ctx)); err != nil {
		return errors.Join(err, c.reset())
	}
	defer c.Close()
	defer out.up.Close()
	if _, err := out.up.Write(c.kept); err != nil {
		out.result.Err = err
		return errors.Join(err, c.reset())
	}
	out.result.Sent = int64(len(c.kept))
	out.carry(c.Conn)
	return nil
}

// considerRelay asks whether a TLS connection for a host is to stay encrypted.
// Until then the agent's bytes are kept, and after a yes nothing is answered.
func (p *Proxy) considerRelay(c *agentConn, host string) error {
	req := p.requestOn(c)
	req.Scheme, req.Host = "tls", host
	if !p.begin() {
		return net.ErrClosed
	}
	way, _, err := p.judge.Connect(p.ctx, req, 0)
	if err == nil && way == WayRelay {
		c.relay = req
		return errRelayed
	}
	p.end()
	c.keeps, c.kept = false, nil
	return err
}
