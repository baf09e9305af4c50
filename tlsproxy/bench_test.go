package tlsproxy

import (
	"crypto/x509"
	"io"
	"net/http"
	"strconv"
	"testing"
)

// parse reads a certificate.
func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func BenchmarkNewAuthority(b *testing.B) {
	for b.Loop() {
		if _, err := NewAuthority("bench"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMintLeaf(b *testing.B) {
	a := newAuthority(b)
	n := 0
	for b.Loop() {
		if _, err := a.Leaf("host-" + strconv.Itoa(n) + ".test"); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkWriteTrust(b *testing.B) {
	a := newAuthority(b)
	dir := b.TempDir()
	for b.Loop() {
		if _, err := WriteTrust(dir, a, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProxiedRequest(b *testing.B) {
	for name, h2 := range map[string]bool{"http1": false, "http2": true} {
		b.Run(name, func(b *testing.B) {
			g := newRig(b)
			g.serveOrigin(b, originProtocols{tls: true, h2: h2}, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
			client := g.client(b, h2)
			for b.Loop() {
				do(b, client, request(b, "GET", "https://a.test/", nil))
			}
		})
	}
}

func BenchmarkProxiedUpload(b *testing.B) {
	const size = 16 << 20
	for name, length := range map[string]int64{"length": size, "chunked": -1} {
		b.Run(name, func(b *testing.B) {
			g := newRig(b)
			g.serveOrigin(b, originProtocols{tls: true}, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
			})
			client := g.client(b, false)
			b.SetBytes(size)
			for b.Loop() {
				req := request(b, "POST", "https://a.test/", io.LimitReader(&pattern{}, size))
				req.ContentLength = length
				if response, _ := do(b, client, req); response.StatusCode != http.StatusOK {
					b.Fatalf("got status %d", response.StatusCode)
				}
			}
		})
	}
}

func BenchmarkProxiedDownload(b *testing.B) {
	const size = 16 << 20
	g := newRig(b)
	g.serveOrigin(b, originProtocols{tls: true}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.CopyN(w, &pattern{}, size)
	})
	client := g.client(b, false)
	b.SetBytes(size)
	for b.Loop() {
		response, err := client.Do(request(b, "GET", "https://a.test/", nil))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n != size {
			b.Fatalf("read %d bytes: %v", n, err)
		}
		if err := response.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
