package tlsproxy

import (
	"io"
	"net/http"
	"testing"
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
