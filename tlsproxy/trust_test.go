package tlsproxy

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeLeaf writes a leaf as PEM.
func writeLeaf(t *testing.T, path string, leaf *tls.Certificate) {
	t.Helper()
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeText writes a file of a test.
func writeText(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readText reads a file of a test.
func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// trustIn runs WriteTrust and returns its result and environment.
func trustIn(t *testing.T, a *Authority, env ...string) (*Trust, environ) {
	t.Helper()
	trust, err := WriteTrust(t.TempDir(), a, env)
	if err != nil {
		t.Fatal(err)
	}
	return trust, newEnviron(trust.Env)
}

func TestTrustEnvironment(t *testing.T) {
	trust, env := trustIn(t, newAuthority(t))
	dir := filepath.Dir(trust.Bundle)
	want := environ{
		"SSL_CERT_DIR":      filepath.Join(dir, "certs") + ":" + systemCertDir(),
		"WGETRC":            filepath.Join(dir, "wgetrc"),
		"PHP_INI_SCAN_DIR":  ":" + filepath.Join(dir, "php"),
		"APT_CONFIG":        filepath.Join(dir, "apt.conf"),
		"JAVA_TOOL_OPTIONS": "-Djavax.net.ssl.trustStore=" + filepath.Join(dir, "cacerts.jks") + " -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=jks",
	}
	for _, name := range bundleVariables() {
		want[name] = trust.Bundle
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if len(trust.Warnings) > 0 {
		t.Errorf("warnings: %q", trust.Warnings)
	}
	info, err := os.Stat(trust.Bundle)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("bundle: %v, %v", info.Mode(), err)
	}
	if system := readText(t, systemBundles()[0]); !strings.HasPrefix(readText(t, trust.Bundle), system) {
		t.Error("the bundle does not hold the system's roots")
	}
	if strings.Contains(readText(t, trust.Bundle), "PRIVATE KEY") {
		t.Error("a private key was written")
	}
}

func TestOpenSSLReadsTrust(t *testing.T) {
	a := newAuthority(t)
	trust, env := trustIn(t, a)
	leaf, err := a.Leaf("api.test")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "leaf.pem")
	writeLeaf(t, file, leaf)
	runTool(t, "openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", trust.Bundle, file)
	certs, _, _ := strings.Cut(env["SSL_CERT_DIR"], ":")
	runTool(t, "openssl", "verify", "-no-CAfile", "-no-CAstore", "-CApath", certs, file)
}

func TestSubjectHash(t *testing.T) {
	// Names with spaces, capitals and long sessions, against OpenSSL's own.
	for _, session := range []string{"s-1", "  Two  Words ", "0123456789abcdef0123456789abcdef"} {
		a, err := NewAuthority(session)
		if err != nil {
			t.Fatal(err)
		}
		got, err := subjectHash(a.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		file := writeText(t, filepath.Join(t.TempDir(), "ca.pem"), string(a.PEM()))
		if want := strings.TrimSpace(runTool(t, "openssl", "x509", "-noout", "-subject_hash", "-in", file)); got != want {
			t.Errorf("hash for %q is %s, want %s", session, got, want)
		}
	}
}

func TestSubjectHashOfSystemRoots(t *testing.T) {
	for _, der := range systemRoots().der()[:6] {
		file := writeText(t, filepath.Join(t.TempDir(), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		cert := parse(t, der)
		got, err := subjectHash(cert)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(runTool(t, "openssl", "x509", "-noout", "-subject_hash", "-in", file)); got != want {
			t.Errorf("hash of %s is %s, want %s", cert.Subject, got, want)
		}
	}
}

func TestUsersRootsAreMerged(t *testing.T) {
	a, corporate, second := newAuthority(t), newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	file := writeText(t, filepath.Join(dir, "corp.pem"), "a note\n"+string(corporate.PEM())+readText(t, systemBundles()[0])+"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	other := writeText(t, filepath.Join(dir, "other.pem"), string(second.PEM()))
	trust, env := trustIn(t, a, "SSL_CERT_FILE="+file, "PIP_CERT="+file, "NODE_EXTRA_CA_CERTS="+other, "SSL_CERT_DIR=/corp/certs", "CURL_CA_BUNDLE="+systemBundles()[0])
	bundle := readText(t, trust.Bundle)
	for name, authority := range map[string]*Authority{"corporate": corporate, "second": second, "session": a} {
		if strings.Count(bundle, string(authority.PEM())) != 1 {
			t.Errorf("the bundle does not hold the %s root once", name)
		}
	}
	if strings.Contains(bundle, "PRIVATE KEY") || strings.Count(bundle, "BEGIN CERT") != len(systemRoots().der())+3 {
		t.Errorf("the bundle holds %d certificates", strings.Count(bundle, "BEGIN CERT"))
	}
	if !strings.HasSuffix(env["SSL_CERT_DIR"], "/certs:/corp/certs") {
		t.Errorf("SSL_CERT_DIR is %q", env["SSL_CERT_DIR"])
	}
}

func TestUnreadableRootsAreSaid(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	trust, _ := trustIn(t, newAuthority(t), "SSL_CERT_FILE="+filepath.Join(dir, "none.pem"), "PIP_CERT="+pipe,
		"AWS_CA_BUNDLE="+writeText(t, filepath.Join(dir, "empty.pem"), "nothing"), "DENO_CERT="+dir)
	for _, name := range []string{"SSL_CERT_FILE", "PIP_CERT", "AWS_CA_BUNDLE", "DENO_CERT"} {
		if !strings.Contains(strings.Join(trust.Warnings, "\n"), "that "+name+" names") {
			t.Errorf("no warning about %s in %q", name, trust.Warnings)
		}
	}
}

func TestWgetAndApt(t *testing.T) {
	a, corporate := newAuthority(t), newAuthority(t)
	home := t.TempDir()
	roots := writeText(t, filepath.Join(home, "corp.pem"), string(corporate.PEM()))
	writeText(t, filepath.Join(home, ".wgetrc"), "tries = 3\nCA-Certificate="+roots)
	apt := writeText(t, filepath.Join(home, "apt"), "Acquire::Retries \"2\";\nacquire::https::CAInfo \""+roots+"\";\n")
	trust, env := trustIn(t, a, "HOME="+home, "APT_CONFIG="+apt)
	want := "tries = 3\nCA-Certificate=" + roots + "\nca_certificate = " + trust.Bundle + "\n"
	if diff := cmp.Diff(want, readText(t, env["WGETRC"])); diff != "" {
		t.Errorf("wgetrc (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(env["WGETRC"]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a copy of the user's file is readable by others: %v, %v", info.Mode(), err)
	}
	if !strings.HasSuffix(readText(t, env["APT_CONFIG"]), "\nAcquire::https::CAInfo \""+trust.Bundle+"\";\n") {
		t.Errorf("apt.conf is %q", readText(t, env["APT_CONFIG"]))
	}
	if strings.Count(readText(t, trust.Bundle), string(corporate.PEM())) != 1 {
		t.Error("roots that the user's files name are lost")
	}
	if got := runTool(t, "env", "APT_CONFIG="+env["APT_CONFIG"], "apt-config", "shell", "V", aptOption); !strings.Contains(got, trust.Bundle) {
		t.Errorf("apt reads %q", got)
	}
}

func TestJavaReadsTrustStore(t *testing.T) {
	_, env := trustIn(t, newAuthority(t))
	store, _, _ := strings.Cut(strings.TrimPrefix(env[javaOptions], javaTrustStore), " ")
	out := runTool(t, "keytool", "-list", "-keystore", store, "-storepass", javaPassword)
	if want := len(systemRoots().der()) + 1; strings.Count(out, "trustedCertEntry") != want {
		t.Errorf("keytool lists %d entries, want %d", strings.Count(out, "trustedCertEntry"), want)
	}
}

func TestUsersJavaStoreIsMerged(t *testing.T) {
	a, corporate := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	cert := writeText(t, filepath.Join(dir, "corp.pem"), string(corporate.PEM()))
	mine := filepath.Join(dir, "my store.jks")
	runTool(t, "keytool", "-importcert", "-noprompt", "-alias", "corp", "-file", cert, "-keystore", mine, "-storepass", "sesame", "-storetype", "JKS")
	user := `-Xmx64m "-Djavax.net.ssl.trustStore=` + mine + `" -Djavax.net.ssl.trustStorePassword=sesame`
	trust, env := trustIn(t, a, javaOptions+"="+user)
	if len(trust.Warnings) > 0 {
		t.Errorf("warnings: %q", trust.Warnings)
	}
	if !strings.HasPrefix(env[javaOptions], user+" "+javaTrustStore) {
		t.Errorf("options are %q", env[javaOptions])
	}
	certs, err := readJavaStore(filepath.Join(filepath.Dir(trust.Bundle), javaStoreName), javaPassword)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, der := range certs {
		if string(der) == string(corporate.Certificate().Raw) || string(der) == string(a.Certificate().Raw) {
			found++
		}
	}
	if found != 2 || len(certs) != len(systemRoots().der())+2 {
		t.Errorf("the store holds %d certificates, %d of the two", len(certs), found)
	}
}

func TestForeignJavaStoreStays(t *testing.T) {
	store := writeText(t, filepath.Join(t.TempDir(), "store"), "not JKS")
	trust, env := trustIn(t, newAuthority(t), javaOptions+"="+javaTrustStore+store)
	if _, ok := env[javaOptions]; ok || len(trust.Warnings) != 1 {
		t.Errorf("options %q, warnings %q", env[javaOptions], trust.Warnings)
	}
}

func TestSplitOptions(t *testing.T) {
	want := []string{"-a", "-b c", "-d=e f", ""}
	if diff := cmp.Diff(want, splitOptions(" -a\t'-b c'  -d=\"e f\" '' ")); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}
