package tlsproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline bounds every wait of a test. It is long for machines under load.
const deadline = time.Minute

// fakeJudge is a Judge whose answers a test sets, and which keeps what it was
// told.
type fakeJudge struct {
	decide  func(*Request) (Verdict, error)
	address func(*Request, netip.AddrPort) Verdict
	lookup  func(host string, port uint16) ([]netip.AddrPort, bool, error)
	connect func(*Request) Way
	refuse  error // what Refused returns

	mu      sync.Mutex
	ids     int       // guarded by mu
	asked   []Request // guarded by mu
	refused []refusal // guarded by mu
	done    []finish  // guarded by mu
	changed chan struct{}
}

// refusal is one call of Refused.
type refusal struct {
	Host, Scheme, Reason string
	Status               int
}

// finish is one call of Done.
type finish struct {
	request *Request
	result  Result
}

func (j *fakeJudge) NewID() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ids++
	return fmt.Sprintf("id-%d", j.ids)
}

func (j *fakeJudge) CanonicalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String(), nil
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || strings.ContainsAny(host, "/@ :") {
		return "", errors.New("no host name")
	}
	return host, nil
}

func (j *fakeJudge) Request(_ context.Context, req *Request) (Verdict, error) {
	j.mu.Lock()
	j.asked = append(j.asked, *req)
	j.mu.Unlock()
	j.signal()
	if j.decide != nil {
		return j.decide(req)
	}
	return allowed(), nil
}

func (j *fakeJudge) Connect(_ context.Context, req *Request, _ int) (Way, Verdict, error) {
	if j.connect == nil {
		return WayRead, Verdict{}, nil
	}
	j.mu.Lock()
	j.asked = append(j.asked, *req)
	j.mu.Unlock()
	return j.connect(req), Verdict{Reason: "default"}, nil
}

func (j *fakeJudge) Refused(_ context.Context, req *Request, verdict Verdict, status int) error {
	j.mu.Lock()
	j.refused = append(j.refused, refusal{req.Host, req.Scheme, verdict.Reason, status})
	j.mu.Unlock()
	j.signal()
	return j.refuse
}

func (j *fakeJudge) Address(req *Request, addr netip.AddrPort) Verdict {
	if j.address != nil {
		return j.address(req, addr)
	}
	return allowed()
}

func (j *fakeJudge) Lookup(_ context.Context, host string, port uint16) ([]netip.AddrPort, bool, error) {
	return j.lookup(host, port)
}

func (j *fakeJudge) Done(req *Request, result Result) {
	j.mu.Lock()
	j.done = append(j.done, finish{req, result})
	j.mu.Unlock()
	j.signal()
}

// signal wakes those who wait for a change.
func (j *fakeJudge) signal() {
	select {
	case j.changed <- struct{}{}:
	default:
	}
}

// requests returns what was put to Request.
func (j *fakeJudge) requests() []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Request(nil), j.asked...)
}

// refusals returns what was put to Refused.
func (j *fakeJudge) refusals() []refusal {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]refusal(nil), j.refused...)
}

// finishes waits until Done was called n times, and returns the calls.
func (j *fakeJudge) finishes(t testing.TB, n int) []finish {
	t.Helper()
	for end := time.After(deadline); ; {
		j.mu.Lock()
		done := append([]finish(nil), j.done...)
		j.mu.Unlock()
		if len(done) >= n {
			return done
		}
		select {
		case <-j.changed:
		case <-end:
			t.Fatalf("Done was called %d times, want %d", len(done), n)
		}
	}
}

// waitRefusals waits until Refused was called n times.
func (j *fakeJudge) waitRefusals(t testing.TB, n int) []refusal {
	t.Helper()
	for end := time.After(deadline); ; {
		refused := j.refusals()
		if len(refused) >= n {
			return refused
		}
		select {
		case <-j.changed:
		case <-end:
			t.Fatalf("Refused was called %d times, want %d", len(refused), n)
		}
	}
}

// firstID is the ID of the first request on a connection: in TLS the connection
// itself was asked about before.
func firstID(scheme string) string {
	if scheme == "https" {
		return "id-2"
	}
	return "id-1"
}

