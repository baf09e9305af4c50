package tlsproxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// deny is a verdict as the policy gives it.
func deny() Verdict {
	return Verdict{Rule: "gists", RuleAt: "policy.hcl:22", Reason: "rule", Suggestion: `allow "x" {}`}
}

// closedRig is a rig whose upstream must not be reached.
func closedRig(t *testing.T) *rig {
	g := newRig(t)
	g.judge.lookup = func(host string, _ uint16) ([]netip.AddrPort, bool, error) {
		t.Errorf("a refused request went on to look up %s", host)
		return nil, false, errors.New("not reached")
	}
	return g
}

func TestDeniedText(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		if originH2 {
			return // no origin is reached: one case is enough
		}
		g := closedRig(t)
		g.judge.decide = func(*Request) (Verdict, error) { return deny(), nil }
		response, body := do(t, g.client(t, agentH2), request(t, "POST", scheme+"://api.test:444/gists?a=b", strings.NewReader("x")))
		want := "Network request blocked by boundary policy\n\n  POST " + scheme + "://api.test:444/gists?a=b\n\n" +
			"rule:   gists (policy.hcl:22)\nreason: rule\nid:     " + firstID(scheme) + "\n\n" +
			"To allow it, a person can add this to the policy:\n\nallow \"x\" {}\n"
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		if response.StatusCode != http.StatusForbidden || response.Header.Get(denialHeader) != firstID(scheme) {
			t.Errorf("got %d, header %v", response.StatusCode, response.Header)
		}
		if got := response.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("content type is %q", got)
		}
		if len(g.judge.finishes(t, 0)) != 0 {
			t.Error("Done was called for a denied request")
		}
	})
}

