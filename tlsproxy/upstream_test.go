package tlsproxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUpstreamFailures(t *testing.T) {
	closed := func(t *testing.T) netip.AddrPort {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		return netip.MustParseAddrPort(listener.Addr().String())
	}
	tests := map[string]struct {
		arrange func(*testing.T, *rig)
		status  int
		cause   string
	}{
		"refused": {func(t *testing.T, g *rig) { g.origin = closed(t) }, 502, "a.test refused the connection."},
		"no such host": {func(_ *testing.T, g *rig) {
			g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) {
				return nil, false, &net.DNSError{Err: "no such host", IsNotFound: true}
			}
		}, 502, "a.test: no such host."},
		"no address": {func(_ *testing.T, g *rig) {
			g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) { return nil, false, nil }
		}, 502, "a.test: no such host."},
		"name service": {func(_ *testing.T, g *rig) {
			g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) { return nil, false, errors.New("secret") }
		}, 502, "name service failed"},
		"name service in time": {func(_ *testing.T, g *rig) {
			g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) {
				return nil, false, &net.DNSError{Err: "timeout", IsTimeout: true}
			}
		}, 504, "did not answer in time"},
		"closes": {func(t *testing.T, g *rig) {
			g.rawOrigin(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) })
		}, 502, "closed the connection"},
		"no TLS": {func(t *testing.T, g *rig) {
			g.rawOrigin(t, func(conn net.Conn) { io.WriteString(conn, "220 mail.test ESMTP\r\n") })
		}, 502, "did not agree to a TLS connection"},
		"unknown authority": {func(t *testing.T, g *rig) {
			stranger, err := NewAuthority("stranger")
			if err != nil {
				t.Fatal(err)
			}
			g.outside = stranger
			g.serveOrigin(t, originProtocols{tls: true}, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
		}, 502, "could not be verified: x509: certificate signed by unknown authority"},
		"session authority": {func(t *testing.T, g *rig) {
			// What the agent trusts, the proxy does not.
			g.outside = g.session
			g.serveOrigin(t, originProtocols{tls: true}, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
		}, 502, "could not be verified"},
		"other name": {func(t *testing.T, g *rig) {
			leaf, err := g.outside.Leaf("b.test")
			if err != nil {
				t.Fatal(err)
			}
			g.rawOrigin(t, func(conn net.Conn) {
				_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*leaf}}).Handshake()
			})
		}, 502, "not for that name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			tt.arrange(t, g)
			response, body := do(t, g.client(t, false), request(t, "GET", "https://a.test/x", nil))
			if response.StatusCode != tt.status || !strings.Contains(body, tt.cause) || !strings.HasPrefix(body, failedHeadline) {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
			if strings.Contains(body, "secret") || strings.Contains(body, "127.0.0.1") || response.Header.Get(denialHeader) != "" {
				t.Errorf("header %v, body %q", response.Header, body)
			}
			result := g.judge.finishes(t, 1)[0].result
			if result.Status != tt.status || result.Err == nil || result.Received != 0 {
				t.Errorf("result is %+v", result)
			}
			if refused := g.judge.refusals(); len(refused) > 0 {
				t.Errorf("a failure was recorded as a denial: %+v", refused)
			}
		})
	}
}

// private refuses loopback, as a policy without `private` does.
func private(_ *Request, addr netip.AddrPort) Verdict {
	if addr.Addr().IsLoopback() {
		return Verdict{Rule: "api", Reason: "private-address", Suggestion: "private = true"}
	}
	return allowed()
}