// allowed is a verdict without limits.
func allowed() Verdict { return Verdict{Allowed: true, Rule: "test", MaxRequestBytes: NoLimit} }

// rig is a proxy with one origin behind it.
type rig struct {
	judge   *fakeJudge
	proxy   *Proxy
	session *Authority // trusted by clients
	outside *Authority // signs origins
	origin  netip.AddrPort
}

// newRig makes a proxy; every host is looked up as the rig's origin.
func newRig(t testing.TB) *rig {
	t.Helper()
	session, err := NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	outside, err := NewAuthority("outside")
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{session: session, outside: outside}
	g.judge = &fakeJudge{changed: make(chan struct{}, 1)}
	g.judge.lookup = func(string, uint16) ([]netip.AddrPort, bool, error) {
		return []netip.AddrPort{g.origin}, false, nil
	}
	g.proxy, err = New(Config{Authority: session, Judge: g.judge, ExtraRoots: outside.PEM()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // the tests have their answers; what still runs is to end
		_ = g.proxy.Close(ctx)
	})
	return g
}

// originProtocols says what an origin speaks.
type originProtocols struct {
	tls, h2 bool
}

// serveOrigin starts the rig's origin.
func (g *rig) serveOrigin(t testing.TB, speaks originProtocols, handler http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.origin = netip.MustParseAddrPort(listener.Addr().String())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(speaks.tls || !speaks.h2)
	protocols.SetHTTP2(speaks.tls && speaks.h2)
	protocols.SetUnencryptedHTTP2(!speaks.tls && speaks.h2)
	server := &http.Server{Handler: handler, Protocols: protocols, ErrorLog: discardLog()}
	t.Cleanup(func() { _ = server.Close() })
	if !speaks.tls {
		go func() { _ = server.Serve(listener) }()
		return
	}
	server.TLSConfig = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := hello.ServerName
		if name == "" {
			name = "127.0.0.1"
		}
		return g.outside.Leaf(name)
	}}
	go func() { _ = server.ServeTLS(listener, "", "") }()
}

// rawOrigin starts an origin that handles bare connections.
func (g *rig) rawOrigin(t testing.TB, handle func(net.Conn)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.origin = netip.MustParseAddrPort(listener.Addr().String())
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
}

// connect makes a connection of the agent for a flow, and gives its other end to
// the proxy.
func (g *rig) connect(flow Flow) (net.Conn, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	server, err := listener.Accept()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	go g.proxy.Serve(server, flow)
	return client, nil
}

// flowTo is the flow of a connection to a name and port.
func flowTo(host string, port uint16) Flow {
	flow := Flow{Dialled: netip.AddrPortFrom(netip.MustParseAddr("198.18.0.7"), port), Name: host, Process: "test"}
	if addr, err := netip.ParseAddr(host); err == nil {
		flow.Name, flow.Dialled = "", netip.AddrPortFrom(addr, port)
	}
	return flow
}

// client returns an HTTP client whose connections go through the proxy.
func (g *rig) client(t testing.TB, h2 bool) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(g.session.Certificate())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	protocols.SetUnencryptedHTTP2(h2)
	transport := &http.Transport{
		Protocols:             protocols,
		DisableCompression:    true,
		TLSClientConfig:       &tls.Config{RootCAs: roots},
		ExpectContinueTimeout: deadline,
		DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			number, err := net.LookupPort("tcp", port)
			if err != nil {
				return nil, err
			}
			return g.connect(flowTo(host, uint16(number)))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       deadline,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// raw opens a connection for a flow, in TLS for a server name if there is one.
func (g *rig) raw(t testing.TB, flow Flow, serverName string) net.Conn {
	t.Helper()
	conn, err := g.connect(flow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	if serverName == "" {
		return conn
	}
	roots := x509.NewCertPool()
	roots.AddCert(g.session.Certificate())
	return tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: serverName})
}

// roundTrip writes raw bytes to a connection and reads one response.
func roundTrip(t testing.TB, conn net.Conn, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, bufio.NewReader(conn))
}

// readResponse reads one response and its body.
func readResponse(t testing.TB, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// do sends a request and reads the whole response.
func do(t testing.TB, client *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// request makes a request for a test.
func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
