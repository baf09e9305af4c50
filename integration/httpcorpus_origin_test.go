package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	openHost = "open.test" // the corpus's policy allows it
	shutHost = "shut.test" // as long as the other, so that lengths hold
)

// answerAfter is how long the raw origin waits for more of a request that it
// can't make out the end of.
const answerAfter = 50 * time.Millisecond

// rawOrigin is a server that takes whatever comes, keeps every byte, and answers
// as if all were well. What it was asked is found out later, in many ways.
type rawOrigin struct {
	plain, secure, http2 net.Listener // http2 is TLS that agrees to HTTP/2
	pem                  []byte

	mu      sync.Mutex
	streams []*rawStream // guarded by mu
}

// rawStream is what arrived on one connection.
type rawStream struct {
	server string // the TLS server name

	mu   sync.Mutex
	data []byte // guarded by mu
}

// startRawOrigin starts an origin that ends with the test.
func startRawOrigin(t *testing.T) *rawOrigin {
	t.Helper()
	o := &rawOrigin{}
	cert, err := o.certificate()
	if err != nil {
		t.Fatalf("make certificate: %v", err)
	}
	for _, l := range []*net.Listener{&o.plain, &o.secure, &o.http2} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatalf("listen: %v", err)
		}
		t.Cleanup(func() { (*l).Close() })
	}
	old := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	go o.accept(o.plain)
	go o.accept(tls.NewListener(o.secure, old))
	go o.accept(tls.NewListener(o.http2, &tls.Config{Certificates: old.Certificates, NextProtos: []string{"h2"}}))
	return o
}

// certificate makes a certificate for both hosts, which vouches for itself.
func (o *rawOrigin) certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "raw origin"}, DNSNames: []string{openHost, shutHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	o.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// accept serves each connection until the listener is closed.
func (o *rawOrigin) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			o.serve(conn)
		}()
	}
}

// serve keeps what comes on a connection, and answers each request in it.
func (o *rawOrigin) serve(conn net.Conn) {
	s := &rawStream{}
	if secure, ok := conn.(*tls.Conn); ok {
		if err := secure.Handshake(); err != nil {
			return
		}
		s.server = secure.ConnectionState().ServerName
	}
	o.mu.Lock()
	o.streams = append(o.streams, s)
	o.mu.Unlock()
	buf := make([]byte, 64<<10)
	for answered := 0; ; {
		n, err := conn.Read(buf)
		all := s.add(buf[:n])
		var network net.Error
		idle := errors.As(err, &network) && network.Timeout()
		if err != nil && !idle {
			return
		}
		if bytes.HasPrefix(all, []byte(http2Preface)) {
			continue
		}
		found, rest := rawAnswers.split(all)
		if idle && rest != "" {
			return // it never ends
		}
		for ; answered < len(found) && !found[answered].unfinished; answered++ {
			if _, err := conn.Write(found[answered].answer()); err != nil {
				return
			}
		}
		limit := time.Time{}
		if rest != "" {
			limit = time.Now().Add(answerAfter)
		}
		if conn.SetReadDeadline(limit) != nil {
			return
		}
	}
}

// answer returns what the origin says to a request.
func (s seen) answer() []byte {
	if s.tunnels() {
		return []byte("HTTP/1.1 101 Switching Protocols\r\n" + s.switchTo() + "\r\n")
	}
	length := "Content-Length: 2\r\n\r\nok"
	if s.method == "HEAD" {
		length = "Content-Length: 2\r\n\r\n"
	}
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + length)
}

// add appends to the stream and returns all of it.
func (s *rawStream) add(data []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data, data...)
	return bytes.Clone(s.data)
}

// take returns the streams so far, and forgets them.
func (o *rawOrigin) take() []*rawStream {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.streams
	o.streams = nil
	return all
}

// upstream returns the policy's block by which both hosts are this origin.
func (o *rawOrigin) upstream(t *testing.T) string {
	t.Helper()
	dir := asUser.dir(t)
	path := filepath.Join(dir, "ca.pem")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, o.pem, 0o644)); err != nil {
		t.Fatalf("write certificate: %v", err)
	}
	text := fmt.Sprintf("upstream {\n  ca_file = %q\n  resolve = {\n", path)
	for _, host := range []string{openHost, shutHost} {
		text += fmt.Sprintf("    %q = %q\n    %q = %q\n", host+":80", o.plain.Addr(), host+":443", o.secure.Addr())
	}
	return text + "  }\n}\n"
}
