package tlsproxy

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"
)

const (
	// maxHeadBytes bounds request line and fields together. Servers stop at 8
	// to 64 KiB, as a rule.
	maxHeadBytes = 256 << 10
	// maxEarlyBytes bounds what is kept of a client that does not wait for the
	// answer to its WebSocket handshake, as RFC 6455 §4.1 asks it to.
	maxEarlyBytes = 64 << 10
	// headBufferBytes is where a head is gathered; few are larger.
	headBufferBytes = 4 << 10
	// lingerTime and lingerBytes bound what is read after a refusal, so that
	// the agent finds the answer and not a reset (RFC 9112 §9.6).
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// phase is what the next bytes of a connection belong to.
type phase int

const (
	phaseHead    phase = iota // a request line and its fields
	phaseSized                // a body of known length
	phaseChunked              // a body in chunks, and its trailers
	phaseUpgrade              // not known: the request asked for WebSocket
	phaseRaw                  // WebSocket
	phaseOver                 // nothing more is read
)

// What became of an offer to upgrade.
const (
	upgradeOpen int32 = iota // not answered yet
	upgradeDone
	upgradeNone
)

// http1Conn is a connection of the agent on which HTTP/1 is spoken, decrypted
// where it came in TLS. It stands between the agent and net/http, follows the
// stream message by message, and lets through only what has exactly one reading
// by RFC 9112; net/http alone would mend part of the rest.
//
// A head is held back until it is whole and has been checked. In place of one
// that is refused the server gets a request that no agent can send (see
// [substitute]), so that the refusal is answered in its turn. Bodies pass as
// they come and are not copied.
type http1Conn struct {
	net.Conn            // *agentConn, or *tls.Conn over it
	agent    *agentConn // the connection below

	// These belong to the goroutine that reads; net/http has one at a time.
	phase   phase
	room    []byte // what buf grows in
	buf     []byte // read, but not handed on; the first ready bytes are checked
	ready   int
	scanned int   // bytes of an unfinished head that are known to be good
	lined   bool  // its request line is known to be good
	skipped int   // empty lines before it
	left    int64 // bytes of a sized body that are still to come
	chunks  chunkScanner
	slow    *time.Timer // ends the connection when a head takes too long

	serving atomic.Int32                // requests that were handed on and are not answered
	upgrade atomic.Int32                // answer to the last WebSocket handshake
	refused atomic.Pointer[refusedHead] // set before the substitute is handed on
	broken  atomic.Pointer[problem]     // set where framing ended within a body
}

// newHTTP1Conn watches a connection. conn is agent itself, or TLS over it.
func newHTTP1Conn(conn net.Conn, agent *agentConn) *http1Conn {
	room := make([]byte, 0, headBufferBytes)
	return &http1Conn{Conn: conn, agent: agent, room: room, buf: room}
}

// http1TLSConn is an http1Conn in TLS: net/http asks for the state by which it
// knows.
type http1TLSConn struct {
	*http1Conn
	tls *tls.Conn
}

// ConnectionState returns the state of the TLS connection.
func (c http1TLSConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// Read implements [net.Conn].
func (c *http1Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.ready > 0 {
			return c.take(p), nil
		}
		if n, err := c.advance(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// take hands on what is checked.
func (c *http1Conn) take(p []byte) int {
	n := copy(p, c.buf[:c.ready])
	c.ready -= n
	if c.buf = c.buf[n:]; len(c.buf) == 0 {
		c.buf = c.room
	}
	return n
}

// advance takes one step: it makes bytes ready, changes the phase, or reads
// into p.
func (c *http1Conn) advance(p []byte) (int, error) {
	switch c.phase {
	case phaseHead:
		return 0, c.readHead()
	case phaseSized:
		return c.readSized(p)
	case phaseChunked:
		return c.readChunked(p)
	case phaseUpgrade:
		return 0, c.awaitUpgrade()
	case phaseRaw:
		return c.Conn.Read(p)
	}
	if bad := c.broken.Load(); bad != nil {
		return 0, bad
	}
	return 0, io.EOF
}

// fill reads more into buf.
func (c *http1Conn) fill() error {
	if len(c.buf) == cap(c.buf) {
		c.buf = append(make([]byte, 0, 2*len(c.buf)+headBufferBytes), c.buf...)
	}
	n, err := c.Conn.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// readSized reads from a body of known length, and no byte beyond it.
func (c *http1Conn) readSized(p []byte) (n int, err error) {
	if len(c.buf) > 0 {
		c.ready = int(min(c.left, int64(len(c.buf))))
		c.left -= int64(c.ready)
	} else {
		n, err = c.Conn.Read(p[:min(c.left, int64(len(p)))])
		c.left -= int64(n)
	}
	if c.left == 0 {
		c.phase = phaseHead
	}
	return n, err
}

// readChunked reads from a body in chunks. What follows its end is kept.
func (c *http1Conn) readChunked(p []byte) (int, error) {
	if len(c.buf) > 0 {
		c.ready = c.scanChunks(c.buf)
		return 0, nil
	}
	n, err := c.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	used := c.scanChunks(p[:n])
	c.buf = append(c.buf, p[used:n]...)
	return used, nil // an error comes again
}

// scanChunks returns how much of the body may be handed on.
func (c *http1Conn) scanChunks(p []byte) int {
	n, done, bad := c.chunks.scan(p)
	switch {
	case bad != nil:
		c.broken.Store(bad)
		c.phase = phaseOver
	case done:
		c.phase = phaseHead
	}
	return n
}

// awaitUpgrade gathers what the agent sends before its WebSocket handshake is
// answered: only then is it known what these bytes are.
func (c *http1Conn) awaitUpgrade() error {
	switch c.upgrade.Load() {
	case upgradeDone:
		c.phase, c.ready = phaseRaw, len(c.buf)
		return nil
	case upgradeNone:
		c.phase = phaseHead
		return nil
	}
	if len(c.buf) > maxEarlyBytes {
		return errEarly
	}
	return c.fill()
}

// settle notes how a WebSocket handshake was answered. The first call counts.
func (c *http1Conn) settle(answer int32) { c.upgrade.CompareAndSwap(upgradeOpen, answer) }

// agentConn returns the connection below.
func (c *http1Conn) agentConn() *agentConn { return c.agent }

// CloseWrite ends the stream towards the agent.
func (c *http1Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements [net.Conn]. After a refusal it waits a moment for the agent
// to have read the answer.
func (c *http1Conn) Close() error {
	if c.refused.Load() != nil || c.broken.Load() != nil {
		// Whatever fails here, the connection is closed next.
		_ = c.CloseWrite()
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	return c.Conn.Close()
}
