package tlsproxy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names of the files that WriteTrust makes in its directory.
const (
	bundleName    = "ca-bundle.pem"
	certDirName   = "certs"
	javaStoreName = "cacerts.jks"
	wgetName      = "wgetrc"
	aptName       = "apt.conf"
	phpDirName    = "php"
)

// Trust is what [WriteTrust] made.
type Trust struct {
	// Bundle is the path of the PEM file with the system's roots, the user's
	// own and the session authority.
	Bundle string
	// Env holds the variables to set for the agent, as "NAME=value", sorted.
	// Each replaces a variable of the same name.
	Env []string
	// Warnings says, a sentence each, what of the user's own configuration
	// could not be merged in.
	Warnings []string

	java        string // the trust store; not there where the user's own is in force
	javaOptions string // that point there
}

// bundleVariables name one file with all trusted roots, each for the programs
// that read it.
func bundleVariables() []string {
	return []string{
		"SSL_CERT_FILE",                      // OpenSSL, Go, rustls-native-certs, Python, Ruby, PHP, uv
		"CURL_CA_BUNDLE",                     // curl
		"GIT_SSL_CAINFO",                     // git
		"REQUESTS_CA_BUNDLE",                 // Python requests
		"PIP_CERT",                           // pip
		"HTTPLIB2_CA_CERTS",                  // Python httplib2
		"AWS_CA_BUNDLE",                      // AWS tools
		"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", // gcloud
		"NODE_EXTRA_CA_CERTS",                // Node, Bun
		"NPM_CONFIG_CAFILE",                  // npm
		"DENO_CERT",                          // Deno
		"CODEX_CA_CERTIFICATE",               // codex
		"CARGO_HTTP_CAINFO",                  // cargo
		"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",   // gRPC core
		"NIX_SSL_CERT_FILE",                  // Nix
		"BUNDLE_SSL_CA_CERT",                 // Bundler
		"PERL_LWP_SSL_CA_FILE",               // Perl LWP
	}
}

// WriteTrust writes into dir, which must exist, what makes the agent's programs
// trust the session authority, and returns the environment that points there.
// env is the agent's environment so far ("NAME=value"): what the user has set
// of the same variables is merged in, not lost.
//
// Files are readable by everyone, but for copies of the user's own files, which
// keep their mode; access to dir is the caller's to settle. The files belong to
// the caller, who removes them after the session. No private key is written.
func WriteTrust(dir string, authority *Authority, env []string) (*Trust, error) {
	w := &trustWriter{
		dir:       dir,
		authority: authority,
		env:       newEnviron(env),
		set:       make(map[string]string),
	}
	w.readRoots()
	w.readWget()
	w.readApt()
	w.readJava()
	// The trust store takes longest and needs the roots only: it is made
	// beside the rest.
	java := make(chan error, 1)
	go func() { java <- w.writeJava() }()
	err := errors.Join(w.writeBundle(), w.writeCertDir(), w.writeWget(), w.writeApt(), w.writePHP())
	if err = errors.Join(err, <-java); err != nil {
		return nil, err
	}
	w.setJava()
	return w.trust(), nil
}

// trustWriter is one run of WriteTrust.
type trustWriter struct {
	dir       string
	authority *Authority
	env       environ
	roots     *roots
	wget, apt userFile  // the user's own files, to be extended
	java      javaStore // the user's own store, to be extended

	// set and warnings are not touched beside writeJava.
	set         map[string]string
	javaOptions string
	warnings    []string
}

// path returns the path of a file in the directory.
func (w *trustWriter) path(name string) string { return filepath.Join(w.dir, name) }

// warn notes a sentence for the user.
func (w *trustWriter) warn(format string, args ...any) {
	w.warnings = append(w.warnings, fmt.Sprintf(format, args...))
}

// readRoots reads the system's roots, and those that the user's variables name.
func (w *trustWriter) readRoots() {
	w.roots = systemRoots()
	if len(w.roots.pem) == 0 {
		w.warn("No file with the system's trusted certificates was found; programs in the session trust only what the user names.")
	}
	for _, name := range bundleVariables() {
		if path := w.env[name]; path != "" {
			w.addRoots(name, path)
		}
	}
}

// addRoots adds the certificates of a file that source, a variable or a file,
// names.
func (w *trustWriter) addRoots(source, path string) {
	if err := w.roots.add(path); err != nil {
		w.warn("The certificates that %s names are not trusted in the session: %v.", source, err)
	}
}

// writeBundle writes the roots as one PEM file and points variables to it.
func (w *trustWriter) writeBundle() error {
	bundle := w.roots.bundle(w.authority.pem)
	if err := writeFile(w.path(bundleName), bundle, 0o644); err != nil {
		return err
	}
	for _, name := range bundleVariables() {
		w.set[name] = w.path(bundleName)
	}
	return nil
}

// writeCertDir makes a directory in the form of openssl-rehash(1) that holds
// the authority, to be searched before the user's or the system's.
func (w *trustWriter) writeCertDir() error {
	hash, err := subjectHash(w.authority.cert)
	if err != nil {
		return err
	}
	dir := w.path(certDirName)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make certificate directory: %w", err)
	}
	if err := writeFile(filepath.Join(dir, hash+".0"), w.authority.pem, 0o644); err != nil {
		return err
	}
	value := dir
	if before := w.env["SSL_CERT_DIR"]; before != "" {
		value += ":" + before
	} else if system := systemCertDir(); system != "" {
		value += ":" + system
	}
	w.set["SSL_CERT_DIR"] = value
	return nil
}

// trust returns the result.
func (w *trustWriter) trust() *Trust {
	t := &Trust{Bundle: w.path(bundleName), Warnings: w.warnings, java: w.path(javaStoreName), javaOptions: w.javaOptions}
	for name, value := range w.set {
		t.Env = append(t.Env, name+"="+value)
	}
	slices.Sort(t.Env)
	return t
}

// environ is an environment by name.
type environ map[string]string

// newEnviron reads "NAME=value" pairs; the last of a name counts, as os/exec has
// it.
func newEnviron(env []string) environ {
	e := make(environ, len(env))
	for _, pair := range env {
		if name, value, ok := strings.Cut(pair, "="); ok {
			e[name] = value
		}
	}
	return e
}

// writeFile writes a file in one write, with exactly this mode.
func writeFile(path string, data []byte, mode os.FileMode) error {
	if err := os.WriteFile(path, data, mode); err != nil {
		return fmt.Errorf("write trust file: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask may have taken bits
		return fmt.Errorf("set mode of trust file: %w", err)
	}
	return nil
}