func TestAddressIsJudgedAtTheDial(t *testing.T) {
	g := newRig(t)
	var arrived atomic.Int32
	g.rawOrigin(t, func(net.Conn) { arrived.Add(1) })
	g.judge.address = private
	response, body := do(t, g.client(t, true), request(t, "POST", "https://a.test/x", strings.NewReader("body")))
	if response.StatusCode != http.StatusForbidden || !strings.Contains(body, "private-address") ||
		!strings.Contains(body, "127.0.0.1") || !strings.Contains(body, "private = true") || response.Header.Get(denialHeader) == "" {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
	if diff := cmp.Diff([]refusal{{"a.test", "https", "private-address", 403}}, g.judge.refusals()); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
	if result := g.judge.finishes(t, 1)[0].result; result.Status != 403 || result.Upstream.IsValid() || result.Err == nil || !result.Denied {
		t.Errorf("result is %+v", result)
	}
	if arrived.Load() != 0 {
		t.Error("a refused address was connected to")
	}
}

func TestOperatorsAddressIsNotJudged(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true}, func(http.ResponseWriter, *http.Request) {})
	g.judge.address = private
	g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) {
		return []netip.AddrPort{g.origin}, true, nil
	}
	client := g.client(t, false)
	for range 2 { // the second request takes the pooled connection
		if response, body := do(t, client, request(t, "GET", "https://a.test/", nil)); response.StatusCode != http.StatusOK {
			t.Errorf("got %d %q", response.StatusCode, body)
		}
	}
}

func TestPooledConnectionIsJudgedAgain(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%t", h2), func(t *testing.T) {
			g := newRig(t)
			var paths atomic.Value
			g.serveOrigin(t, originProtocols{tls: true, h2: h2}, func(_ http.ResponseWriter, r *http.Request) { paths.Store(r.URL.Path) })
			var asked atomic.Int32
			g.judge.address = func(req *Request, addr netip.AddrPort) Verdict {
				asked.Add(1)
				if req.Path == "/inward" {
					return allowed()
				}
				return private(req, addr)
			}
			client := g.client(t, false)
			if response, _ := do(t, client, request(t, "GET", "https://a.test/inward", nil)); response.StatusCode != http.StatusOK {
				t.Fatalf("got %d", response.StatusCode)
			}
			response, body := do(t, client, request(t, "POST", "https://a.test/outward", strings.NewReader("secret")))
			if response.StatusCode != http.StatusForbidden || !strings.Contains(body, "private-address") {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
			if path := paths.Load(); path != "/inward" {
				t.Errorf("the origin saw %v", path)
			}
			if response, _ := do(t, client, request(t, "GET", "https://a.test/inward", nil)); response.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %d", response.StatusCode)
			}
			if asked.Load() < 3 {
				t.Errorf("Address was asked %d times", asked.Load())
			}
		})
	}
}

func TestConnectionsAreReused(t *testing.T) {
	g := newRig(t)
	var conns atomic.Int32
	g.rawOrigin(t, func(conn net.Conn) {
		conns.Add(1)
		r := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	for range 5 { // each from a connection of its own
		do(t, g.client(t, false), request(t, "GET", "http://a.test/", nil))
		g.judge.finishes(t, 1)
	}
	if conns.Load() != 1 {
		t.Errorf("5 requests took %d connections", conns.Load())
	}
	do(t, g.client(t, false), request(t, "GET", "http://b.test/", nil))
	if conns.Load() != 2 {
		t.Error("another host shares the connection")
	}
}

func TestDialAny(t *testing.T) {
	addr := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 443)
	}
	refused, denied := errors.New("refused"), &deniedError{addr: addr(9)}
	tests := map[string]struct {
		errs []error // nil connects; errHang waits for the end
		want int     // the address connected to; 0 for none
		err  error
	}{
		"first":               {errs: []error{nil, nil}, want: 1},
		"second after error":  {errs: []error{refused, nil}, want: 2},
		"second after hang":   {errs: []error{errHang, nil}, want: 2},
		"second after denial": {errs: []error{denied, nil}, want: 2},
		"none":                {errs: []error{refused, refused}, err: refused},
		"denial tells more":   {errs: []error{refused, denied, refused}, err: denied},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var addrs []netip.AddrPort
			for i := range tt.errs {
				addrs = append(addrs, addr(i+1))
			}
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			conn, err := dialAny(ctx, addrs, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				err := tt.errs[a.Addr().As4()[3]-1]
				if err == errHang {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				if err != nil {
					return nil, err
				}
				return &upstreamConn{addr: a}, nil
			})
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if tt.want > 0 && conn.(*upstreamConn).addr != addr(tt.want) {
				t.Errorf("connected to %v", conn.(*upstreamConn).addr)
			}
		})
	}
}

