package tlsproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// echoOrigin answers with method, target, host and body of each request.
func echoOrigin(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %q", r.Method, r.RequestURI, r.Host, body)
}

func TestHTTP1Honest(t *testing.T) {
	const a = " HTTP/1.1\r\nHost: a.test\r\n"
	tests := map[string]struct {
		sent string
		want []string // bodies of the answers
	}{
		"empty line before":   {"\r\nGET /" + a + "\r\n", []string{`GET / a.test ""`}},
		"empty line between":  {"POST /1" + a + "Content-Length: 1\r\n\r\nx\r\n\r\nGET /2" + a + "\r\n", []string{`POST /1 a.test "x"`, `GET /2 a.test ""`}},
		"no host":             {"GET / HTTP/1.0\r\n\r\n", []string{`GET / a.test ""`}},
		"old with host":       {"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", []string{`GET / a.test ""`}},
		"pipelined":           {"GET /1" + a + "\r\nHEAD /2" + a + "\r\nGET /3" + a + "\r\n", []string{`GET /1 a.test ""`, ``, `GET /3 a.test ""`}},
		"pipelined bodies":    {"POST /1" + a + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\nPOST /2" + a + "Content-Length: 2\r\n\r\ndeGET /3" + a + "\r\n", []string{`POST /1 a.test "abc"`, `POST /2 a.test "de"`, `GET /3 a.test ""`}},
		"trailers":            {"POST /" + a + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\nGET /2" + a + "\r\n", []string{`POST / a.test "a"`, `GET /2 a.test ""`}},
		"other upgrade":       {"GET /" + a + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\nGET /2" + a + "\r\n", []string{`GET / a.test ""`, `GET /2 a.test ""`}},
		"refused web socket":  {"GET /1" + a + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /2" + a + "\r\n", []string{`GET /1 a.test ""`, `GET /2 a.test ""`}},
		"slash twice":         {"GET //x/y?z" + a + "\r\n", []string{`GET //x/y?z a.test ""`}},
		"large head":          {"GET /" + a + "X-Large: " + strings.Repeat("x", maxHeadBytes/2) + "\r\n\r\n", []string{`GET / a.test ""`}},
		"body larger than it": {"POST /" + a + "Content-Length: 9000\r\n\r\n" + strings.Repeat("x", 9000), []string{fmt.Sprintf("POST / a.test %q", strings.Repeat("x", 9000))}},
	}
	for name, tt := range tests {
		paces := []bool{false, true}
		if len(tt.sent) > 1000 {
			paces = []bool{false} // byte by byte it takes too long
		}
		for _, slow := range paces {
			t.Run(fmt.Sprintf("%s/slow=%t", name, slow), func(t *testing.T) {
				g := newRig(t)
				g.serveOrigin(t, originProtocols{}, echoOrigin)
				conn := g.raw(t, flowTo("a.test", 80), "")
				if slow {
					conn = &slowConn{conn}
				}
				go io.WriteString(conn, tt.sent)
				r := bufio.NewReader(conn)
				for i, want := range tt.want {
					method := http.MethodGet
					if want == "" {
						method = http.MethodHead
					}
					response, err := http.ReadResponse(r, &http.Request{Method: method})
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(response.Body)
					if err != nil || response.StatusCode != http.StatusOK || string(body) != want {
						t.Errorf("answer %d: %d %q (%v), want %q", i, response.StatusCode, body, err, want)
					}
				}
				if refused := g.judge.refusals(); len(refused) > 0 {
					t.Errorf("refused: %+v", refused)
				}
			})
		}
	}
}

func TestHTTP1Refused(t *testing.T) {
	const a = " HTTP/1.1\r\nHost: a.test\r\n"
	tests := map[string]struct {
		sent   string
		served int // requests that are answered before
		status int
		reason string
	}{
		"bare line feed":    {"GET / HTTP/1.1\nHost: a.test\n\n", 0, 400, ReasonBadFraming},
		"never ended":       {"GET / HTTP/1.1\r\nHost: a.test\r\nA: b\n", 0, 400, ReasonBadFraming},
		"bare return":       {"GET / HTTP/1.1\r\nHost: a\r.test\r\n\r\n", 0, 400, ReasonBadFraming},
		"nul":               {"GET /" + a + "A: \x00\r\n\r\n", 0, 400, ReasonBadFraming},
		"old style":         {"GET /\r\n", 0, 400, ReasonBadFraming},
		"second":            {"GET /1" + a + "\r\nGET /2" + a + "A : b\r\n\r\n", 1, 400, ReasonBadFraming},
		"after body":        {"POST /1" + a + "Content-Length: 1\r\n\r\nx GET /2" + a + "\r\n", 1, 400, ReasonBadFraming},
		"third":             {"GET /1" + a + "\r\nGET /2" + a + "\r\nGET /3 HTTP/1.1\r\n\r\nGET /4" + a + "\r\n", 2, 400, ReasonBadHost},
		"after web socket":  {"GET /1" + a + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /2\r\n\r\n", 1, 400, ReasonBadFraming},
		"large head":        {"GET /" + a + "X-Large: " + strings.Repeat("x", maxHeadBytes) + "\r\n\r\n", 0, 431, ReasonBadFraming},
		"length and chunks": {"POST /" + a + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /2" + a + "\r\n", 0, 400, ReasonBadFraming},
		"chunks":            {"POST /" + a + "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 0, 400, ReasonBadFraming},
		"trailer":           {"POST /" + a + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\n", 0, 400, ReasonBadFraming},
		"original URL":      {"GET /" + a + "X-Original-URL: /b\r\n\r\n", 0, 400, ReasonBadTarget},
		"not byte for byte": {"GET //a\\b%2f" + a + "\r\n", 0, 400, ReasonBadTarget},
	}
	for name, tt := range tests {
		for _, server := range []string{"", "a.test"} {
			t.Run(name+"/"+server, func(t *testing.T) {
				g := newRig(t)
				g.serveOrigin(t, originProtocols{tls: server != ""}, echoOrigin)
				port := uint16(80)
				if server != "" {
					port = 443
				}
				conn := g.raw(t, flowTo("a.test", port), server)
				go io.WriteString(conn, tt.sent)
				r := bufio.NewReader(conn)
				for range tt.served {
					if response, body := readResponse(t, r); response.StatusCode != http.StatusOK {
						t.Errorf("an earlier request got %d %q", response.StatusCode, body)
					}
				}
				began := time.Now()
				response, body := readResponse(t, r)
				if response.StatusCode != tt.status || !strings.HasPrefix(body, deniedHeadline) || !strings.Contains(body, tt.reason) {
					t.Errorf("got %d %q", response.StatusCode, body)
				}
				if tt.reason != ReasonBadTarget && !response.Close {
					t.Error("the answer does not say that the connection is closed")
				}
				if refused := g.judge.waitRefusals(t, 1); len(refused) != 1 || refused[0].Reason != tt.reason || refused[0].Status != tt.status {
					t.Errorf("refusals are %+v", refused)
				}
				if tt.reason == ReasonBadTarget {
					return // the framing is good
				}
				if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
					t.Errorf("the connection ended with %q, %v", rest, err)
				}
				if took := time.Since(began); took > deadline/2 {
					t.Errorf("the connection was closed after %v", took)
				}
			})
		}
	}
}

// TestRefusalIsDescribed checks what the record of a bad head says.
func TestRefusalIsDescribed(t *testing.T) {
	type described struct{ Scheme, Proto, Method, Host, Path, Query string }
	tests := map[string]struct {
		sent string
		want described
	}{
		"whole":      {"PUT /a?b HTTP/1.1\r\nHost: B.test\r\nA : b\r\n\r\n", described{Scheme: "http", Proto: "HTTP/1.1", Method: "PUT", Host: "b.test", Path: "/a", Query: "b"}},
		"before it":  {"PUT /a?b HTTP/1.1\r\nA : b\r\nHost: b.test\r\n\r\n", described{Scheme: "http", Proto: "HTTP/1.1", Method: "PUT", Host: "a.test", Path: "/a", Query: "b"}},
		"only line":  {"PUT /a HTTP/3.0\r\n", described{Scheme: "http", Proto: "HTTP/3.0", Method: "PUT", Host: "a.test", Path: "/a"}},
		"two hosts":  {"PUT /a HTTP/1.1\r\nHost: b.test\r\nHost: c.test\r\n\r\n", described{Scheme: "http", Proto: "HTTP/1.1", Method: "PUT", Host: "a.test", Path: "/a"}},
		"absolute":   {"PUT http://c.test/a HTTP/1.1\r\nHost: b.test\r\n\r\n", described{Scheme: "http", Proto: "HTTP/1.1", Method: "PUT", Host: "c.test", Path: "/a"}},
		"not a line": {"PUT /a\x01b\r\n", described{Scheme: "http", Method: "PUT", Host: "a.test", Path: "/a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c := &agentConn{flow: flowTo("a.test", 80), host: "a.test"}
			http1 := newHTTP1Conn(&piecesConn{data: []byte(tt.sent)}, c)
			if _, err := io.Copy(io.Discard, http1); err != nil {
				t.Fatal(err)
			}
			req := g.proxy.describeRefused(c, http1.refused.Load())
			got := described{req.Scheme, req.Proto, req.Method, req.Host, req.Path, req.Query}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// piecesConn is a connection that gives bytes in pieces of one size, 0 for all
// at once, and takes none.
type piecesConn struct {
	net.Conn
	data  []byte
	piece int
}

func (c *piecesConn) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	if c.piece > 0 {
		p = p[:min(len(p), c.piece)]
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// TestUpgradeUnasked has the origin switch protocols though nobody asked.
func TestUpgradeUnasked(t *testing.T) {
	for name, asks := range map[string]string{
		"nothing asked": "",
		"h2c asked":     "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
	} {
		for _, answers := range []string{"", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n"} {
			t.Run(name+"/"+answers, func(t *testing.T) {
				g := newRig(t)
				got := make(chan string, 1)
				g.rawOrigin(t, func(conn net.Conn) {
					if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
						return
					}
					io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"+answers+"\r\n")
					rest, _ := io.ReadAll(conn)
					got <- string(rest)
				})
				conn := g.raw(t, flowTo("a.test", 80), "")
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n"+asks+"\r\nDELETE / tunnel"); err != nil {
					t.Fatal(err)
				}
				if response, _ := readResponse(t, bufio.NewReader(conn)); response.StatusCode != http.StatusBadGateway {
					t.Errorf("got status %d", response.StatusCode)
				}
				if rest := <-got; rest != "" {
					t.Errorf("the origin got %q through a tunnel", rest)
				}
			})
		}
	}
}

// TestEarlyWebSocket sends data ahead of the answer to a WebSocket handshake.
func TestEarlyWebSocket(t *testing.T) {
	g := newRig(t)
	got := make(chan []byte, 1)
	const early = "\x81\x85\x00\x00\x00\x00hello\n\r\x00GET / x"
	g.rawOrigin(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		data := make([]byte, 2*len(early))
		_, _ = io.ReadFull(r, data)
		got <- data
	})
	conn := g.raw(t, flowTo("a.test", 80), "")
	request := "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	response, _ := roundTrip(t, conn, request+early)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got status %d", response.StatusCode)
	}
	if _, err := io.WriteString(conn, early); err != nil {
		t.Fatal(err)
	}
	if data := <-got; !bytes.Equal(data, []byte(early+early)) {
		t.Errorf("the origin got %q", data)
	}
}

// TestSlowHead checks that a head may not take forever, in whatever pieces it
// comes.
func TestSlowHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		closed := make(chan time.Time, 1)
		c := &agentConn{Conn: server, closed: func(*agentConn) { closed <- time.Now() }}
		began := time.Now()
		go func() {
			for _, err := client.Write([]byte("GET /")); err == nil; _, err = client.Write([]byte("a")) {
				time.Sleep(time.Second)
			}
		}()
		if _, err := newHTTP1Conn(c, c).Read(make([]byte, 1)); err == nil {
			t.Error("a head that never ends was handed on")
		}
		if took := (<-closed).Sub(began); took != firstBytesTimeout {
			t.Errorf("the connection was closed after %v", took)
		}
		time.Sleep(2 * time.Second) // of the bubble's time: the writer ends
	})
}
