package tlsproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// substitute is what net/http reads in place of a head that is refused. Its
// version is one that readHead lets nobody send, so it can't be forged.
const (
	substituteMinor = 9
	substitute      = " / HTTP/1.9\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n"
)

// maxLeadingLines is how many empty lines before a request line are passed over
// (RFC 9112 §2.2); old clients send one after a body.
const maxLeadingLines = 2

// refusedHead is a head that was refused, as far as it could be read.
type refusedHead struct {
	head head
	bad  *problem
}

// readHead gathers a head until it is whole, and decides on it.
func (c *http1Conn) readHead() error {
	for {
		c.skipEmptyLines()
		end, bad := c.scanHead()
		if bad == nil && (end > maxHeadBytes || end == 0 && len(c.buf) > maxHeadBytes) {
			bad = tooLarge("The request line and the header fields are larger than %d bytes together.", maxHeadBytes)
		}
		if bad != nil || end > 0 {
			c.stopSlow()
			c.decide(end, bad)
			return nil
		}
		if len(c.buf) > 0 && c.slow == nil {
			c.slow = time.AfterFunc(firstBytesTimeout, func() { _ = c.agent.Close() })
		}
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) && len(c.buf) == 0 {
				err = c.awaitAnswers()
			}
			if !isTimeout(err) { // after which net/http may read on
				c.stopSlow()
			}
			return err
		}
	}
}

// stopSlow ends the watch over a slow head.
func (c *http1Conn) stopSlow() {
	if c.slow != nil {
		c.slow.Stop()
		c.slow = nil
	}
}

// skipEmptyLines drops empty lines before a request line.
func (c *http1Conn) skipEmptyLines() {
	for c.skipped < maxLeadingLines && bytes.HasPrefix(c.buf, crlf) {
		c.skipped++
		c.scanned = 0
		if c.buf = c.buf[len(crlf):]; len(c.buf) == 0 {
			c.buf = c.room
		}
	}
}

// scanHead looks for the end of the head in buf, behind what it has seen
// before. A byte that may not stand in a head is found as soon as it is there,
// and so is a bad request line: whoever sends one may be waiting for the answer.
func (c *http1Conn) scanHead() (end int, bad *problem) {
	for i := c.scanned; i < len(c.buf); i++ {
		switch b := c.buf[i]; {
		case b == '\n':
			if i == 0 || c.buf[i-1] != '\r' {
				return 0, badFraming("A line ends in a bare line feed.")
			}
			if i >= 3 && c.buf[i-2] == '\n' {
				return i + 1, nil
			}
		case i > 0 && c.buf[i-1] == '\r':
			return 0, badFraming("A carriage return stands alone.")
		case b < ' ' && b != '\t' && b != '\r', b == 0x7f:
			return 0, badFraming("There is a control character in the head.")
		}
	}
	from := max(c.scanned-1, 0) // the line end may have come in two parts
	c.scanned = len(c.buf)
	if end := bytes.Index(c.buf[from:], crlf); end >= 0 && !c.lined {
		c.lined = true
		var h head
		return 0, h.readRequestLine(c.buf[:from+end])
	}
	return 0, nil
}

// decide hands a head on, or a substitute for it.
func (c *http1Conn) decide(end int, bad *problem) {
	c.scanned, c.lined, c.skipped = 0, false, 0
	c.serving.Add(1)
	var h head
	block := c.buf
	if bad == nil {
		block = c.buf[:end]
	}
	if found := h.read(block); bad == nil {
		bad = found
	}
	if bad != nil {
		c.refused.Store(&refusedHead{h, bad})
		method := http.MethodGet
		if h.method == http.MethodHead {
			method = h.method // so that the answer has no body
		}
		c.buf = []byte(method + substitute)
		c.ready, c.phase = len(c.buf), phaseOver
		return
	}
	c.ready = end
	switch {
	case h.webSocket, h.method == http.MethodConnect:
		c.upgrade.Store(upgradeOpen)
		c.phase = phaseUpgrade
	case h.length < 0:
		c.chunks = chunkScanner{}
		c.phase = phaseChunked
	case h.length > 0:
		c.left, c.phase = h.length, phaseSized
	}
}

// refusal returns the head that a request stands for; nil for a request that
// the agent sent.
func (c *agentConn) refusal(r *http.Request) *refusedHead {
	if c.http1 == nil || r.ProtoMajor != 1 || r.ProtoMinor != substituteMinor {
		return nil
	}
	return c.http1.refused.Load()
}

var crlf = []byte("\r\n")

// badFraming is a head or body that has not exactly one reading.
func badFraming(format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, ReasonBadFraming, fmt.Sprintf(format, args...)}
}

// tooLarge is a head or trailer section that exceeds its bound.
func tooLarge(format string, args ...any) *problem {
	return &problem{http.StatusRequestHeaderFieldsTooLarge, ReasonBadFraming, fmt.Sprintf(format, args...)}
}
