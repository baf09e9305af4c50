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
