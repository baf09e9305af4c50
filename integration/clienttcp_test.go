package integration

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// tcpClient is a program that a tcp rule lets through to its server, and that
// has the server say what it reads on its standard input.
type tcpClient struct {
	name, host string
	port       int
	address    string                                                 // of the server
	command    func(t *testing.T, as mode, dir, host string) []string // written for a working folder
	says       func(text string) string                               // what to write so that the server says a text
	refused    int                                                    // exit status for EACCES
}

// trial returns what is tried with the program.
func (c tcpClient) trial() trial {
	return trial{name: c.name, shows: "Permission denied", allowed: c.testAllowed, denied: c.testDenied, stream: c.testStream}
}

// session returns one in which the program asks for a host.
func (c tcpClient) session(t *testing.T, as mode, host string, stdin io.Reader) session {
	t.Helper()
	dir := as.dir(t)
	return session{as: as, dir: dir, stdin: stdin, command: c.command(t, as, dir, host), policy: fmt.Sprintf(`allow "server" {
  protocol = "tcp"
  hosts    = [%q]
  ports    = [%d]
  private  = true
}
upstream {
  resolve = { "%s:%d" = %q }
}
`, c.host, c.port, c.host, c.port, c.address)}
}

// testAllowed has the server say something.
func (c tcpClient) testAllowed(t *testing.T, as mode) {
	end := c.session(t, as, c.host, strings.NewReader(c.says(marker))).run(t)
	if end.status != 0 || !strings.Contains(end.stdout, marker) {
		t.Errorf("no answer came from the server")
	}
	one := end.records.of("connect", c.host).decided("allow").one(t, "the connection")
	if one.Rule != "server" || one.Port != c.port || one.Protocol != "tcp" || one.Upstream != c.address {
		t.Errorf("the record says otherwise: %s", one.line)
	}
}

// testDenied asks for a host that no rule allows.
func (c tcpClient) testDenied(t *testing.T, as mode) {
	end := c.session(t, as, deniedHost, nil).run(t)
	if end.status != c.refused || !strings.Contains(end.stderr, "Permission denied") {
		t.Errorf("the program ended with %d, want %d, and to show the denial", end.status, c.refused)
	}
	end.records.of("connect", deniedHost).decided("deny").one(t, "the denial")
}

// testStream has the server say the second thing when the program has shown
// the first.
func (c tcpClient) testStream(t *testing.T, as mode) {
	stdin, feed := io.Pipe()
	defer feed.Close()
	r := c.session(t, as, c.host, stdin).start(t)
	for _, text := range []string{heldFirst, marker} {
		if _, err := io.WriteString(feed, c.says(text)); err != nil {
			t.Fatalf("have the server say something: %v", err)
		}
		r.stdout.awaitWithin(t, showWithin, 0, text)
	}
	feed.Close()
	if end := r.wait(); end.status != 0 {
		t.Errorf("the program ended with %d", end.status)
	}
}

// psqlTrial is PostgreSQL's client with its server.
func psqlTrial(t *testing.T) trial {
	t.Helper()
	return tcpClient{
		name: "psql", host: "db.company.internal", port: 5432, address: startPostgres(t), refused: 2,
		says: func(text string) string { return "select '" + text + "';\n" },
		command: func(t *testing.T, _ mode, _, host string) []string {
			return []string{program(t, "psql"), "-XAtq", "-h", host, "-p", "5432", "-U", "postgres", "-d", "postgres"}
		},
	}.trial()
}

// sshTrial is OpenSSH's client with its server.
func sshTrial(t *testing.T) trial {
	t.Helper()
	server := startSSHD(t)
	return tcpClient{
		name: "ssh", host: "ssh.company.internal", port: 22, address: server.address, refused: 255,
		says: func(text string) string { return "echo " + text + "\n" },
		command: func(t *testing.T, as mode, dir, host string) []string {
			return []string{
				program(t, "ssh"), "-F", "none", "-i", server.key(t, as, dir), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
				"-o", "UserKnownHostsFile=" + server.known, "-o", "HostKeyAlias=server", shop.user.name + "@" + host, "sh",
			}
		},
	}.trial()
}
