package tlsproxy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"
)

const (
	// continueTimeout is how long a body waits for an upstream's 100 Continue.
	continueTimeout = time.Second
	// upstreamBufferBytes is how much of a response is read at once: fewer
	// system calls for large downloads.
	upstreamBufferBytes = 16 << 10
)

// pools are the connections to upstreams. They are shared between requests to
// one scheme, host and port; gotConn checks each use.
type pools struct {
	usual *http.Transport
	// prior speaks HTTP/2 without TLS, and nothing else: whoever speaks it to
	// us knows of a server that does (RFC 9113 §3.3), and such a server need
	// not know HTTP/1.
	prior *http.Transport
}

// newPools makes the pools, which are empty.
func (p *Proxy) newPools() (*pools, error) {
	usual, err := p.newTransport()
	if err != nil {
		return nil, err
	}
	prior := usual.Clone()
	prior.Proxy = nil // it asks for a tunnel itself: the proxy may know HTTP/1 only
	prior.DialContext = p.dialPrior
	prior.Protocols = new(http.Protocols)
	prior.Protocols.SetUnencryptedHTTP2(true)
	made := &pools{usual, prior}
	p.made.Store(made)
	return made, nil
}

// of returns the pool for a request.
func (u *pools) of(ex *exchange) *http.Transport {
	if ex.priorKnowledge() {
		return u.prior
	}
	return u.usual
}

// newTransport makes a pool.
func (p *Proxy) newTransport() (*http.Transport, error) {
	var roots *x509.CertPool // nil: the system's, read when first needed
	if len(p.extra) > 0 {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read system roots: %w", err)
		}
		roots.AppendCertsFromPEM(p.extra)
	}
	return &http.Transport{
		DialContext:            p.dial,
		Proxy:                  p.proxyOfRequest,
		OnProxyConnectResponse: checkTunnel,
		TLSClientConfig: &tls.Config{
			RootCAs:            roots,
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		},
		TLSHandshakeTimeout:   dialTimeout,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // else it would ask for gzip and unpack it
		ExpectContinueTimeout: continueTimeout,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
		ReadBufferSize:        upstreamBufferBytes,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 30 * time.Second},
	}, nil
}

// closeUpstream closes the pooled connections, if there ever was a pool.
func (p *Proxy) closeUpstream() {
	if made := p.made.Load(); made != nil {
		made.usual.CloseIdleConnections()
		made.prior.CloseIdleConnections()
	}
}
