package integration

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

const (
	// heldFirst is what a client must show before the origin says the rest,
	// which is the marker.
	heldFirst = "beginning"
	// showWithin is how long a client may take to show it, its own start
	// included.
	showWithin = 30 * time.Second
	// heldLongest is how long the origin waits for a test to let it go on.
	heldLongest = time.Minute
)

// clientPages are the origin's pages for the clients, beside its own: answers
// that are held back half-way, WebSocket, gRPC, and what installers read.
type clientPages struct {
	mu   sync.Mutex
	held map[string]chan struct{} // by name of the page, guarded by mu
}

// newClientPages returns pages of which none is let go on.
func newClientPages() *clientPages { return &clientPages{held: map[string]chan struct{}{}} }

// handlers returns the pages by pattern.
func (p *clientPages) handlers(t testing.TB) map[string]http.Handler {
	t.Helper()
	return map[string]http.Handler{
		"/held/{name}":      http.HandlerFunc(p.holdHTTP),
		"/ws/{name}":        websocket.Server{Handler: p.sayWebSocket},
		"/ws/held/{name}":   websocket.Server{Handler: p.holdWebSocket},
		"/grpc.said/{name}": http.HandlerFunc(p.sayGRPC),
		"/grpc.held/{name}": http.HandlerFunc(p.holdGRPC),
		"/npm/":             npmRegistry(t),
		"/pip/":             http.StripPrefix("/pip/", pythonIndex(t)),
		"/debian/":          http.StripPrefix("/debian/", http.FileServer(http.Dir(greetingRepository(t)))),
		tldrHost + tldrPath: tldrArchive(t),
	}
}

// gate returns what is closed when a page may go on.
func (p *clientPages) gate(name string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[name] == nil {
		p.held[name] = make(chan struct{})
	}
	return p.held[name]
}

// release lets a page go on.
func (p *clientPages) release(name string) { close(p.gate(name)) }

// hold says the first half, waits until it may go on, and says the second. A
// client that is gone needs no answer.
func (p *clientPages) hold(r *http.Request, say func(text string) error) {
	if err := say(heldFirst + "\n"); err != nil {
		return
	}
	select {
	case <-p.gate(r.PathValue("name")):
		_ = say(marker + "\n")
	case <-r.Context().Done():
	case <-time.After(heldLongest):
	}
}

// holdHTTP answers with a body that is held back half-way.
func (p *clientPages) holdHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	p.hold(r, func(text string) error {
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
}

// sayWebSocket sends one message.
func (p *clientPages) sayWebSocket(conn *websocket.Conn) {
	_ = websocket.Message.Send(conn, marker)
}

// holdWebSocket sends two, the second when it may.
func (p *clientPages) holdWebSocket(conn *websocket.Conn) {
	p.hold(conn.Request(), func(text string) error { return websocket.Message.Send(conn, text) })
}

// sayGRPC answers a call with one message, or with several.
func (p *clientPages) sayGRPC(w http.ResponseWriter, r *http.Request) {
	p.answerGRPC(w, func(say func(string) error) { _ = say(marker + "\n") })
}

// holdGRPC answers a call with two messages, the second when it may.
func (p *clientPages) holdGRPC(w http.ResponseWriter, r *http.Request) {
	p.answerGRPC(w, func(say func(string) error) { p.hold(r, say) })
}

// answerGRPC is the server's side of a call: each message has its length
// before it, and the status comes in the trailers
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
func (p *clientPages) answerGRPC(w http.ResponseWriter, speak func(say func(string) error)) {
	w.Header().Set("Content-Type", "application/grpc")
	speak(func(text string) error {
		message := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))
		if _, err := w.Write(append(message, text...)); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}
