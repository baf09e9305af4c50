package tlsproxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// matrix runs a test for each pair of protocols towards agent and origin.
func matrix(t *testing.T, run func(t *testing.T, scheme string, agentH2, originH2 bool)) {
	for _, scheme := range []string{"http", "https"} {
		for _, agent := range []bool{false, true} {
			for _, origin := range []bool{false, true} {
				if scheme == "http" && origin != agent {
					continue // without TLS there is nothing by which to agree
				}
				name := fmt.Sprintf("%s/agent-h2=%t/origin-h2=%t", scheme, agent, origin)
				t.Run(name, func(t *testing.T) { run(t, scheme, agent, origin) })
			}
		}
	}
}

func TestForward(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		g := newRig(t)
		g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: originH2}, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("X-Proto", r.Proto)
			w.Header().Set("Content-Type", "text/x-test")
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RequestURI, body)
		})
		client := g.client(t, agentH2)
		response, body := do(t, client, request(t, "PUT", scheme+"://api.test:8443/a/b?c=d", strings.NewReader("hello")))
		if diff := cmp.Diff("PUT api.test:8443 /a/b?c=d hello", body); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}
		if got := response.Header.Get("X-Proto"); got != proto[originH2] {
			t.Errorf("origin was spoken to in %s, want %s", got, proto[originH2])
		}
		if response.Proto != proto[agentH2] || response.StatusCode != http.StatusTeapot {
			t.Errorf("agent got %s %d", response.Proto, response.StatusCode)
		}
		want := []Request{{
			Flow: flowTo("api.test", 8443), ID: firstID(scheme), Scheme: scheme, Proto: proto[agentH2], Method: "PUT",
			Host: "api.test", Port: 8443, Path: "/a/b", Query: "c=d", ContentLength: 5,
		}}
		if diff := cmp.Diff(want, g.judge.requests(), cmp.Comparer(func(a, b Flow) bool { return a == b })); diff != "" {
			t.Errorf("judged requests (-want +got):\n%s", diff)
		}
		result := g.judge.finishes(t, 1)[0].result
		result.Duration = 0
		wantResult := Result{Status: http.StatusTeapot, Upstream: g.origin, Sent: 5, Received: int64(len(body))}
		if result != wantResult {
			t.Errorf("result is %+v, want %+v", result, wantResult)
		}
	})
}

func TestNothingIsAdded(t *testing.T) {
	g := newRig(t)
	got := make(chan string, 1)
	g.rawOrigin(t, func(conn net.Conn) {
		var head strings.Builder
		r := bufio.NewReader(conn)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
			if line == "\r\n" {
				break
			}
		}
		got <- head.String()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	conn := g.raw(t, flowTo("api.test", 80), "")
	response, _ := roundTrip(t, conn, "GET /x HTTP/1.1\r\nHost: API.test\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\n\r\n")
	want := "GET /x HTTP/1.1\r\nHost: API.test\r\nForwarded: for=x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Errorf("upstream request (-want +got):\n%s", diff)
	}
	wantHeader := http.Header{"Content-Length": {"2"}}
	if diff := cmp.Diff(wantHeader, response.Header); diff != "" {
		t.Errorf("response header (-want +got):\n%s", diff)
	}
}

func TestResponseClaims(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Alt-Svc", `h3=":443"`)
		w.Header().Set(denialHeader, "forged")
		w.Header().Set("X-Kept", "yes")
	})
	response, _ := do(t, g.client(t, true), request(t, "GET", "https://api.test/", nil))
	if h := response.Header; h.Get("Alt-Svc") != "" || h.Get(denialHeader) != "" || h.Get("X-Kept") != "yes" {
		t.Errorf("header is %v", h)
	}
}

func TestConnectionsAreForgotten(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true}, func(http.ResponseWriter, *http.Request) {})
	for _, h2 := range []bool{false, true} {
		for range 20 {
			client := g.client(t, h2)
			do(t, client, request(t, "GET", "https://api.test/", nil))
			client.CloseIdleConnections()
		}
	}
	for end := time.Now().Add(deadline); ; runtime.Gosched() {
		g.proxy.mu.Lock()
		left, busy := len(g.proxy.conns), g.proxy.busy
		g.proxy.mu.Unlock()
		if left == 0 && busy == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections and %d requests are kept", left, busy)
		}
	}
}

