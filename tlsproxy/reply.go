package tlsproxy

import (
	"bufio"
	"net"
	"net/http"
)

// reply is the response writer of an exchange. It counts, and keeps net/http
// from adding headers that the upstream did not send.
type reply struct {
	http.ResponseWriter
	ex     *exchange
	status int  // 0 until the final status is written
	local  bool // the answer is the proxy's own: not counted
}

// FlushError implements the interface by which [http.ResponseController] finds
// it. Of an answer without a body the head ends the stream, if it is not sent
// before the handler is done.
func (w *reply) FlushError() error {
	if w.ex.empty && !w.local {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] find what the writer can do.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *reply) WriteHeader(status int) {
	if status >= http.StatusOK && w.status == 0 {
		w.status = status
		// A key without values stops net/http from guessing the type and
		// from adding a date.
		for _, name := range []string{"Content-Type", "Date"} {
			if _, ok := w.Header()[name]; !ok {
				w.Header()[name] = nil
			}
		}
		// HTTP/2 can have both; HTTP/1.1 carries trailers in chunks only
		// (RFC 9112 §7.1.2), and a chunked message has no length.
		if w.ex.in.ProtoMajor == 1 && w.ex.in.Method != http.MethodHead && len(w.Header()["Trailer"]) > 0 {
			w.Header().Del("Content-Length")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *reply) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	if !w.local {
		w.ex.received.Add(int64(n))
	}
	return n, err
}

// Hijack implements [http.Hijacker] for the upgrade to WebSocket.
func (w *reply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if http1 := w.ex.conn.http1; http1 != nil {
		http1.settle(upgradeDone)
	}
	w.status = http.StatusSwitchingProtocols
	return &upgradedConn{Conn: conn, ahead: buf.Reader, ex: w.ex}, buf, nil
}

// upgradedConn is the agent's connection after an upgrade. It counts, and gives
// out first what the agent sent ahead of the upgrade's answer.
type upgradedConn struct {
	net.Conn
	ahead *bufio.Reader
	ex    *exchange
}

// Read implements [net.Conn].
func (c *upgradedConn) Read(p []byte) (n int, err error) {
	if ready := c.ahead.Buffered(); ready > 0 {
		n, err = c.ahead.Read(p[:min(len(p), ready)])
	} else {
		n, err = c.Conn.Read(p)
	}
	c.ex.sent.Add(int64(n))
	return n, err
}

// Write implements [net.Conn].
func (c *upgradedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.ex.received.Add(int64(n))
	return n, err
}

// CloseWrite passes the end of one direction on.
func (c *upgradedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
