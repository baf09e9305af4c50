package integration

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// truster is a program that finds its roots in a way of its own.
type truster struct {
	name    string
	command func(t testing.TB, method, address string) []string
	// system: it reads the system's files alone, which are covered where the
	// agent has a mount namespace of its own: for root.
	system bool
	// twice: it connects a second time to learn what became of the first,
	// which without pidfd_getfd is not known to be the same socket.
	twice bool
	// silent: it shows its user neither the page nor the text of a denial,
	// but the status.
	silent bool
}

func trusters() []truster {
	script := func(name, script string, args ...string) truster {
		return truster{name: name, command: func(t testing.TB, method, address string) []string {
			exe, _, _ := strings.Cut(name, " ")
			return append(append([]string{program(t, exe), shop.testdata(script)}, args...), method, address)
		}}
	}
	ruby := script("ruby", "client.rb")
	ruby.twice = true
	return []truster{
		ruby,
		script("python3 requests", "requests_client.py", "requests"),
		script("python3 httpx", "requests_client.py", "httpx"),
		script("php stream", "client.php", "stream"),
		script("php curl", "client.php", "curl"),
		script("perl LWP", "client.pl", "LWP"),
		script("perl HTTP::Tiny", "client.pl", "Tiny"),
		{name: "openssl s_client", command: func(t testing.TB, method, address string) []string {
			return raw(t, method, address, `"$0" s_client -quiet -verify_return_error -servername "$1" -connect "$1:443"`, program(t, "openssl"))
		}},
		{name: "gnutls-cli", system: true, command: func(t testing.TB, method, address string) []string {
			return raw(t, method, address, `"$0" --logfile=log "$1"`, program(t, "gnutls-cli"))
		}},
		{name: "java with options of its own", command: func(t testing.TB, method, address string) []string {
			return append([]string{program(t, "env"), "JAVA_TOOL_OPTIONS=-Xmx256m"}, java(t, method, address)...)
		}},
		{name: "deno", command: func(t testing.TB, method, address string) []string {
			return []string{shop.npm(t, "deno"), "run", "--quiet", "--allow-net", shop.testdata("fetch_any.mjs"), method, address}
		}},
		{name: "bun", command: func(t testing.TB, method, address string) []string {
			return []string{shop.npm(t, "bun"), shop.testdata("fetch_any.mjs"), method, address}
		}},
		{name: "npm", silent: true, command: func(t testing.TB, _, address string) []string {
			return []string{program(t, "npm"), "ping", "--fetch-retries=0", "--registry", address}
		}},
		{name: "yarn", silent: true, command: func(t testing.TB, _, address string) []string {
			return []string{shop.npm(t, "yarn"), "add", "some-package", "--registry", address}
		}},
		{name: "pnpm", silent: true, command: func(t testing.TB, _, address string) []string {
			return []string{shop.npm(t, "pnpm"), "add", "some-package", "--fetch-retries=0", "--registry", address}
		}},
	}
}

// raw returns a command line that pipes a request into a program which speaks
// TLS and no HTTP.
func raw(t testing.TB, method, address, line, exe string) []string {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("read address: %v", err)
	}
	request := method + " " + u.Path + " HTTP/1.1\r\nHost: " + u.Host + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	return []string{program(t, "sh"), "-c", `{ printf %s "$2"; sleep 2; } | ` + line, exe, u.Host, request}
}

// npm returns a program of a package of the npm registry, which npm fetches.
func (w *workshop) npm(t testing.TB, name string) string {
	t.Helper()
	npm := program(t, "npm")
	versions := map[string]string{"bun": "1", "deno": "2", "pnpm": "9", "yarn": "1"}
	dir := w.file(t, "npm-"+name, func(path string) error {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		return tool(path, nil, npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", path, name+"@"+versions[name])
	})
	return filepath.Join(dir, "node_modules", ".bin", name)
}

// TestTrusters has each of the programs make an allowed request and a denied
// one.
func TestTrusters(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := `allow "github-read" {
  hosts   = ["api.github.com"]
  methods = ["GET"]
}
` + outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
	for _, one := range trusters() {
		t.Run(one.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				if one.system && as != asRoot {
					one.testUntrusted(t, session{as: as, policy: policy})
					return
				}
				if one.twice && as == docker {
					return
				}
				one.testTrusted(t, outside, session{as: as, policy: policy})
			})
		})
	}
	if seen := outside.Requests(deniedHost); len(seen) > 0 {
		t.Errorf("the origin saw %v", seen)
	}
}

func (c truster) testTrusted(t *testing.T, outside *origin.Server, s session) {
	before := len(outside.Requests(allowedHost))
	s.command = c.command(t, "GET", "https://"+allowedHost+"/json")
	end := s.run(t)
	if len(outside.Requests(allowedHost)) == before {
		t.Errorf("the origin saw no request")
	}
	if len(end.records.requests(allowedHost).decided("allow")) == 0 {
		t.Errorf("no record of the request")
	}
	if !c.silent && !strings.Contains(end.stdout, marker) {
		t.Errorf("the page was not shown")
	}
	s.command, s.dir = c.command(t, "POST", "https://"+deniedHost+"/json"), ""
	end = s.run(t)
	if len(end.records.requests(deniedHost).decided("deny")) == 0 {
		t.Errorf("no record of the denial")
	}
	if all := end.stdout + end.stderr; !strings.Contains(all, "403") && !strings.Contains(all, blocked) {
		t.Errorf("the denial was not shown")
	}
	if !c.silent && !strings.Contains(end.stdout, blocked) {
		t.Errorf("the client was not told why")
	}
}

// testUntrusted shows what becomes of a program that can't be made to trust the
// session: its handshake fails, and that is recorded.
func (c truster) testUntrusted(t *testing.T, s session) {
	s.command = c.command(t, "GET", "https://"+allowedHost+"/json")
	end := s.run(t)
	for _, one := range end.records.requests(allowedHost) {
		if one.Reason == "tls-handshake" {
			return
		}
	}
	t.Errorf("the failed handshake was not recorded")
}
