package tlsproxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestRetries has an upstream close a pooled connection in the face of a
// request. One that may be sent again (RFC 9110 §9.2.2) is; any other reaches
// the upstream once, and the agent is told.
func TestRetries(t *testing.T) {
	for method, status := range map[string]int{"GET": 200, "HEAD": 200, "OPTIONS": 200, "POST": 502, "PATCH": 502} {
		t.Run(method, func(t *testing.T) {
			g := newRig(t)
			var mu sync.Mutex
			var seen []string // guarded by mu
			g.rawOrigin(t, func(conn net.Conn) {
				r := bufio.NewReader(conn)
				for first := true; ; first = false {
					one, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, one.Body)
					mu.Lock()
					seen = append(seen, one.Method)
					mu.Unlock()
					if !first {
						return // without an answer
					}
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			client := g.client(t, false)
			do(t, client, request(t, "GET", "http://a.test/first", nil))
			var body io.Reader
			if method == "POST" || method == "PATCH" {
				body = strings.NewReader("body")
			}
			response, _ := do(t, client, request(t, method, "http://a.test/second", body))
			mu.Lock()
			defer mu.Unlock()
			times := len(seen) - 1
			if want := map[bool]int{true: 2, false: 1}[status == 200]; response.StatusCode != status || times != want {
				t.Errorf("got %d, and the upstream saw it %d times, want %d and %d", response.StatusCode, times, status, want)
			}
			if asked := g.judge.requests(); len(asked) != 2 {
				t.Errorf("%d requests were judged, want 2", len(asked))
			}
		})
	}
}
