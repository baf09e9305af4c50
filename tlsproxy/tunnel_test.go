package tlsproxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// connectTo opens a tunnel and returns what is within.
func connectTo(t *testing.T, conn net.Conn, target, fields string) net.Conn {
	t.Helper()
	io.WriteString(conn, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n"+fields+"\r\n")
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT was answered by %+v, %v", response, err)
	}
	return conn
}

// TestTunnel opens a tunnel as a program does that is set up to use a proxy:
// what it carries is judged as if there were none.
func TestTunnel(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			g := newRig(t)
			g.judge.connect = func(*Request) Way { return WayRead }
			g.serveOrigin(t, originProtocols{tls: scheme == "https"}, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.Host+r.RequestURI+r.Header.Get("Proxy-Authorization"))
			})
			port := map[string]string{"http": "80", "https": "443"}[scheme]
			conn := connectTo(t, g.raw(t, flowTo("proxy.corp", 3128), ""), "api.test:"+port, "Proxy-Authorization: Basic c2VjcmV0\r\n")
			if scheme == "https" {
				roots := x509.NewCertPool()
				roots.AddCert(g.session.Certificate())
				conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "api.test"})
			}
			for range 2 {
				if _, body := roundTrip(t, conn, "GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n"); body != "api.test/x" {
					t.Errorf("got %q", body)
				}
			}
			asked := g.judge.requests()
			if len(asked) < 3 || asked[0].Method != "CONNECT" || asked[len(asked)-1].Host != "api.test" || asked[len(asked)-1].Scheme != scheme {
				t.Errorf("judged %+v", asked)
			}
			if response, _ := roundTrip(t, conn, "CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n"); response.StatusCode != http.StatusForbidden {
				t.Errorf("a tunnel within a tunnel was answered by %d", response.StatusCode)
			}
		})
	}
}

// TestTunnelRefused refuses what may not be connected to, and what is no target.
func TestTunnelRefused(t *testing.T) {
	for target, status := range map[string]int{
		"denied.test:22": 403, "denied.test": 400, "denied.test:": 400, ":443": 400, "denied.test:0": 400, "denied.test:99999": 400,
		"user@denied.test:443": 400, "/path": 400, "http://denied.test:80/": 400,
	} {
		t.Run(target, func(t *testing.T) {
			g := closedRig(t)
			g.judge.connect = func(*Request) Way { return WayDeny }
			conn := g.raw(t, flowTo("proxy.corp", 3128), "")
			response, body := roundTrip(t, conn, "CONNECT "+target+" HTTP/1.1\r\nHost: denied.test\r\n\r\n")
			if response.StatusCode != status || !strings.HasPrefix(body, deniedHeadline) {
				t.Errorf("got %d %q, want %d", response.StatusCode, body, status)
			}
			if asked, refused := g.judge.requests(), g.judge.refusals(); len(asked)+len(refused) != 1 {
				t.Errorf("judged %+v, refused %+v", asked, refused)
			}
		})
	}
}

// TestProxiedRequest judges a request in absolute form by the host, port and
// scheme that it names, whatever was dialled.
func TestProxiedRequest(t *testing.T) {
	type judged struct {
		Scheme, Host, Path string
		Port               uint16
	}
	for target, want := range map[string]judged{
		"http://api.test/a?b":     {"http", "api.test", "/a", 80},
		"http://api.test:8080/a":  {"http", "api.test", "/a", 8080},
		"HTTPS://Api.test/a":      {"https", "api.test", "/a", 443},
		"https://api.test:8443/a": {"https", "api.test", "/a", 8443},
		"http://192.0.2.1/a":      {"http", "192.0.2.1", "/a", 80},
	} {
		t.Run(target, func(t *testing.T) {
			g := newRig(t)
			g.serveOrigin(t, originProtocols{tls: want.Scheme == "https"}, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.RequestURI+r.Header.Get("Proxy-Authorization")+r.Header.Get("Proxy-Connection"))
			})
			conn := g.raw(t, flowTo("proxy.corp", 3128), "")
			host := strings.Split(target, "/")[2]
			_, body := roundTrip(t, conn, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nProxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\n\r\n")
			if !strings.HasPrefix(body, "/a") || strings.Contains(body, "Basic") || strings.Contains(body, "keep") {
				t.Errorf("origin saw %q", body)
			}
			asked := g.judge.requests()[0]
			if diff := cmp.Diff(want, judged{asked.Scheme, asked.Host, asked.Path, asked.Port}); diff != "" {
				t.Errorf("judged (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRelay carries TLS untouched where the Judge says so: the agent gets the
// origin's own certificate.
func TestRelay(t *testing.T) {
	g := newRig(t)
	g.judge.connect = func(req *Request) Way {
		if req.Host == "pinned.test" {
			return WayRelay
		}
		return WayRead
	}
	g.serveOrigin(t, originProtocols{tls: true}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	for host, authority := range map[string]*Authority{"pinned.test": g.outside, "read.test": g.session} {
		roots := x509.NewCertPool()
		roots.AddCert(authority.Certificate())
		conn := tls.Client(g.raw(t, flowTo(host, 443), ""), &tls.Config{RootCAs: roots, ServerName: host})
		if _, body := roundTrip(t, conn, "GET / HTTP/1.1\r\nHost: inner.test\r\nConnection: close\r\n\r\n"); host == "pinned.test" && body != "inner.test" {
			t.Errorf("got %q", body)
		}
		conn.Close()
	}
	done := g.judge.finishes(t, 1)
	if len(done) != 1 || done[0].request.Scheme != "tls" || done[0].result.Sent == 0 || done[0].result.Received == 0 || done[0].result.Upstream != g.origin {
		t.Errorf("reported %+v", done)
	}
}