func TestDeniedJSON(t *testing.T) {
	g := closedRig(t)
	g.judge.decide = func(*Request) (Verdict, error) { return deny(), nil }
	req := request(t, "DELETE", "https://api.test/gists/1", nil)
	req.Header.Set("Accept", "application/json, text/plain, */*")
	response, body := do(t, g.client(t, true), req)
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type is %q", got)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"error":  "Network request blocked by boundary policy: DELETE https://api.test/gists/1",
		"method": "DELETE", "url": "https://api.test/gists/1", "rule": "gists", "rule_at": "policy.hcl:22",
		"reason": "rule", "id": firstID("https"), "fix": `allow "x" {}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestDeniedHead(t *testing.T) {
	g := closedRig(t)
	g.judge.decide = func(*Request) (Verdict, error) { return deny(), nil }
	conn := g.raw(t, flowTo("api.test", 80), "")
	if _, err := io.WriteString(conn, "HEAD / HTTP/1.1\r\nHost: api.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: api.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	head, err := http.ReadResponse(r, &http.Request{Method: "HEAD"})
	if err != nil || head.StatusCode != http.StatusForbidden {
		t.Fatalf("got %v, %v", head, err)
	}
	// The connection goes on, and no body stands in the way.
	if get, body := readResponse(t, r); get.StatusCode != http.StatusForbidden || !strings.Contains(body, "/2") {
		t.Errorf("second request: %d %q", get.StatusCode, body)
	}
}

func TestPrefersJSON(t *testing.T) {
	tests := map[string]bool{
		"":                                  false,
		"*/*":                               false,
		"application/json":                  true,
		"application/problem+json":          true,
		"application/json, text/plain, */*": true,
		"text/html,application/json;q=0.9":  false,
		"text/plain;q=0.5, application/json;q=0.8": true,
		"application/json;q=0":                     false,
		"application/json;q=x, ;;":                 false,
		"text/html, */*;q=0.8":                     false,
		"application/vnd.github+json":              true,
	}
	for accept, want := range tests {
		if got := prefersJSON([]string{accept}); got != want {
			t.Errorf("prefersJSON(%q) = %t", accept, got)
		}
	}
}

func TestDeniedBodies(t *testing.T) {
	// A client that writes all before it reads anything: it must find the
	// answer, not a broken connection.
	tests := map[string]struct {
		header string
		size   int
	}{
		"small":         {"Content-Length: 1000\r\n", 1000},
		"large":         {"Content-Length: 4194304\r\n", 4 << 20},
		"unknown small": {"Transfer-Encoding: chunked\r\n", 1000},
		"unknown large": {"Transfer-Encoding: chunked\r\n", 4 << 20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := closedRig(t)
			g.judge.decide = func(*Request) (Verdict, error) { return deny(), nil }
			conn := g.raw(t, flowTo("api.test", 443), "api.test")
			body := bytes.Repeat([]byte("x"), tt.size)
			if strings.HasPrefix(tt.header, "Transfer") {
				body = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", tt.size, body)
			}
			if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: api.test\r\n"+tt.header+"\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(body); err != nil {
				t.Fatal(err)
			}
			if response, text := readResponse(t, bufio.NewReader(conn)); response.StatusCode != http.StatusForbidden || text == "" {
				t.Errorf("got %d", response.StatusCode)
			}
		})
	}
}

func TestDeniedEndlessBody(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%t", h2), func(t *testing.T) {
			g := closedRig(t)
			g.judge.decide = func(*Request) (Verdict, error) { return deny(), nil }
			body, feed := io.Pipe() // never written to
			defer feed.Close()
			response, text := do(t, g.client(t, h2), request(t, "POST", "https://api.test/", body))
			if response.StatusCode != http.StatusForbidden || !strings.HasPrefix(text, deniedHeadline) {
				t.Errorf("got %d %q", response.StatusCode, text)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	tests := map[string]struct {
		server  string // TLS server name; empty is plain HTTP
		request string
		status  int
		reason  string
		host    string
	}{
		"other host":          {"a.test", "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", 421, ReasonHostMismatch, "b.test"},
		"other absolute host": {"a.test", "GET https://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", 421, ReasonHostMismatch, "b.test"},
		"two absolute hosts":  {"a.test", "GET https://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ReasonBadHost, "b.test"},
		"other port":          {"a.test", "GET / HTTP/1.1\r\nHost: a.test:81\r\n\r\n", 421, ReasonHostMismatch, "a.test"},
		"address as host":     {"a.test", "GET / HTTP/1.1\r\nHost: 198.18.0.7\r\n\r\n", 421, ReasonHostMismatch, "198.18.0.7"},
		"no host":             {"", "GET / HTTP/1.1\r\n\r\n", 400, ReasonBadHost, "a.test"},
		"empty host":          {"", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, ReasonBadHost, "a.test"},
		"bad host":            {"", "GET / HTTP/1.1\r\nHost: .\r\n\r\n", 400, ReasonBadHost, "a.test"},
		"bad port":            {"", "GET / HTTP/1.1\r\nHost: a.test:x\r\n\r\n", 400, ReasonBadHost, "a.test"},
		"connect in TLS":      {"a.test", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 403, ReasonUnsupportedMethod, "a.test"},
		"fragment":            {"", "GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ReasonBadTarget, "a.test"},
		"asterisk":            {"", "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ReasonBadTarget, "a.test"},
		"user info":           {"", "GET http://u:p@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, ReasonBadTarget, "a.test"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := closedRig(t)
			scheme, port := "http", uint16(80)
			if tt.server != "" {
				scheme, port = "https", 443
			}
			conn := g.raw(t, flowTo("a.test", port), tt.server)
			response, body := roundTrip(t, conn, tt.request)
			if response.StatusCode != tt.status || !strings.HasPrefix(body, deniedHeadline) || response.Header.Get(denialHeader) == "" {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
			if diff := cmp.Diff([]refusal{{tt.host, scheme, tt.reason, tt.status}}, g.judge.refusals()); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
			if asked := g.judge.requests(); len(asked) > 0 {
				t.Errorf("the policy was asked about %+v", asked)
			}
		})
	}
}

func TestHTTP2Fields(t *testing.T) {
	tests := map[string]struct {
		fields []hpack.HeaderField
		reason string
	}{
		// In HTTP/1.1 towards the origin these would end the request line.
		"space in path":  {[]hpack.HeaderField{{Name: ":path", Value: "/a HTTP/1.1"}, {Name: ":authority", Value: "a.test"}}, ReasonBadTarget},
		"space in query": {[]hpack.HeaderField{{Name: ":path", Value: "/?a HTTP/1.1"}, {Name: ":authority", Value: "a.test"}}, ReasonBadTarget},
		"two hosts":      {[]hpack.HeaderField{{Name: ":path", Value: "/"}, {Name: ":authority", Value: "a.test"}, {Name: "host", Value: "b.test"}}, ReasonBadHost},
		"other host":     {[]hpack.HeaderField{{Name: ":path", Value: "/"}, {Name: ":authority", Value: "b.test"}}, ReasonHostMismatch},
		"other as host":  {[]hpack.HeaderField{{Name: ":path", Value: "/"}, {Name: "host", Value: "b.test"}}, ReasonHostMismatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := closedRig(t)
			roots := x509.NewCertPool()
			roots.AddCert(g.session.Certificate())
			conn := tls.Client(g.raw(t, flowTo("a.test", 443), ""), &tls.Config{RootCAs: roots, ServerName: "a.test", NextProtos: []string{"h2"}})
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for _, field := range append([]hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}}, tt.fields...) {
				if err := encoder.WriteField(field); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
				t.Fatal(err)
			}
			framer := http2.NewFramer(conn, conn)
			err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
				StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
			}))
			if err != nil {
				t.Fatal(err)
			}
			refused := g.judge.waitRefusals(t, 1)
			if len(refused) != 1 || refused[0].Reason != tt.reason {
				t.Errorf("refusals are %+v", refused)
			}
			if asked := g.judge.requests(); len(asked) > 0 {
				t.Errorf("the policy was asked about %+v", asked)
			}
		})
	}
}

func TestRefusalNotRecorded(t *testing.T) {
	g := closedRig(t)
	g.judge.refuse = errors.New("disk full")
	conn := g.raw(t, flowTo("a.test", 80), "")
	response, body := roundTrip(t, conn, "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, ReasonNotRecorded) {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
}

func TestNotHTTP(t *testing.T) {
	for name, first := range map[string]string{
		"ssh":           "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
		"smtp":          "EHLO agent\r\n",
		"postgres":      "\x00\x00\x00\x08\x04\xd2\x16\x2f",
		"tls 1.0 alert": "\x15\x03\x01\x00\x02\x02\x28",
	} {
		t.Run(name, func(t *testing.T) {
			g := closedRig(t)
			conn := g.raw(t, flowTo("a.test", 443), "")
			if _, err := io.WriteString(conn, first); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read ended with %v, want a reset", err)
			}
			if diff := cmp.Diff([]refusal{{"a.test", "", ReasonNotHTTP, 0}}, g.judge.waitRefusals(t, 1)); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFirstBytesInPieces(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true}, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	conn := &slowConn{g.raw(t, flowTo("a.test", 443), "")}
	tlsConn := tls.Client(conn, &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}) // the certificate is not what is tested
	if response, body := roundTrip(t, tlsConn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); response.StatusCode != http.StatusOK || body != "ok" {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
}

// slowConn sends each byte by itself.
type slowConn struct{ net.Conn }

func (c *slowConn) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestSilentConnectionLeavesNoRecord(t *testing.T) {
	g := closedRig(t)
	conn := g.raw(t, flowTo("a.test", 443), "")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read ended with %v", err)
	}
	if refused := g.judge.refusals(); len(refused) > 0 {
		t.Errorf("recorded %+v", refused)
	}
}

func TestClientThatDoesNotTrust(t *testing.T) {
	g := closedRig(t)
	conn := tls.Client(g.raw(t, flowTo("a.test", 443), ""), &tls.Config{ServerName: "a.test"})
	if err := conn.Handshake(); err == nil {
		t.Fatal("the session authority is trusted by the system")
	}
	if diff := cmp.Diff([]refusal{{"a.test", "https", ReasonTLS, 0}}, g.judge.waitRefusals(t, 1)); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}

func TestServerNames(t *testing.T) {
	tests := map[string]struct {
		flow Flow
		sni  string
		want string // the name in the leaf
	}{
		"server name":          {flowTo("a.test", 443), "A.test", "a.test"},
		"other name dialled":   {flowTo("b.test", 443), "a.test", "a.test"},
		"none, name dialled":   {flowTo("a.test", 443), "", "a.test"},
		"none, IPv4 dialled":   {flowTo("192.0.2.1", 443), "", "192.0.2.1"},
		"none, IPv6 dialled":   {flowTo("2001:db8::1", 443), "", "2001:db8::1"},
		"none, mapped dialled": {flowTo("::ffff:192.0.2.1", 443), "", "192.0.2.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.serveOrigin(t, originProtocols{tls: true}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
			g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) {
				return []netip.AddrPort{g.origin}, false, nil
			}
			conn := tls.Client(g.raw(t, tt.flow, ""), &tls.Config{ServerName: tt.sni, InsecureSkipVerify: true})
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			leaf := conn.ConnectionState().PeerCertificates[0]
			if err := leaf.VerifyHostname(tt.want); err != nil {
				t.Error(err)
			}
			host := tt.want
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			response, _ := roundTrip(t, conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
			if asked := g.judge.requests(); len(asked) != 1 || asked[0].Host != tt.want {
				t.Errorf("status %d, judged %+v", response.StatusCode, asked)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{}, func(http.ResponseWriter, *http.Request) {})
	conn := g.raw(t, flowTo("a.test", 80), "")
	roundTrip(t, conn, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nX_Http_Method_Override: delete, put\r\n\r\n")
	if diff := cmp.Diff([]string{"DELETE", "PUT"}, g.judge.requests()[0].Overrides); diff != "" {
		t.Errorf("overrides (-want +got):\n%s", diff)
	}
}