func TestTargetIsForwardedAsSent(t *testing.T) {
	targets := []string{
		"/", "/?", "/a%2Fb", "/a%2fb/../c", "//double//slash", "/a;b?c;d=e&f", "/%41%7e", "/a|b{c}\"d\"^", "/ü",
		"/a?b=%zz&c=%", "/a?b=c?d", "/.", "/a/", "*", "/a:b@c", `/a\b`, "/x?[a]=1&b=^",
	}
	for _, h2 := range []bool{false, true} {
		for _, target := range targets {
			t.Run(fmt.Sprintf("h2=%t %s", h2, target), func(t *testing.T) {
				g := newRig(t)
				g.serveOrigin(t, originProtocols{tls: true, h2: h2}, func(w http.ResponseWriter, r *http.Request) {
					io.WriteString(w, r.RequestURI)
				})
				method := "GET"
				if target == "*" {
					method = "OPTIONS"
				}
				conn := g.raw(t, flowTo("api.test", 443), "api.test")
				response, body := roundTrip(t, conn, method+" "+target+" HTTP/1.1\r\nHost: api.test\r\n\r\n")
				if target == "*" {
					body = target // net/http's server answers OPTIONS * itself
				}
				if response.StatusCode != http.StatusOK || body != target {
					t.Fatalf("origin got %q (status %d), want %q", body, response.StatusCode, target)
				}
				asked := g.judge.requests()[0]
				path, query, _ := strings.Cut(target, "?")
				if asked.Path != path || asked.Query != query {
					t.Errorf("judged path %q, query %q; want %q, %q", asked.Path, asked.Query, path, query)
				}
			})
		}
	}
}

func TestAbsoluteForm(t *testing.T) {
	for target, want := range map[string]string{
		"http://api.test/a?b=c":  "/a?b=c",
		"HTTP://api.test":        "/",
		"http://api.test?b":      "/?b",
		"http://api.test:80/%2f": "/%2f",
	} {
		t.Run(target, func(t *testing.T) {
			g := newRig(t)
			g.serveOrigin(t, originProtocols{}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
			conn := g.raw(t, flowTo("api.test", 80), "")
			if _, body := roundTrip(t, conn, "GET "+target+" HTTP/1.1\r\nHost: API.test\r\n\r\n"); body != want {
				t.Errorf("origin got %q, want %q", body, want)
			}
			if asked := g.judge.requests()[0]; asked.Host != "api.test" {
				t.Errorf("judged host %q", asked.Host)
			}
		})
	}
}

func TestStreaming(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		g := newRig(t)
		next := make(chan struct{})
		g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: originH2}, func(w http.ResponseWriter, r *http.Request) {
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-next:
				case <-r.Context().Done():
					return
				}
			}
		})
		response, err := g.client(t, agentH2).Do(request(t, "GET", scheme+"://api.test/events", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		r := bufio.NewReader(response.Body)
		for i := range 3 {
			line, err := r.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
				t.Fatalf("event %d is %q, %v", i, line, err)
			}
			if _, err := r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			next <- struct{}{} // only now does the origin go on
		}
		if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
			t.Errorf("rest is %q, %v", rest, err)
		}
	})
}

func TestDuplex(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		g := newRig(t)
		g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: originH2}, func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			if !originH2 {
				if err := rc.EnableFullDuplex(); err != nil {
					t.Error(err)
				}
			}
			_ = rc.Flush()
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				fmt.Fprintf(w, "echo %s\n", lines.Text())
				_ = rc.Flush()
			}
		})
		body, feed := io.Pipe()
		defer feed.Close()
		response, err := g.client(t, agentH2).Do(request(t, "POST", scheme+"://api.test/", body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		r := bufio.NewReader(response.Body)
		for i := range 5 {
			fmt.Fprintf(feed, "%d\n", i)
			line, err := r.ReadString('\n')
			if want := fmt.Sprintf("echo %d\n", i); err != nil || line != want {
				t.Fatalf("got %q, %v; want %q", line, err, want)
			}
		}
	})
}

// pattern is an endless body.
type pattern struct{ n byte }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = p.n
		p.n++
	}
	return len(b), nil
}

