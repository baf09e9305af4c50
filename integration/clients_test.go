package integration

import (
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

// client is a program that makes a request by HTTP.
type client struct {
	name string
	exe  string // base name of the program that connects
	// command returns the command line that makes a request.
	command func(t testing.TB, method, address string) []string
	scheme  string // empty is https
	page    string // the only page that it reads; empty is any
	held    string // where its pages that are held back are; empty is /held
	whole   bool   // shows an answer only when it has all of it
	refused int    // exit status for an answer of 403
	shows   string // what it shows of an answer of 403; empty is status and body
}

// clients returns all client programs that must work unchanged.
func clients() []client {
	var all []client
	for _, some := range [][]client{
		toolClients(), gitClients(), pythonClients(), nodeClients(), languageClients(), compiledClients(), installers(),
	} {
		all = append(all, some...)
	}
	return all
}

// address returns where the client finds a page on a host.
func (c client) address(host, path string) string {
	if c.page != "" {
		path = c.page
	}
	scheme := c.scheme
	if scheme == "" {
		scheme = "https"
	}
	return scheme + "://" + host + path
}

// label returns the client's name as a part of a path.
func (c client) label(as mode) string {
	return strings.NewReplacer(" ", "-", "/", "-").Replace(c.name) + "-" + string(as)
}

// clientPolicy is what the clients may do.
const clientPolicy = `allow "github-read" {
  hosts   = ["api.github.com"]
  methods = ["GET", "POST", "WEBSOCKET"]
  paths = [
    "/repos/**", "/team/**", "/held/**", "/ws/**", "/grpc.said/**", "/grpc.held/**", "/npm/**", "/pip/**", "/debian/**",
  ]
}
`

// TestClients has each client program make a request that the policy allows
// and one that it does not, with no proxy variable set, and has those that can
// show an answer that is held back half-way. It ends with a table of what ran,
// which stands in the README.
func TestClients(t *testing.T) {
	pages := newClientPages()
	outside := startOrigin(t, origin.Options{Repositories: repositories(t), Extra: pages.handlers(t)})
	policy := clientPolicy + outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
	var all []trial
	for _, c := range clients() {
		all = append(all, c.trial(outside, pages, policy))
	}
	runTrials(t, append(all, otherTrials(t)...))
}

// trial returns what is tried with the client.
func (c client) trial(outside *origin.Server, pages *clientPages, policy string) trial {
	one := trial{
		name: c.name, shows: c.shows,
		allowed: func(t *testing.T, as mode) { c.testAllowed(t, outside, session{as: as, policy: policy}) },
		denied:  func(t *testing.T, as mode) { c.testDenied(t, outside, session{as: as, policy: policy}) },
	}
	if one.shows == "" {
		one.shows = "403, why"
	}
	if !c.whole {
		one.stream = func(t *testing.T, as mode) { c.testStream(t, pages, session{as: as, policy: policy}) }
	}
	return one
}

// testAllowed makes an allowed request.
func (c client) testAllowed(t *testing.T, outside *origin.Server, s session) {
	page := "/repos/x/" + c.label(s.as) + "/1"
	if c.page != "" {
		page = c.page
	}
	before := asked(outside, page)
	s.command = c.command(t, "GET", c.address(allowedHost, page))
	end := s.run(t)
	if end.status != 0 || !strings.Contains(end.stdout, marker) {
		t.Errorf("the client did not get its page")
	}
	if lines := strings.Count("\n"+end.stderr, "\nboundary: "); lines != 1 {
		t.Errorf("the developer is told %d lines, want only the totals", lines)
	}
	if asked(outside, page) == before {
		t.Errorf("the origin saw no request")
	}
	seen := end.records.requests(allowedHost).decided("allow")
	if len(seen) == 0 {
		t.Fatalf("no record of the request")
	}
	c.checkRecord(t, seen[0], "github-read")
}

// asked returns how often the origin was asked for a page of the allowed host,
// or for one below it.
func asked(outside *origin.Server, page string) int {
	n := 0
	for _, one := range outside.Requests(allowedHost) {
		if strings.HasPrefix(one.Path, page) {
			n++
		}
	}
	return n
}

// testDenied makes a request that no rule allows.
func (c client) testDenied(t *testing.T, outside *origin.Server, s session) {
	s.command = c.command(t, "POST", c.address(deniedHost, "/"))
	end := s.run(t)
	if end.status != c.refused {
		t.Errorf("the client ended with %d, want %d", end.status, c.refused)
	}
	c.checkTold(t, end.stdout+end.stderr)
	if seen := outside.Requests(deniedHost); len(seen) > 0 {
		t.Errorf("the origin saw %v", seen)
	}
	found := end.records.requests(deniedHost).decided("deny")
	if len(found) == 0 {
		t.Fatalf("no record of the denial")
	}
	c.checkRecord(t, found[0], "")
}

// checkTold checks that the client showed its user the denial.
func (c client) checkTold(t *testing.T, said string) {
	t.Helper()
	want := []string{c.shows}
	if c.shows == "" {
		want = []string{"403", blocked}
	}
	for _, text := range want {
		if !strings.Contains(said, text) {
			t.Errorf("the client does not show %q", text)
		}
	}
}

// testStream reads an answer that the origin completes only when the client
// has shown the beginning of it.
func (c client) testStream(t *testing.T, pages *clientPages, s session) {
	held := c.held
	if held == "" {
		held = "/held"
	}
	name := c.label(s.as)
	c.page = held + "/" + name
	s.command = c.command(t, "GET", c.address(allowedHost, c.page))
	r := s.start(t)
	r.stdout.await(t, 0, heldFirst)
	pages.release(name)
	if end := r.wait(); end.status != 0 || !strings.Contains(end.stdout, marker) {
		t.Errorf("the client did not get the rest of its page")
	}
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

// repositories returns a folder with the bare repositories team/project.git
// and team/pushed.git, whose README says the marker. Anybody may push.
func repositories(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	script := `set -e
git init -q work && cd work
echo "$0" > README
git add README
git -c user.name=test -c user.email=test@localhost commit -q -m first
git clone -q --bare . ../team/project.git
git clone -q --bare . ../team/pushed.git
git -C ../team/pushed.git config http.receivepack true`
	if err := tool(dir, []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"}, program(t, "sh"), "-c", script, marker); err != nil {
		t.Fatalf("make repository: %v", err)
	}
	return dir
}
