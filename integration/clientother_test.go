package integration

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// otherTrials returns what is tried with programs that are not asked for a
// page: they read only what they are built to read, speak something else than
// HTTP, or look names up.
func otherTrials(t *testing.T) []trial {
	t.Helper()
	return []trial{
		tldrTrial(t), sshTrial(t), psqlTrial(t),
		nameTrial("python dnspython", func(t testing.TB, name string) []string {
			return python(t, "resolve.py", "dnspython", name)
		}),
		nameTrial("node dns.resolve", func(t testing.TB, name string) []string {
			return node(t, "resolve.mjs", "resolve", name)
		}),
	}
}

// tldrTrial is a program of Rust's, with rustls, that reads one archive.
func tldrTrial(t *testing.T) trial {
	t.Helper()
	outside := startOrigin(t, origin.Options{Extra: newClientPages().handlers(t)})
	upstream := outside.Upstream(caFile(t, outside), tldrHost)
	policy := fmt.Sprintf("allow \"pages\" {\n  hosts = [%q]\n}\n", tldrHost) + upstream
	c := client{name: "tldr (rustls)", exe: "tldr"}
	get := []string{program(t, "sh"), "-c", `"$1" --update && exec "$1" --raw greeting`, "sh", program(t, "tldr")}
	return trial{
		name: c.name, shows: "boundary's line on stderr",
		allowed: func(t *testing.T, as mode) {
			end := session{as: as, policy: policy, command: get}.run(t)
			if end.status != 0 || !strings.Contains(end.stdout, marker) {
				t.Errorf("tldr did not get its pages")
			}
			c.checkRecord(t, end.records.requests(tldrHost).decided("allow").one(t, "the request"), "pages")
		},
		denied: func(t *testing.T, as mode) {
			end := session{as: as, policy: upstream, command: get}.run(t)
			// tldr takes any answer for an archive, and says that it is none.
			line := "boundary: denied GET https://" + tldrHost + tldrPath + " (tldr, "
			if end.status == 0 || !strings.Contains(end.stderr, line) {
				t.Errorf("the user is not told of the denial")
			}
			c.checkRecord(t, end.records.requests(tldrHost).decided("deny").one(t, "the denial"), "")
		},
	}
}

// tcpClient is a program that a tcp rule lets through to its server.
type tcpClient struct {
	name, host string
	port       int
	address    string                                             // of the server
	command    func(t *testing.T, s session, host string) session // a session that says what comes on its standard input
	says       func(text string) string                           // what to write there so that the server says a text
	refused    int
}

// trial returns what is tried with the program.
func (c tcpClient) trial() trial {
	policy := fmt.Sprintf(`allow "server" {
  protocol = "tcp"
  hosts    = [%q]
  ports    = [%d]
  private  = true
}
upstream {
  resolve = { "%s:%d" = %q }
}
`, c.host, c.port, c.host, c.port, c.address)
	return trial{
		name: c.name, shows: "Permission denied",
		allowed: func(t *testing.T, as mode) {
			end := c.command(t, session{as: as, policy: policy, stdin: strings.NewReader(c.says(marker))}, c.host).run(t)
			if end.status != 0 || !strings.Contains(end.stdout, marker) {
				t.Errorf("no answer came from the server")
			}
			one := end.records.of("connect", c.host).decided("allow").one(t, "the connection")
			if one.Rule != "server" || one.Port != c.port || one.Protocol != "tcp" {
				t.Errorf("the record says otherwise: %s", one.line)
			}
		},
		denied: func(t *testing.T, as mode) {
			end := c.command(t, session{as: as, policy: policy, stdin: strings.NewReader("")}, deniedHost).run(t)
			if end.status != c.refused || !strings.Contains(end.stderr, "Permission denied") {
				t.Errorf("the program ended with %d, want %d, and to show the denial", end.status, c.refused)
			}
			end.records.of("connect", deniedHost).decided("deny").one(t, "the denial")
		},
		stream: func(t *testing.T, as mode) {
			stdin, feed := io.Pipe()
			defer feed.Close()
			r := c.command(t, session{as: as, policy: policy, stdin: stdin}, c.host).start(t)
			for _, text := range []string{heldFirst, marker} {
				if _, err := io.WriteString(feed, c.says(text)); err != nil {
					t.Fatalf("have the server say something: %v", err)
				}
				r.stdout.await(t, 0, text)
			}
			feed.Close()
			if end := r.wait(); end.status != 0 {
				t.Errorf("the program ended with %d", end.status)
			}
		},
	}
}

// psqlTrial is PostgreSQL's client with its server.
func psqlTrial(t *testing.T) trial {
	t.Helper()
	return tcpClient{
		name: "psql", host: "db.company.internal", port: 5432, address: startPostgres(t), refused: 2,
		says: func(text string) string { return "select '" + text + "';\n" },
		command: func(t *testing.T, s session, host string) session {
			s.command = []string{program(t, "psql"), "-XAtq", "-h", host, "-p", "5432", "-U", "postgres", "-d", "postgres"}
			return s
		},
	}.trial()
}

// sshTrial is OpenSSH's client with its server.
func sshTrial(t *testing.T) trial {
	t.Helper()
	server := startSSH(t)
	return tcpClient{
		name: "ssh", host: "ssh.company.internal", port: 22, address: server.address, refused: 255,
		says: func(text string) string { return "echo " + text + "\n" },
		command: func(t *testing.T, s session, host string) session {
			s.dir = s.as.dir(t)
			s.command = []string{
				program(t, "ssh"), "-F", "none", "-i", server.key(t, s), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
				"-o", "UserKnownHostsFile=" + server.known, "-o", "HostKeyAlias=server", shop.user.name + "@" + host, "sh",
			}
			return s
		},
	}.trial()
}

// nameTrial is a program that looks a name up. Every name has an address of
// the session's; the query for one that no rule allows goes nowhere.
func nameTrial(name string, command func(t testing.TB, host string) []string) trial {
	policy := clientPolicy + fmt.Sprintf("upstream {\n  resolve = { %q = \"127.0.0.1:1\" }\n}\n", net.JoinHostPort(allowedHost, "443"))
	look := func(host, decision string) func(t *testing.T, as mode) {
		return func(t *testing.T, as mode) {
			end := session{as: as, policy: policy, command: command(t, host)}.run(t)
			checkSynthetic(t, end)
			if len(end.records.of("dns", host).decided(decision)) == 0 {
				t.Errorf("no record of the query")
			}
		}
	}
	return trial{
		name: name, shows: "an address where a request gets its 403",
		allowed: look(allowedHost, "allow"), denied: look(deniedHost, "deny"),
	}
}
