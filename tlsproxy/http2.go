package tlsproxy

import (
	"context"
	"io"
	"net"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// http2Conn is a connection of the agent on which HTTP/2 is spoken, decrypted
// where it came in TLS. net/http ends a stream, or the connection, that carries
// a malformed request (RFC 9113 §8.1.1), and tells nobody: http2Conn reads
// along, and records what is about to be refused.
//
// What is left to it alone is :scheme, which net/http does not hand on.
type http2Conn struct {
	net.Conn            // *agentConn, or *tls.Conn over it
	agent    *agentConn // the connection below
	record   func(*http2Block)

	// These belong to the goroutine that reads; net/http has one at a time.
	preface int // bytes of the preface that have come
	frames  frameScanner
	decoder *hpack.Decoder
	block   http2Block // what the decoder is at
	last    uint32     // the highest stream so far
	deaf    bool       // what follows can't be followed; net/http ends the connection
	over    bool       // nothing more is read
}

// newHTTP2Conn watches a connection. conn is agent itself, or TLS over it.
func (p *Proxy) newHTTP2Conn(conn net.Conn, agent *agentConn) *http2Conn {
	c := &http2Conn{
		Conn:   conn,
		agent:  agent,
		record: func(bad *http2Block) { p.refuseStream(agent, bad) },
	}
	c.decoder = hpack.NewDecoder(http2TableBytes, c.readField)
	return c
}

const (
	// http2TableBytes is SETTINGS_HEADER_TABLE_SIZE as net/http leaves it.
	http2TableBytes = 4 << 10
	// http2ListSlack is by how much net/http exceeds its bound on a block.
	http2ListSlack = 320
)

// agentConn returns the connection below.
func (c *http2Conn) agentConn() *agentConn { return c.agent }

// Read implements [net.Conn].
func (c *http2Conn) Read(p []byte) (int, error) {
	if c.over {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	if c.deaf {
		return n, err
	}
	if good := c.scan(p[:n]); good < n {
		c.over = true
		if n, err = good, nil; n == 0 {
			err = io.EOF
		}
	}
	return n, err
}

// scan follows the frames, and returns how many bytes may be handed on.
func (c *http2Conn) scan(p []byte) int {
	n := min(len(p), len(http2Preface)-c.preface)
	if string(p[:n]) != http2Preface[c.preface:c.preface+n] {
		// Not HTTP/2, though TLS had agreed on it: net/http would go on with
		// HTTP/1.
		c.record(&http2Block{bad: badFraming("HTTP/2 was agreed on, and is not spoken.")})
		return 0
	}
	c.preface += n
	for n < len(p) && !c.deaf {
		begin := n
		size, whole := c.frames.scan(p[n:])
		if n += size; whole && !c.handle() {
			return begin
		}
	}
	return len(p)
}

// handle looks at a whole block of fields. False means that it must not be
// handed on.
func (c *http2Conn) handle() bool {
	c.block = http2Block{}
	block := &c.block
	c.decoder.SetEmitEnabled(true)
	if _, err := c.decoder.Write(c.frames.block); err != nil || c.decoder.Close() != nil || c.frames.lost {
		c.deaf = true
		block.fault("The header block can't be decoded.")
	}
	isRequest := c.frames.stream > c.last
	if isRequest {
		c.last = c.frames.stream
		block.checkRequest(c.agent.secure)
	} else if block.others || block.seen != [len(pseudoNames)]bool{} {
		block.fault("There is a pseudo-header behind the body.")
	}
	if block.bad != nil {
		c.record(block)
	}
	return block.bad == nil || block.bad.reason != ReasonHostMismatch
}

// refuseStream records a request that is refused before it was one.
func (p *Proxy) refuseStream(c *agentConn, block *http2Block) {
	req := p.requestOn(c)
	req.Proto, req.Method = "HTTP/2.0", printable([]byte(block.pseudo[pseudoMethod]))
	req.Host = p.hostOr(block.pseudo[pseudoAuthority], req.Host)
	req.Path, req.Query, _ = strings.Cut(printable([]byte(block.pseudo[pseudoPath])), "?")
	// It is refused whether or not it can be recorded.
	_ = p.judge.Refused(context.WithoutCancel(p.ctx), req, Verdict{Reason: block.bad.reason}, block.bad.status)
}
