package tlsproxy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

const (
	// authorityLife is how long a session's certificates are valid.
	authorityLife = 7 * 24 * time.Hour
	// clockSlack is how far back certificates are dated, for clients (often
	// in other containers) whose clocks run behind.
	clockSlack = time.Hour
)

// Authority is the certificate authority of one session. Its private key exists
// in this value only, is never written, and dies with it.
//
// An Authority may be used concurrently.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte

	leafKey func() (*ecdsa.PrivateKey, error)
	leaves  *leafCache
}

// NewAuthority makes the authority of a session. Its certificate is valid for
// seven days, may sign end certificates only (path length 0), and is named for
// the session.
func NewAuthority(session string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate authority key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "boundary session " + session},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          id,
		AuthorityKeyId:        id,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign authority certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse authority certificate: %w", err)
	}
	return &Authority{
		key:     key,
		cert:    cert,
		pem:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		leafKey: sync.OnceValues(newLeafKey),
		leaves:  newLeafCache(maxLeaves),
	}, nil
}

// Certificate returns the authority's certificate. It must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// PEM returns the authority's certificate in PEM form, in a copy that the
// caller owns.
func (a *Authority) PEM() []byte { return append([]byte(nil), a.pem...) }

// Leaf returns the certificate for exactly this DNS name or IP literal,
// canonical and without port. It is made on first use and then kept; handshakes
// that ask for one name at the same time wait for one certificate. All leaves
// share one key, which never leaves the proxy.
func (a *Authority) Leaf(host string) (*tls.Certificate, error) {
	return a.leaves.get(host, a.mint)
}

// mint signs a leaf for host.
func (a *Authority) mint(host string) (*tls.Certificate, error) {
	key, err := a.leafKey()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             a.cert.NotBefore,
		NotAfter:              a.cert.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          id,
		AuthorityKeyId:        a.cert.SubjectKeyId,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	if len(host) <= maxCommonName {
		template.Subject = pkix.Name{CommonName: host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate for %q: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate for %q: %w", host, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// maxCommonName is ub-common-name of RFC 5280 appendix A.1.
const maxCommonName = 64

// newLeafKey makes the key that the session's leaves share.
func newLeafKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate leaf key: %w", err)
	}
	return key, nil
}

// newSerial makes a random certificate serial number: positive and at most 20
// octets, as RFC 5280 §4.1.2.2 asks.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

// keyID derives a key identifier from a public key, by method 1 of RFC 7093 §2.
func keyID(key crypto.PublicKey) ([]byte, error) {
	spki, err := marshalPublic(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki)
	return sum[:20], nil
}

// marshalPublic returns a public key as SubjectPublicKeyInfo in DER.
func marshalPublic(key crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("marshal public key: %w", err)
	}
	return spki, nil
}