func TestLargeBodiesAreNotHeld(t *testing.T) {
	const size = 32 << 20
	want := sha256.New()
	if _, err := io.CopyN(want, &pattern{}, size); err != nil {
		t.Fatal(err)
	}
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%t", h2), func(t *testing.T) {
			g := newRig(t)
			g.serveOrigin(t, originProtocols{tls: true, h2: h2}, func(w http.ResponseWriter, r *http.Request) {
				sum := sha256.New()
				if _, err := io.Copy(sum, r.Body); err != nil {
					t.Error(err)
				}
				w.Header().Set("X-Sum", fmt.Sprintf("%x", sum.Sum(nil)))
				if _, err := io.CopyN(w, &pattern{}, size); err != nil {
					t.Error(err)
				}
			})
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			response, err := g.client(t, h2).Do(request(t, "POST", "https://api.test/", io.LimitReader(&pattern{}, size)))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			sum := sha256.New()
			if _, err := io.Copy(sum, response.Body); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if got := fmt.Sprintf("%x", want.Sum(nil)); got != response.Header.Get("X-Sum") || !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
				t.Error("a body was changed on the way")
			}
			// Client, proxy and origin are all in this process.
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > size/2 {
				t.Errorf("the heap grew by %d bytes for a body of %d", grown, size)
			}
			result := g.judge.finishes(t, 1)[0].result
			if result.Sent != size || result.Received != size || result.Err != nil {
				t.Errorf("result is %+v", result)
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		g := newRig(t)
		g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: originH2}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Grpc-Status")
			if te := r.Header.Get("Te"); te != "trailers" {
				t.Errorf("origin got TE %q", te)
			}
			if _, err := io.Copy(w, r.Body); err != nil {
				t.Error(err)
			}
			w.Header().Set("Grpc-Status", "0")
			w.Header().Set(http.TrailerPrefix+"X-Late", r.Trailer.Get("X-Sum"))
		})
		req := request(t, "POST", scheme+"://api.test/svc/Method", io.MultiReader(strings.NewReader("message")))
		req.Header.Set("Te", "trailers")
		req.Trailer = http.Header{"X-Sum": {"42"}}
		response, body := do(t, g.client(t, agentH2), req)
		want := http.Header{"Grpc-Status": {"0"}, "X-Late": {"42"}}
		if diff := cmp.Diff(want, response.Trailer); diff != "" || body != "message" {
			t.Errorf("body %q; trailers (-want +got):\n%s", body, diff)
		}
	})
}

func TestTrailersWithoutBody(t *testing.T) {
	g := newRig(t)
	g.serveOrigin(t, originProtocols{tls: true, h2: true}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		w.Header().Set("Grpc-Status", "7")
	})
	response, _ := do(t, g.client(t, true), request(t, "POST", "https://api.test/", nil))
	if diff := cmp.Diff(http.Header{"Grpc-Status": {"7"}}, response.Trailer); diff != "" {
		t.Errorf("trailers (-want +got):\n%s", diff)
	}
}

func TestInformationalResponses(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		g := newRig(t)
		g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: originH2}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			io.WriteString(w, "done")
		})
		var hints atomic.Int32
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") != "" {
				hints.Add(1)
			}
			return nil
		}}
		req := request(t, "GET", scheme+"://api.test/", nil)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
		if _, body := do(t, g.client(t, agentH2), req); body != "done" || hints.Load() != 1 {
			t.Errorf("got body %q and %d early hints", body, hints.Load())
		}
	})
}

func TestExpectContinue(t *testing.T) {
	t.Run("accepted", func(t *testing.T) {
		g := newRig(t)
		g.serveOrigin(t, originProtocols{}, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(w, r.Body); err != nil {
				t.Error(err)
			}
		})
		conn := g.raw(t, flowTo("api.test", 80), "")
		r := bufio.NewReader(conn)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		response, err := http.ReadResponse(r, nil)
		if err != nil || response.StatusCode != http.StatusContinue {
			t.Fatalf("first response: %v, %v", response, err)
		}
		io.WriteString(conn, "hello")
		if response, body := readResponse(t, r); response.StatusCode != http.StatusOK || body != "hello" {
			t.Errorf("got %d %q", response.StatusCode, body)
		}
	})
	for name, verdict := range map[string]Verdict{
		"denied":   {Reason: "default"},
		"too-long": {Allowed: true, MaxRequestBytes: 4},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.judge.decide = func(*Request) (Verdict, error) { return verdict, nil }
			conn := g.raw(t, flowTo("api.test", 80), "")
			response, _ := roundTrip(t, conn, "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("got %d without 100 before it, want 403", response.StatusCode)
			}
		})
	}
}