// errHang makes a dial wait until it is cancelled.
var errHang = errors.New("hang")

func TestBodyLimits(t *testing.T) {
	tests := map[string]struct {
		limit   int64
		size    int
		known   bool
		status  int
		reaches bool // whether anything may reach the origin
	}{
		"none":                 {NoLimit, 1 << 20, false, 200, true},
		"known, at limit":      {1000, 1000, true, 200, true},
		"known, over":          {1000, 1001, true, 403, false},
		"unknown, at limit":    {1000, 1000, false, 200, true},
		"unknown, over":        {1000, 1 << 20, false, 403, true},
		"none allowed, known":  {0, 1, true, 403, false},
		"none allowed, hidden": {0, 1, false, 403, false},
		"none allowed, empty":  {0, 0, false, 200, true},
	}
	for name, tt := range tests {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/h2=%t", name, h2), func(t *testing.T) {
				g := newRig(t)
				var arrived atomic.Int64
				var finished atomic.Bool
				g.serveOrigin(t, originProtocols{tls: true, h2: h2}, func(_ http.ResponseWriter, r *http.Request) {
					if !tt.reaches {
						t.Error("the origin was reached")
					}
					n, err := io.Copy(io.Discard, r.Body)
					arrived.Store(n)
					finished.Store(err == nil)
				})
				g.judge.decide = func(*Request) (Verdict, error) {
					return Verdict{Allowed: true, Rule: "small", RuleAt: "p:1", MaxRequestBytes: tt.limit}, nil
				}
				var body io.Reader = bytes.NewReader(make([]byte, tt.size))
				if !tt.known {
					body = io.MultiReader(body) // hides its length
				}
				response, text := do(t, g.client(t, h2), request(t, "POST", "https://a.test/", body))
				if response.StatusCode != tt.status {
					t.Fatalf("got %d %q", response.StatusCode, text)
				}
				result := g.judge.finishes(t, 1)[0].result
				if tt.status == 200 {
					if arrived.Load() != int64(tt.size) || result.Sent != int64(tt.size) || result.Err != nil {
						t.Errorf("%d bytes arrived, result %+v", arrived.Load(), result)
					}
					return
				}
				if finished.Load() || arrived.Load() > max(tt.limit, 0) {
					t.Errorf("%d bytes arrived, as a whole: %t", arrived.Load(), finished.Load())
				}
				if !strings.Contains(text, "small (p:1)") || !strings.Contains(text, fmt.Sprintf("at most %d bytes", tt.limit)) {
					t.Errorf("body is %q", text)
				}
				if diff := cmp.Diff([]refusal{{"a.test", "https", ReasonBody, 403}}, g.judge.refusals()); diff != "" {
					t.Errorf("refusals (-want +got):\n%s", diff)
				}
				if !errors.Is(result.Err, errBodyTooLarge) || !result.Denied {
					t.Errorf("result is %+v", result)
				}
			})
		}
	}
}

func TestBodyLimitAfterTheAnswerBegan(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%t", h2), func(t *testing.T) {
			g := newRig(t)
			var arrived atomic.Int64
			g.serveOrigin(t, originProtocols{tls: true, h2: true}, func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).Flush()
				n, _ := io.Copy(io.Discard, r.Body)
				arrived.Store(n)
			})
			g.judge.decide = func(*Request) (Verdict, error) { return Verdict{Allowed: true, MaxRequestBytes: 10}, nil }
			body, feed := io.Pipe()
			response, err := g.client(t, h2).Do(request(t, "POST", "https://a.test/", body))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			io.WriteString(feed, "12345678901")
			if _, err := io.ReadAll(response.Body); err == nil || os.IsTimeout(err) {
				t.Errorf("the response ended with %v", err)
			}
			_ = feed.Close()
			result := g.judge.finishes(t, 1)[0].result
			if !errors.Is(result.Err, errBodyTooLarge) || !result.Denied || arrived.Load() > 10 {
				t.Errorf("%d bytes arrived, result %+v", arrived.Load(), result)
			}
			if diff := cmp.Diff([]refusal{{"a.test", "https", ReasonBody, 200}}, g.judge.refusals()); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEarlyAnswerToLargeBody(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true, h2: true}, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "who are you?", http.StatusUnauthorized)
	})
	conn := g.raw(t, flowTo("a.test", 443), "a.test")
	const size = 4 << 20
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n", size)
	// This client reads nothing before all is sent.
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if response, body := readResponse(t, bufio.NewReader(conn)); response.StatusCode != http.StatusUnauthorized || body != "who are you?\n" {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
}

