package tlsproxy

import (
	"net"
	"sync"
)

// agentConn is a connection of the agent. It gives back the bytes that were
// read to find the protocol, then reads on.
type agentConn struct {
	net.Conn
	flow Flow
	// host is the canonical name that the connection is for where TLS names
	// none: the flow's name, or the dialled address.
	host string
	// http1 is what watches the connection where HTTP/1 is spoken, else nil.
	http1 *http1Conn
	// secure tells that TLS was agreed, for the canonical name server.
	secure bool
	server string
	// tunnelled tells that the connection is within another, by CONNECT.
	tunnelled bool
	// keeps tells that kept gathers what is read, and that nothing is written:
	// it may yet turn out that the connection is to be relayed, as relay says.
	keeps bool
	kept  []byte
	relay *Request
	// head holds the sniffed bytes that are not yet read again. Only the
	// reading goroutine touches it.
	head []byte

	once   sync.Once
	closed func(*agentConn)
}

// Read implements [net.Conn].
func (c *agentConn) Read(p []byte) (int, error) {
	if len(c.head) == 0 {
		n, err := c.Conn.Read(p)
		c.keep(p[:n])
		return n, err
	}
	n := copy(p, c.head)
	if c.head = c.head[n:]; len(c.head) == 0 {
		c.head = nil
	}
	c.keep(p[:n])
	return n, nil
}

// keep keeps what was read, while it may have to be sent on.
func (c *agentConn) keep(p []byte) {
	if c.keeps {
		c.kept = append(c.kept, p...)
	}
}

// Write implements [net.Conn].
func (c *agentConn) Write(p []byte) (int, error) {
	if c.relay != nil {
		return len(p), nil // the alert of a handshake that is not ours
	}
	return c.Conn.Write(p)
}

// Close implements [net.Conn].
func (c *agentConn) Close() error {
	c.once.Do(func() { c.closed(c) })
	return c.Conn.Close()
}

// CloseWrite ends the stream towards the agent and leaves the other direction
// open, as [net.TCPConn.CloseWrite] does.
func (c *agentConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// reset closes the connection so that the agent gets ECONNRESET at once and
// does not take the end for an orderly one: SO_LINGER with time 0, socket(7).
func (c *agentConn) reset() error {
	if tcp, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		// Without it the connection is closed all the same.
		_ = tcp.SetLinger(0)
	}
	return c.Close()
}

// sniff reads until the protocol is known. The read deadline is the caller's.
func (c *agentConn) sniff() (protocol, error) {
	buf := make([]byte, 0, 2048)
	for {
		n, err := c.Conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		c.head = buf
		if proto := sniff(buf); proto != protoUndecided {
			return proto, nil
		}
		if err != nil {
			return protoUndecided, err
		}
	}
}

// handover is the listener through which connections reach the HTTP server.
type handover struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), done: make(chan struct{})}
}

// give hands a connection to the server; false means that it has stopped and
// the connection is still the caller's.
func (h *handover) give(conn net.Conn) bool {
	select {
	case h.conns <- conn:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements [net.Listener].
func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements [net.Listener].
func (h *handover) Addr() net.Addr { return handoverAddr{} }

// handoverAddr is the address of a listener that has none.
type handoverAddr struct{}

// Network implements [net.Addr].
func (handoverAddr) Network() string { return "handover" }

// String implements [net.Addr].
func (handoverAddr) String() string { return "handover" }
