package integration

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

const (
	allowedHost = "api.github.com"
	deniedHost  = "attacker-logger.com"

	// marker is in every page of the origin that a client is to read.
	marker = "test origin"
	// blocked is how the body of a denial begins.
	blocked = "Network request blocked by boundary policy"
)

// client is a program that makes a request.
type client struct {
	name string
	exe  string // base name of the program that connects
	// command returns the command line that makes a request.
	command func(t testing.TB, method, address string) []string
	plain   bool // speaks HTTP only
	clones  bool // asks for a repository, whatever the method
	refused int  // exit status for an answer of 403
	silent  bool // does not show the body of an answer of 403
}

// clients returns all client programs that must work unchanged.
func clients() []client {
	return []client{
		{name: "curl", exe: "curl", command: curl},
		{name: "wget", exe: "wget", refused: 8, command: func(t testing.TB, method, address string) []string {
			argv := []string{program(t, "wget"), "-nv", "--tries=1", "-O", "-", "--content-on-error", "--method=" + method}
			if method == "POST" {
				argv = append(argv, "--body-data=secret")
			}
			return append(argv, address)
		}},
		{name: "git clone", exe: "git-remote-http", clones: true, refused: 128, silent: true, command: func(t testing.TB, _, address string) []string {
			script := `"$1" clone -q "$2" clone || exit; exec cat clone/README`
			return []string{program(t, "sh"), "-c", script, "sh", program(t, "git"), address}
		}},
		{name: "python urllib", exe: "python3", command: func(t testing.TB, method, address string) []string {
			return python(t, "urllib_client.py", method, address)
		}},
		{name: "python http.client", exe: "python3", command: func(t testing.TB, method, address string) []string {
			return python(t, "http_client.py", method, address)
		}},
		{name: "node fetch", exe: "node", command: func(t testing.TB, method, address string) []string {
			return node(t, "fetch.mjs", method, address)
		}},
		{name: "node https", exe: "node", command: func(t testing.TB, method, address string) []string {
			return node(t, "https.mjs", method, address)
		}},
		{name: "static Go", exe: "agent", command: func(t testing.TB, method, address string) []string {
			return []string{shop.agent(t), "get", "-X", method, address}
		}},
		{name: "Java HttpClient", exe: "java", command: func(t testing.TB, method, address string) []string {
			return java(t, method, address)
		}},
		{name: "static musl", exe: "client-musl", plain: true, command: func(t testing.TB, method, address string) []string {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatalf("read address: %v", err)
			}
			return []string{shop.muslClient(t), strings.ToLower(method), u.Host, u.Path}
		}},
	}
}

// curl returns a command line that prints the body and the status.
func curl(t testing.TB, method, address string) []string {
	argv := []string{program(t, "curl"), "-sS", "-X", method, "-w", `\n%{http_code}\n`}
	if method == "POST" {
		argv = append(argv, "--data", "secret")
	}
	return append(argv, address)
}

// address returns where the client finds a page on a host.
func (c client) address(host, path string) string {
	if c.clones {
		path = "/team/project.git"
	}
	if c.plain {
		return "http://" + host + path
	}
	return "https://" + host + path
}

// TestClients has each client program make a request that the policy allows
// and one that it does not, with no proxy variable set.
func TestClients(t *testing.T) {
	outside := startOrigin(t, origin.Options{Repositories: repositories(t)})
	policy := `allow "github-read" {
  hosts   = ["api.github.com"]
  methods = ["GET", "POST"]
  paths   = ["/repos/**", "/team/**"]
}
` + outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				t.Run("allowed", func(t *testing.T) {
					c.testAllowed(t, outside, session{as: as, policy: policy})
				})
				t.Run("denied", func(t *testing.T) {
					c.testDenied(t, outside, session{as: as, policy: policy})
				})
			})
		})
	}
}

// testAllowed makes an allowed request.
func (c client) testAllowed(t *testing.T, outside *origin.Server, s session) {
	before := len(outside.Requests(allowedHost))
	s.command = c.command(t, "GET", c.address(allowedHost, "/repos/x/y/pulls/1"))
	end := s.run(t)
	if end.status != 0 || !strings.Contains(end.stdout, marker) {
		t.Errorf("the client did not get its page")
	}
	if lines := strings.Count("\n"+end.stderr, "\nboundary: "); lines != 1 {
		t.Errorf("the developer is told %d lines, want only the totals", lines)
	}
	if len(outside.Requests(allowedHost)) == before {
		t.Errorf("the origin saw no request")
	}
	seen := end.records.requests(allowedHost).decided("allow")
	if len(seen) == 0 {
		t.Fatalf("no record of the request")
	}
	c.checkRecord(t, seen[0], "github-read")
}

// testDenied makes a request that no rule allows.
func (c client) testDenied(t *testing.T, outside *origin.Server, s session) {
	s.command = c.command(t, "POST", c.address(deniedHost, "/"))
	end := s.run(t)
	if end.status != c.refused {
		t.Errorf("the client ended with %d, want %d", end.status, c.refused)
	}
	if all := end.stdout + end.stderr; !strings.Contains(all, "403") {
		t.Errorf("the client was not told 403")
	}
	if !c.silent && !strings.Contains(end.stdout, blocked) {
		t.Errorf("the client was not told why")
	}
	if seen := outside.Requests(deniedHost); len(seen) > 0 {
		t.Errorf("the origin saw %v", seen)
	}
	found := end.records.requests(deniedHost).decided("deny")
	if len(found) == 0 {
		t.Fatalf("no record of the denial")
	}
	c.checkRecord(t, found[0], "")
}

// checkRecord checks who asked and what decided.
func (c client) checkRecord(t *testing.T, one record, rule string) {
	t.Helper()
	if one.Rule != rule {
		t.Errorf("the record names rule %q, want %q: %s", one.Rule, rule, one.line)
	}
	if one.Process == nil || !strings.HasPrefix(filepath.Base(one.Process.Exe), c.exe) {
		t.Errorf("the record names another program than %s: %s", c.exe, one.line)
	}
}

// startOrigin starts an origin that ends with the test.
func startOrigin(t testing.TB, options origin.Options) *origin.Server {
	t.Helper()
	server, err := origin.Start(options)
	if err != nil {
		t.Fatalf("start origin: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close origin: %v", err)
		}
	})
	return server
}

// caFile returns a file with the certificate of the origin's authority, which
// every user can read.
func caFile(t testing.TB, server *origin.Server) string {
	t.Helper()
	path := filepath.Join(asUser.dir(t), "ca.pem")
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("open folder to others: %v", err)
	}
	if err := os.WriteFile(path, server.Authority.PEM(), 0o644); err != nil {
		t.Fatalf("write certificate: %v", err)
	}
	return path
}

// repositories returns a folder with the bare repository team/project.git,
// whose README says the marker.
func repositories(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	script := `set -e
git init -q work && cd work
echo "$0" > README
git add README
git -c user.name=test -c user.email=test@localhost commit -q -m first
git clone -q --bare . ../team/project.git`
	if err := tool(dir, []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"}, program(t, "sh"), "-c", script, marker); err != nil {
		t.Fatalf("make repository: %v", err)
	}
	return dir
}
