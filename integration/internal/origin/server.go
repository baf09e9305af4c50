package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// keptBody is how much of a request's body a Request keeps.
const keptBody = 64 << 10

// Request is one request that reached the server.
type Request struct {
	Method   string
	Host     string // as the client sent it, without the port
	Path     string // escaped, as sent
	Query    string
	Proto    string // "HTTP/1.1" or "HTTP/2.0"
	TLS      bool
	Body     []byte // at most its first 64 KiB
	BodySize int64
}

// String returns the request in one line.
func (r Request) String() string {
	scheme := "http"
	if r.TLS {
		scheme = "https"
	}
	return fmt.Sprintf("%s %s://%s%s (%s, %d bytes)", r.Method, scheme, r.Host, r.Path, r.Proto, r.BodySize)
}

// Options says how a server is started. The zero value is of use.
type Options struct {
	// HTTP and TLS are the listeners to serve on; the server closes them.
	// Nil is a free port of 127.0.0.1.
	HTTP, TLS net.Listener
	// Handler answers in place of the server's own pages.
	Handler http.Handler
	// Extra are pages beside the server's own, by pattern of http.ServeMux.
	Extra map[string]http.Handler
	// Repositories is a folder with bare git repositories, served to
	// `git clone` at /NAME.git. Empty serves none.
	Repositories string
	// Protocols are what is spoken on the listener without TLS. Nil is
	// HTTP/1.
	Protocols *http.Protocols
	// IdleTimeout is how long a connection without a request is kept.
	// Zero keeps it for a minute.
	IdleTimeout time.Duration
}

// Server is an origin that listens.
type Server struct {
	// Authority signs the server's certificates.
	Authority *Authority

	httpAddr, tlsAddr string
	handler           http.Handler
	servers           []*http.Server
	served            sync.WaitGroup

	mu       sync.Mutex
	requests []Request // in order of arrival, guarded by mu
}

// Start starts a server. The caller closes it.
func Start(options Options) (*Server, error) {
	authority, err := NewAuthority()
	if err != nil {
		return nil, err
	}
	plain, err := listener(options.HTTP)
	if err != nil {
		return nil, err
	}
	secure, err := listener(options.TLS)
	if err != nil {
		plain.Close()
		return nil, err
	}
	s := &Server{
		Authority: authority,
		httpAddr:  plain.Addr().String(),
		tlsAddr:   secure.Addr().String(),
		handler:   options.Handler,
	}
	if s.handler == nil {
		s.handler = withExtra(options.Extra, pages(options.Repositories))
	}
	if options.IdleTimeout == 0 {
		options.IdleTimeout = time.Minute
	}
	s.serve(plain, options.IdleTimeout, func(h *http.Server, l net.Listener) error {
		h.Protocols = options.Protocols
		return h.Serve(l)
	})
	s.serve(secure, options.IdleTimeout, func(h *http.Server, l net.Listener) error {
		h.TLSConfig = authority.TLS()
		return h.ServeTLS(l, "", "")
	})
	return s, nil
}

// withExtra answers by the extra pages, and by own where none of them fits.
func withExtra(extra map[string]http.Handler, own http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, page := range extra {
		mux.Handle(pattern, page)
	}
	mux.Handle("/", own)
	return mux
}

// listener returns l, or a new one on a free port where l is nil.
func listener(l net.Listener) (net.Listener, error) {
	if l != nil {
		return l, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open origin listener: %w", err)
	}
	return l, nil
}

// serve answers on l in a goroutine of its own until Close.
func (s *Server) serve(l net.Listener, idle time.Duration, run func(*http.Server, net.Listener) error) {
	server := &http.Server{
		Handler:           http.HandlerFunc(s.record),
		ReadHeaderTimeout: idle, // of a connection that was never used, too
		IdleTimeout:       idle,
		ErrorLog:          discard(),
	}

	s.servers = append(s.servers, server)
	s.served.Go(func() {
		if err := run(server, l); !errors.Is(err, http.ErrServerClosed) {
			s.note(Request{Method: "SERVE", Path: err.Error()})
		}
	})
}

// record keeps the request and then has it answered. The body is recorded as
// far as it was read by the time that the answer is complete; the request
// itself is there from the start.
func (s *Server) record(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	at := s.note(Request{
		Method: r.Method, Host: host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		Proto: r.Proto, TLS: r.TLS != nil,
	})
	body := &tee{from: r.Body}
	r.Body = body
	s.handler.ServeHTTP(w, r)

	s.mu.Lock()
	defer s.mu.Unlock()
	if at < len(s.requests) {
		s.requests[at].Body, s.requests[at].BodySize = body.kept.Bytes(), body.size
	}
}

// note appends a request and returns its place.
func (s *Server) note(r Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	return len(s.requests) - 1
}

// HTTPAddr returns the address and port of the HTTP listener.
func (s *Server) HTTPAddr() string { return s.httpAddr }

// TLSAddr returns the address and port of the HTTPS listener.
func (s *Server) TLSAddr() string { return s.tlsAddr }

// Requests returns the requests for a host so far, or all where host is
// empty.
func (s *Server) Requests(host string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if host == "" {
		return slices.Clone(s.requests)
	}
	var found []Request
	for _, r := range s.requests {
		if strings.EqualFold(r.Host, host) {
			found = append(found, r)
		}
	}
	return found
}

// Upstream returns the `upstream` block of a policy under which the names are
// this server, on port 80 and on port 443. The authority's certificate is to
// be found in caFile.
func (s *Server) Upstream(caFile string, names ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "upstream {\n  ca_file = %q\n  resolve = {\n", caFile)
	for _, name := range names {
		fmt.Fprintf(&b, "    %q = %q\n", name+":80", s.httpAddr)
		fmt.Fprintf(&b, "    %q = %q\n", name+":443", s.tlsAddr)
	}
	b.WriteString("  }\n}\n")
	return b.String()
}

// Close ends all connections and waits for the listeners.
func (s *Server) Close() error {
	var errs []error
	for _, server := range s.servers {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, server.Close())
		}
		cancel()
	}
	s.served.Wait()
	return errors.Join(errs...)
}

// tee counts what is read of a body and keeps the beginning.
type tee struct {
	from io.ReadCloser
	kept bytes.Buffer
	size int64
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.size += int64(n)
	if room := keptBody - t.kept.Len(); room > 0 {
		t.kept.Write(p[:min(n, room)])
	}
	return n, err
}

// Close implements io.Closer.
func (t *tee) Close() error { return t.from.Close() }