func TestRecordComesFirst(t *testing.T) {
	matrix(t, func(t *testing.T, scheme string, agentH2, originH2 bool) {
		g := newRig(t)
		var arrived, dialled atomic.Int32
		g.serveOrigin(t, originProtocols{tls: scheme == "https", h2: originH2}, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
		lookup := g.judge.lookup
		g.judge.lookup = nil
		g.judge.decide = func(*Request) (Verdict, error) {
			if arrived.Load() != 0 || dialled.Load() != 0 {
				t.Error("the upstream was reached before the decision was recorded")
			}
			return allowed(), nil
		}
		g.judge.lookup = lookup
		g.judge.address = func(*Request, netip.AddrPort) Verdict { dialled.Add(1); return allowed() }
		do(t, g.client(t, agentH2), request(t, "POST", scheme+"://api.test/", strings.NewReader("body")))
		if arrived.Load() != 1 || dialled.Load() != 1 {
			t.Errorf("%d requests arrived, %d dials", arrived.Load(), dialled.Load())
		}
	})
}

func TestUnrecordedIsNotForwarded(t *testing.T) {
	g := newRig(t)
	g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) {
		t.Error("a request that was not recorded went on")
		return nil, false, errors.New("no")
	}
	g.judge.decide = func(*Request) (Verdict, error) { return allowed(), errors.New("disk full") }
	response, body := do(t, g.client(t, false), request(t, "GET", "https://api.test/", nil))
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get(denialHeader) != firstID("https") ||
		!strings.HasPrefix(body, deniedHeadline) || strings.Contains(body, "disk") {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
	if len(g.judge.finishes(t, 0)) != 0 {
		t.Error("Done was called for a request that was not allowed")
	}
}

func TestAgentGoesAway(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%t", h2), func(t *testing.T) {
			g := newRig(t)
			arrived, gone := make(chan struct{}), make(chan struct{})
			g.serveOrigin(t, originProtocols{tls: true, h2: h2}, func(_ http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-r.Context().Done()
				close(gone)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-arrived
				cancel()
			}()
			if _, err := g.client(t, h2).Do(request(t, "GET", "https://api.test/", nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			<-gone
			if result := g.judge.finishes(t, 1)[0].result; !errors.Is(result.Err, errAgentGone) || result.Status != 0 {
				t.Errorf("result is %+v", result)
			}
		})
	}
}

func TestUpstreamBreaksOff(t *testing.T) {
	g := newRig(t)
	g.rawOrigin(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			t.Error(err)
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
	})
	response, err := g.client(t, false).Do(request(t, "GET", "http://api.test/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the agent took a part for the whole")
	}
	if result := g.judge.finishes(t, 1)[0].result; !errors.Is(result.Err, errBrokenOff) || result.Received != 4 {
		t.Errorf("result is %+v", result)
	}
}

func TestUpstreamBreaksOffUnderAnOpenBody(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%t", h2), func(t *testing.T) {
			g := newRig(t)
			g.serveOrigin(t, originProtocols{tls: true}, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack() // net/http would read the body first
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
			})
			body, feed := io.Pipe() // the agent sends nothing, and does not end either
			response, err := g.client(t, h2).Do(request(t, "POST", "https://api.test/", body))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			ended := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(response.Body)
				ended <- err
			}()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the agent took a part for the whole")
				}
			case <-time.After(deadline / 2):
				t.Error("the agent was not told")
			}
			_ = feed.Close()
			if result := g.judge.finishes(t, 1)[0].result; !errors.Is(result.Err, errBrokenOff) {
				t.Errorf("result is %+v", result)
			}
		})
	}
}

func TestClose(t *testing.T) {
	t.Run("waits", func(t *testing.T) {
		g := newRig(t)
		arrived, answer := make(chan struct{}), make(chan struct{})
		g.serveOrigin(t, originProtocols{tls: true}, func(w http.ResponseWriter, _ *http.Request) {
			close(arrived)
			<-answer
			io.WriteString(w, "late")
		})
		closed := make(chan error, 1)
		go func() {
			<-arrived
			go func() { closed <- g.proxy.Close(context.Background()) }()
			for g.proxy.begin() { // until Close has begun
				g.proxy.end()
				runtime.Gosched()
			}
			close(answer)
		}()
		if _, body := do(t, g.client(t, false), request(t, "GET", "https://api.test/", nil)); body != "late" {
			t.Errorf("got %q", body)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if len(g.judge.finishes(t, 0)) != 1 {
			t.Error("Done was not called before Close returned")
		}
	})
	t.Run("cuts short", func(t *testing.T) {
		g := newRig(t)
		arrived := make(chan struct{})
		g.serveOrigin(t, originProtocols{tls: true}, func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
		})
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-arrived
			cancel()
		}()
		failed := make(chan error, 1)
		go func() {
			_, err := g.client(t, false).Do(request(t, "GET", "https://api.test/", nil))
			failed <- err
		}()
		<-arrived
		if err := g.proxy.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close returned %v", err)
		}
		if err := <-failed; err == nil {
			t.Error("the request ended well")
		}
		if conn := g.raw(t, flowTo("api.test", 80), ""); conn != nil {
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("a closed proxy took a connection")
			}
		}
	})
	t.Run("unused", func(t *testing.T) {
		g := newRig(t)
		for range 2 {
			if err := g.proxy.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}
