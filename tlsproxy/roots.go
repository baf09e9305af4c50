package tlsproxy

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// maxUserFile bounds the files of the user that are merged in; the largest
// bundles in use have some 300 kB.
const maxUserFile = 16 << 20

// systemBundles are where distributions keep their roots as one file.
func systemBundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Gentoo, Alpine, NixOS
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6 and later
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL
		"/etc/ssl/cert.pem",                                 // Alpine
	}
}

// systemCertDir returns the directory where OpenSSL looks certificates up by
// hash; empty where there is none.
func systemCertDir() string {
	for _, dir := range []string{"/etc/ssl/certs", "/etc/pki/tls/certs"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}

// roots are trusted certificates: the system's file as it is, and others.
type roots struct {
	pem  []byte      // the system's file
	info os.FileInfo // of that file; nil if there is none

	// der returns the certificates of pem.
	der func() [][]byte

	seen  map[string]error // what add did, by path
	known map[string]bool  // all certificates in DER, once add needs it
	extra [][]byte         // certificates in DER beside those of pem
}

// systemRoots reads the first system file that there is.
func systemRoots() *roots {
	r := &roots{seen: make(map[string]error)}
	for _, path := range systemBundles() {
		data, info, err := readRegular(path)
		if err == nil && len(data) > 0 {
			r.pem, r.info = data, info
			r.seen[path] = nil
			break
		}
	}
	r.der = sync.OnceValue(func() [][]byte { return certificates(r.pem) })
	return r
}

// add adds the certificates of a PEM file. Other blocks in it are ignored.
func (r *roots) add(path string) error {
	err, ok := r.seen[path]
	if !ok {
		err = r.addNew(path)
		r.seen[path] = err
	}
	return err
}

// addNew adds a file that was not added before under this path.
func (r *roots) addNew(path string) error {
	if info, err := os.Stat(path); err == nil && r.info != nil && os.SameFile(info, r.info) {
		return nil
	}
	data, _, err := readRegular(path)
	if err != nil {
		return err
	}
	found := certificates(data)
	if len(found) == 0 {
		return fmt.Errorf("read %s: no PEM certificate found", path)
	}
	r.addDER(found)
	return nil
}

// addDER adds certificates that are not known yet.
func (r *roots) addDER(certs [][]byte) {
	if r.known == nil {
		r.known = make(map[string]bool)
		for _, der := range r.der() {
			r.known[string(der)] = true
		}
	}
	for _, der := range certs {
		if !r.known[string(der)] {
			r.known[string(der)] = true
			r.extra = append(r.extra, der)
		}
	}
}

// bundle returns all roots as one PEM file, and the authority at its end.
func (r *roots) bundle(authority []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(r.pem) + len(authority) + 2048*len(r.extra) + 1)
	b.Write(r.pem)
	if len(r.pem) > 0 && !bytes.HasSuffix(r.pem, []byte("\n")) {
		b.WriteByte('\n')
	}
	for _, der := range r.extra {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	b.Write(authority)
	return b.Bytes()
}

// certificates returns the DER of the certificates in a PEM file.
func certificates(data []byte) [][]byte {
	var certs [][]byte
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return certs
		}
		if block.Type == "CERTIFICATE" {
			certs = append(certs, block.Bytes)
		}
		data = rest
	}
}

// readRegular reads a regular file of bounded size. A name that the user gave
// may also be a pipe, whose open would wait for ever.
func readRegular(path string) ([]byte, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err // it names operation and path
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("read %s: not a regular file", path)
	case info.Size() > maxUserFile:
		return nil, nil, fmt.Errorf("read %s: larger than %d bytes", path, maxUserFile)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, errors.Join(err, errChanged))
	}
	return data, info, nil
}

// errChanged is a file that became shorter while it was read.
var errChanged = errors.New("file changed meanwhile")
