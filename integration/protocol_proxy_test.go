package integration

import (
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// proxyUse is a program that is set up to use a proxy.
type proxyUse struct {
	name    string
	env     []string
	command func(t testing.TB, method, address string) []string
}

// proxyUses returns programs that take a proxy from their environment or their
// command line. No proxy of these names exists anywhere.
func proxyUses() []proxyUse {
	variables := []string{
		"HTTP_PROXY=http://user:secret@proxy.corp:3128", "http_proxy=http://user:secret@proxy.corp:3128",
		"HTTPS_PROXY=http://user:secret@proxy.corp:3128", "https_proxy=http://user:secret@proxy.corp:3128",
	}
	loopback := []string{"http_proxy=http://127.0.0.1:3129", "https_proxy=http://127.0.0.1:3129"}
	return []proxyUse{
		{name: "curl", env: variables, command: curl},
		{name: "curl, loopback", env: loopback, command: curl},
		{name: "curl, TLS to the proxy", env: []string{"ALL_PROXY=https://proxy.corp:3130"}, command: func(t testing.TB, method, address string) []string {
			// curl verifies a proxy by a setting of its own.
			script := `exec "$0" --proxy-cacert "$CURL_CA_BUNDLE" "$@"`
			argv := curl(t, method, address)
			return append([]string{program(t, "sh"), "-c", script}, argv...)
		}},
		{name: "curl, tunnel for all", env: variables, command: func(t testing.TB, method, address string) []string {
			return append(curl(t, method, address), "--proxytunnel")
		}},
		{name: "curl, HTTP/1.0", env: variables, command: func(t testing.TB, method, address string) []string {
			return append(curl(t, method, address), "--proxy1.0", "proxy.corp:3128")
		}},
		{name: "wget", env: variables, command: clientNamed("wget")},
		{name: "python urllib", env: variables, command: clientNamed("python urllib")},
		{name: "Go net/http", env: variables, command: clientNamed("Go net/http")},
	}
}

// clientNamed returns how a program of the client matrix is run.
func clientNamed(name string) func(t testing.TB, method, address string) []string {
	for _, c := range clients() {
		if c.name == name {
			return c.command
		}
	}
	panic("no client " + name)
}

// TestProxyUse has programs that are set up to use a proxy make requests: they
// are judged and recorded as without one, and the credentials go nowhere.
func TestProxyUse(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"github-read\" {\n  hosts = [\"api.github.com\"]\n  methods = [\"GET\"]\n  paths = [\"/http/seen\"]\n}\n" +
		outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
	for _, use := range proxyUses() {
		t.Run(use.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				for _, scheme := range []string{"http", "https"} {
					use.test(t, outside, session{as: as, policy: policy, env: use.env}, scheme)
				}
			})
		})
	}
}

// test makes an allowed request and two that are denied.
func (use proxyUse) test(t *testing.T, outside *origin.Server, s session, scheme string) {
	t.Helper()
	s.command = use.command(t, "GET", scheme+"://"+allowedHost+"/http/seen")
	end := s.run(t)
	if end.status != 0 || !strings.Contains(end.stdout, `"target":"/http/seen"`) || strings.Contains(strings.ToLower(end.stdout), "proxy") {
		t.Errorf("%s: the program ended with %d and got %q", scheme, end.status, end.stdout)
	}
	one := end.records.requests(allowedHost).decided("allow").one(t, "the allowed request")
	if one.Rule != "github-read" || one.Protocol != scheme || one.Path != "/http/seen" {
		t.Errorf("%s: the record says otherwise: %s", scheme, one.line)
	}
	for _, address := range []string{scheme + "://" + allowedHost + "/secret", scheme + "://" + deniedHost + "/"} {
		s.command = use.command(t, "GET", address)
		end := s.run(t)
		if !strings.Contains(end.stdout+end.stderr, "403") {
			t.Errorf("%s: the program was not told 403", address)
		}
		if len(end.records.requests("").decided("deny")) != 1 {
			t.Errorf("%s: the denial is not recorded once", address)
		}
	}
	for _, seen := range outside.Requests("") {
		if seen.Path != "/http/seen" {
			t.Errorf("the origin saw %s", seen)
		}
	}
}

// TestTunnel opens tunnels to what a `tcp` rule allows, which are carried
// untouched, and to what nothing allows, which are refused.
func TestTunnel(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"database\" {\n  protocol = \"tcp\"\n  hosts = [\"db.company.internal\"]\n  ports = [5432]\n}\n" +
		"upstream {\n  resolve = { \"db.company.internal:5432\" = \"" + outside.HTTPAddr() + "\" }\n}\n"
	tunnel := func(target string) []string {
		return []string{program(t, "curl"), "-sS", "-p", "-x", "http://proxy.corp:3128", "http://" + target + "/json"}
	}
	env := []string{"http_proxy=http://proxy.corp:3128"}
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: policy, env: env, command: tunnel("db.company.internal:5432")}.run(t)
		if end.status != 0 || !strings.Contains(end.stdout, marker) {
			t.Errorf("the tunnel that a rule allows carried %q", end.stdout)
		}
		one := end.records.of("connect", "db.company.internal").decided("allow")
		if len(one) != 2 || one[0].Rule != "database" || one[1].Upstream != outside.HTTPAddr() {
			t.Errorf("the tunnel is not recorded with its end: %v", one)
		}
		for _, target := range []string{"db.company.internal:5433", "attacker-logger.com:22", "127.0.0.1:22", "db.company.internal:53", "[::1]:853"} {
			end := session{as: as, policy: policy, env: env, command: tunnel(target)}.run(t)
			if end.status != 56 || len(end.records.of("connect", "").decided("deny")) != 1 {
				t.Errorf("a tunnel to %s ended with %d", target, end.status)
			}
		}
	})
}
