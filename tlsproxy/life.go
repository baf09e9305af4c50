package tlsproxy

import (
	"context"
	"fmt"
)

// Close ends the proxy: no connection is taken from here on, requests that are
// under way may end until ctx does, then all connections are closed. When it
// returns, every Judge.Done that was due has been called. The error is that of
// ctx where it cut requests short. It may be called more than once.
func (p *Proxy) Close(ctx context.Context) error {
	p.stopTaking()
	err := p.handover.Close()
	select {
	case <-p.idle:
	case <-ctx.Done():
		err = fmt.Errorf("close proxy: %w", ctx.Err())
	}
	p.cancel()
	p.closeConns()
	<-p.idle
	p.closeUpstream()
	return err
}

// track counts a connection in; false means that the proxy is closed.
func (p *Proxy) track(c *agentConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

// forget counts a connection out.
func (p *Proxy) forget(c *agentConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// begin counts a request in; false means that the proxy is closed and the
// request must not be served.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.busy++
	return true
}

// end counts a request out.
func (p *Proxy) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	if p.closed && p.busy == 0 {
		close(p.idle)
	}
}

// stopTaking lets no connection and no request in any more.
func (p *Proxy) stopTaking() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	if p.busy == 0 {
		close(p.idle)
	}
}

// closeConns closes all connections of the agent.
func (p *Proxy) closeConns() {
	p.mu.Lock()
	conns := make([]*agentConn, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // an error leaves nothing to do: the agent has gone
	}
}
