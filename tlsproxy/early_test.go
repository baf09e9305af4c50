package tlsproxy

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestEarlyEndOfAnswer has an upstream end its answer, trailers and all, while
// the agent goes on with its body: the agent must get the end at once.
func TestEarlyEndOfAnswer(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		g := newRig(t)
		g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: originH2}, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is so anyway
			w.Header().Set("Trailer", "Grpc-Status")
			if _, err := io.ReadFull(r.Body, make([]byte, 4)); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, "pong")
			_ = http.NewResponseController(w).Flush()
			w.Header().Set("Grpc-Status", "9")
		})
		body, feed := io.Pipe()
		defer feed.Close()
		go func() { _, _ = io.WriteString(feed, "ping") }()
		response, text := do(t, g.client(t, agentH2), request(t, "POST", scheme+"://api.test/", body))
		if got := response.Trailer.Get("Grpc-Status"); text != "pong" || got != "9" {
			t.Errorf("got %q and status %q", text, got)
		}
		if err := g.judge.finishes(t, 1)[0].result.Err; err != nil {
			t.Errorf("the request is said to have failed: %v", err)
		}
	})
}

// TestAnswerWithoutBody has an upstream answer by a head and nothing else, as
// gRPC does for a call that fails at once. Were the head sent without the end of
// the stream, clients would miss the trailers for which they take it.
func TestAnswerWithoutBody(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true, h2: true}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "12")
	})
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/"}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // to memory
	}
	for range 100 { // whatever sent the head early would do so now and then
		framer := g.http2(t)
		if err := writeBlock(framer, block.Bytes()); err != nil {
			t.Fatal(err)
		}
		for head := (*http2.HeadersFrame)(nil); head == nil; {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if head, _ = frame.(*http2.HeadersFrame); head != nil && !head.StreamEnded() {
				t.Fatal("the head did not end the stream")
			}
		}
	}
}
