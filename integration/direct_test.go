package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// TestClientsDirect runs the same clients without boundary, in a namespace
// where the origin holds the standard ports. It proves that the other tests
// would notice: each client works, says so when it is answered 403, and does
// reach the attacker when nothing stops it.
func TestClientsDirect(t *testing.T) {
	outside := newWorld(t, origin.Options{Repositories: repositories(t), Extra: newClientPages().handlers(t)})
	env := trust(t, outside.origin)
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			status, out := direct(t, outside, env, c.command(t, "GET", c.address(allowedHost, "/repos/x/y/pulls/1")))
			if status != 0 || !strings.Contains(out, marker) {
				t.Errorf("allowed request: status %d\n%s", status, out)
			}
			refused := c
			refused.page = "/status/403"
			status, out = direct(t, outside, env, c.command(t, "GET", refused.address(allowedHost, "")))
			if status != c.refused || !strings.Contains(out, "403") {
				t.Errorf("request answered by 403: status %d, want %d\n%s", status, c.refused, out)
			}
			before := len(outside.origin.Requests(deniedHost))
			status, out = direct(t, outside, env, c.command(t, "POST", c.address(deniedHost, "/")))
			if status != 0 || len(outside.origin.Requests(deniedHost)) == before {
				t.Errorf("the attacker was not reached: status %d\n%s", status, out)
			}
		})
	}
}

// TestResolversDirect runs the resolvers without boundary: each of them asks
// the nameserver for any name.
func TestResolversDirect(t *testing.T) {
	outside := newWorld(t, origin.Options{})
	for _, r := range resolvers() {
		t.Run(r.name, func(t *testing.T) {
			name := r.label() + ".leak.test"
			status, out := direct(t, outside, nil, r.command(t, name))
			if status != 0 || !strings.Contains(out, "127.0.0.1") {
				t.Errorf("status %d\n%s", status, out)
			}
			if len(outside.names.queries(name)) == 0 {
				t.Errorf("the nameserver was not asked")
			}
		})
	}
}

// direct runs a command in a world as the ordinary user, and returns its
// status and all that it printed.
func direct(t *testing.T, where *world, env, argv []string) (int, string) {
	t.Helper()
	cmd := commandIn(t, asUser, asUser.dir(t), argv)
	cmd.Env = append(cmd.Env, env...)
	out := newOutput()
	cmd.Stdout, cmd.Stderr = out, out
	if err := where.start(cmd); err != nil {
		t.Fatalf("start %s: %v", argv, err)
	}
	return exitStatus(cmd.Wait()), out.String()
}

// trust returns the variables by which the clients trust an origin without
// boundary.
func trust(t *testing.T, server *origin.Server) []string {
	t.Helper()
	ca := caFile(t, server)
	dir := filepath.Dir(ca)
	wgetrc, store := filepath.Join(dir, "wgetrc"), filepath.Join(dir, "trust.p12")
	if err := os.WriteFile(wgetrc, []byte("ca_certificate = "+ca+"\n"), 0o644); err != nil {
		t.Fatalf("write wgetrc: %v", err)
	}
	err := tool(dir, nil, program(t, "keytool"), "-importcert", "-noprompt", "-alias", "origin",
		"-file", ca, "-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit")
	if err != nil {
		t.Fatalf("make trust store: %v", err)
	}
	if err := os.Chmod(store, 0o644); err != nil {
		t.Fatalf("open trust store to others: %v", err)
	}
	return []string{
		"SSL_CERT_FILE=" + ca, "CURL_CA_BUNDLE=" + ca, "REQUESTS_CA_BUNDLE=" + ca, "PIP_CERT=" + ca, "NPM_CONFIG_CAFILE=" + ca,
		"PERL_LWP_SSL_CA_FILE=" + ca, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=" + ca, "GIT_SSL_CAINFO=" + ca, "NODE_EXTRA_CA_CERTS=" + ca,
		"WGETRC=" + wgetrc, "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=" + store + " -Djavax.net.ssl.trustStorePassword=changeit",
	}
}