// webSocketOrigin answers a handshake, then echoes.
func webSocketOrigin(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/1.1" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Header.Get("Sec-Websocket-Key") != "key" {
			t.Errorf("handshake in %s with %v", r.Proto, r.Header)
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: yes\r\n\r\n")
		_, _ = io.Copy(conn, buf)
	}
}

func TestWebSocket(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			g := newRig(t)
			// In TLS the origin offers HTTP/2 too; the upgrade must not go that way.
			g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: scheme == "https"}, webSocketOrigin(t))
			conn := g.raw(t, flowTo("a.test", 80), "")
			if scheme == "https" {
				conn = g.raw(t, flowTo("a.test", 443), "a.test")
			}
			// The first frame is sent ahead of the answer.
			io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: key\r\n\r\nhello")
			r := bufio.NewReader(conn)
			response, err := http.ReadResponse(r, nil)
			if err != nil || response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-Websocket-Accept") != "yes" {
				t.Fatalf("got %v, %v", response, err)
			}
			for _, word := range []string{"hello", "again"} {
				if word == "again" {
					io.WriteString(conn, word)
				}
				got := make([]byte, len(word))
				if _, err := io.ReadFull(r, got); err != nil || string(got) != word {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			if asked := g.judge.requests()[0]; !asked.WebSocket || asked.Method != "GET" {
				t.Errorf("judged %+v", asked)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			result := g.judge.finishes(t, 1)[0].result
			if result.Status != 101 || result.Sent != 10 || result.Received != 10 || result.Err != nil {
				t.Errorf("result is %+v", result)
			}
		})
	}
}

func TestCloseEndsWebSocket(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{}, webSocketOrigin(t))
	conn := g.raw(t, flowTo("a.test", 80), "")
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: key\r\n\r\n")
	r := bufio.NewReader(conn)
	if response, err := http.ReadResponse(r, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", response, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := g.proxy.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close returned %v", err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection lives on")
	}
	if len(g.judge.finishes(t, 0)) != 1 {
		t.Error("Done was not called")
	}
}

func TestOtherUpgradesAreNotOffered(t *testing.T) {
	for _, upgrade := range []string{"h2c", "tcp", "websocket, h2c"} {
		t.Run(upgrade, func(t *testing.T) {
			g := newRig(t)
			g.serveOrigin(t, originProtocols{}, func(w http.ResponseWriter, r *http.Request) {
				if len(r.Header["Upgrade"])+len(r.Header["Http2-Settings"])+len(r.Header["Connection"]) > 0 {
					t.Errorf("origin got %v", r.Header)
				}
				io.WriteString(w, "plain")
			})
			conn := g.raw(t, flowTo("a.test", 80), "")
			response, body := roundTrip(t, conn, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "+upgrade+"\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
			if response.StatusCode != http.StatusOK || body != "plain" {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
			if g.judge.requests()[0].WebSocket {
				t.Error("judged as WebSocket")
			}
		})
	}
}

func TestUnaskedUpgradeIsNotFollowed(t *testing.T) {
	g := newRig(t)
	g.rawOrigin(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			t.Error(err)
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	response, _ := do(t, g.client(t, false), request(t, "GET", "http://a.test/", nil))
	if response.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d", response.StatusCode)
	}
}
