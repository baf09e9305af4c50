package tlsproxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority("s-1")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthorityCertificate(t *testing.T) {
	cert := newAuthority(t).Certificate()
	if cert.Subject.CommonName != "boundary session s-1" {
		t.Errorf("named %q", cert.Subject)
	}
	if !cert.IsCA || cert.MaxPathLen != 0 || !cert.MaxPathLenZero || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Error("no authority for end certificates")
	}
	now := time.Now()
	if cert.NotBefore.After(now.Add(-clockSlack+time.Minute)) || cert.NotAfter.After(now.Add(authorityLife+time.Minute)) {
		t.Errorf("valid from %v to %v", cert.NotBefore, cert.NotAfter)
	}
}

func TestLeafVerifies(t *testing.T) {
	a := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	long := strings.Repeat("a.", 60) + "test"
	for _, host := range []string{"api.test", "my_host.test", "xn--bcher-kva.test", "192.0.2.1", "2001:db8::1", long} {
		leaf, err := a.Leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if err := leaf.Leaf.VerifyHostname("sub." + host); err == nil {
			t.Errorf("the leaf for %s serves another name", host)
		}
	}
}

// runTool runs a program that the tests compare with.
func runTool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("run %s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestOpenSSLVerifiesStrictly(t *testing.T) {
	a := newAuthority(t)
	leaf, err := a.Leaf("api.test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	leafFile := filepath.Join(dir, "leaf.pem")
	writeLeaf(t, leafFile, leaf)
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	runTool(t, "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "api.test", "-CAfile", caFile, leafFile)
}

func TestLeafIsMintedOnce(t *testing.T) {
	cache := newLeafCache(10)
	var minted atomic.Int32
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			<-start
			host := fmt.Sprintf("host-%d", i%4)
			cert, err := cache.get(host, func(string) (*tls.Certificate, error) {
				minted.Add(1)
				return &tls.Certificate{OCSPStaple: []byte(host)}, nil
			})
			if err != nil || string(cert.OCSPStaple) != host {
				t.Errorf("%s: got %v, %v", host, cert, err)
			}
		})
	}
	close(start)
	wg.Wait()
	if minted.Load() != 4 {
		t.Errorf("minted %d times for 4 hosts", minted.Load())
	}
}

func TestLeafCacheForgets(t *testing.T) {
	cache := newLeafCache(2)
	var minted []string
	mint := func(host string) (*tls.Certificate, error) {
		minted = append(minted, host)
		return new(tls.Certificate), nil
	}
	for _, host := range []string{"a", "b", "a", "c", "a", "b"} {
		if _, err := cache.get(host, mint); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(minted, ""); got != "abcb" {
		t.Errorf("minted %s, want abcb", got)
	}
	if got := cache.recent.Len(); got != 2 || len(cache.byHost) != 2 {
		t.Errorf("keeps %d and %d", got, len(cache.byHost))
	}
	failure := errors.New("no")
	for range 2 {
		_, err := cache.get("d", func(string) (*tls.Certificate, error) {
			minted = append(minted, "d")
			return nil, failure
		})
		if !errors.Is(err, failure) {
			t.Errorf("got %v", err)
		}
	}
	if got := strings.Join(minted, ""); got != "abcbdd" {
		t.Errorf("a failure was kept: %s", got)
	}
}
