package tlsproxy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
)

// established answers a CONNECT (RFC 9110 §9.3.6).
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// tunnel serves a CONNECT: of a program that takes what it dialled for a proxy.
// What the tunnel carries is judged as if the program had dialled its target.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request, c *agentConn) {
	defer c.http1.settle(upgradeNone)
	req, bad := p.describeTunnel(c, r)
	if bad != nil {
		p.refuse(w, r, req, Verdict{Reason: bad.reason}, bad.status, bad.detail)
		return
	}
	way, verdict, err := p.judge.Connect(r.Context(), req, http.StatusForbidden)
	switch {
	case err != nil:
		p.answer(w, r, denial(req, Verdict{Reason: ReasonNotRecorded}, http.StatusServiceUnavailable, notRecorded))
	case way == WayRelay:
		p.tunnelRelay(w, r, c, req)
	case way == WayRead:
		if inner, err := c.hijack(w); err == nil {
			go p.take(&agentConn{Conn: inner, flow: tunnelFlow(c.flow, req), tunnelled: true, closed: p.forget})
		}
	default:
		p.answer(w, r, denial(req, verdict, http.StatusForbidden, ""))
	}
}

// mayTunnel tells whether CONNECT is for this connection. In TLS it is where
// the agent knows of a proxy; within a tunnel it would be a second one.
func (c *agentConn) mayTunnel(r *http.Request) bool {
	return r.ProtoMajor == 1 && !c.tunnelled && (!c.secure || c.flow.Proxy)
}

// describeTunnel describes a CONNECT, whose target is a host and a port and
// nothing else (RFC 9112 §3.2.3).
func (p *Proxy) describeTunnel(c *agentConn, r *http.Request) (*Request, *problem) {
	req := p.requestOn(c)
	req.Scheme, req.Proto, req.Method = "tcp", r.Proto, r.Method
	bad := &problem{http.StatusBadRequest, ReasonBadTarget, "The target of CONNECT is not a host and a port."}
	name, port, err := splitHost(r.RequestURI)
	if err != nil {
		return req, bad
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return req, bad
	}
	host, err := p.judge.CanonicalHost(name)
	if err != nil {
		return req, bad
	}
	req.Host, req.Port = host, uint16(number)
	return req, nil
}

// tunnelFlow is the flow that a connection to the target would have been.
func tunnelFlow(outer Flow, req *Request) Flow {
	inner := Flow{Dialled: netip.AddrPortFrom(outer.Dialled.Addr(), req.Port), Name: req.Host, Process: outer.Process}
	if addr, err := netip.ParseAddr(req.Host); err == nil {
		inner.Dialled, inner.Name = netip.AddrPortFrom(addr, req.Port), ""
	}
	return inner
}

// tunnelRelay carries a tunnel untouched. The target is connected to before the
// CONNECT is answered.
func (p *Proxy) tunnelRelay(w http.ResponseWriter, r *http.Request, c *agentConn, req *Request) {
	out := p.newRelay(req)
	defer out.done()
	if err := out.dial(p.ctx); err != nil {
		status, cause := explain(req.Host, err)
		if out.result.Denied {
			status, cause = http.StatusForbidden, "The address of the host is refused."
		}
		p.answer(w, r, failure(req, status, cause))
		return
	}
	defer out.up.Close()
	if inner, err := c.hijack(w); err == nil {
		out.carry(inner)
	}
}

// hijack answers a CONNECT and returns what follows on the connection.
func (c *agentConn) hijack(w http.ResponseWriter) (*tunnelConn, error) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over connection: %w", err)
	}
	c.http1.settle(upgradeDone)
	if _, err := conn.Write([]byte(established)); err != nil {
		return nil, fmt.Errorf("answer CONNECT: %w", err)
	}
	return &tunnelConn{Conn: conn, ahead: buf.Reader, outer: c}, nil
}

// tunnelConn is a tunnel that the agent has opened within a connection. It gives
// out first what the agent sent ahead of the answer.
type tunnelConn struct {
	net.Conn
	ahead *bufio.Reader
	outer *agentConn
}

// Read implements [net.Conn].
func (c *tunnelConn) Read(p []byte) (int, error) {
	if ready := c.ahead.Buffered(); ready > 0 {
		return c.ahead.Read(p[:min(len(p), ready)])
	}
	return c.Conn.Read(p)
}

// CloseWrite passes the end of one direction on.
func (c *tunnelConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetLinger is for a reset of the connection below, as [net.TCPConn.SetLinger].
func (c *tunnelConn) SetLinger(seconds int) error {
	if tcp, ok := c.outer.Conn.(interface{ SetLinger(int) error }); ok {
		return tcp.SetLinger(seconds)
	}
	return nil
}
