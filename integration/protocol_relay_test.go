package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// TestTLSRule relays connections of a `tls` rule untouched: the client sees the
// origin's own certificate and does not trust another. Everything else is
// decrypted as ever.
func TestTLSRule(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := `allow "pinned" {
  protocol = "tls"
  hosts    = ["pinned.example.com", "inner.example.com"]
}
allow "api" {
  hosts = ["api.github.com"]
  paths = ["/json"]
}
deny "no-secrets" {
  hosts = ["inner.example.com"]
  paths = ["/secret"]
}
` + outside.Upstream(caFile(t, outside), "pinned.example.com", "inner.example.com", allowedHost)
	own := []string{program(t, "curl"), "-sS", "--cacert", caFile(t, outside)}
	eachMode(t, func(t *testing.T, as mode) {
		s := session{as: as, policy: policy}
		s.command = append(own, "https://pinned.example.com/json")
		end := s.run(t)
		if end.status != 0 || !strings.Contains(end.stdout, marker) {
			t.Errorf("the client did not get its page by the origin's certificate: %d", end.status)
		}
		checkRelayed(t, end.records, "pinned.example.com", outside.TLSAddr())

		// The server name counts, whatever was dialled.
		s.command = append(own, "--connect-to", "pinned.example.com:443:api.github.com:443", "https://pinned.example.com/json")
		checkRelayed(t, s.run(t).records, "pinned.example.com", outside.TLSAddr())

		for _, denied := range []string{
			"https://pinned.example.com:8443/json", // another port
			"http://pinned.example.com/json",       // no TLS
			"https://inner.example.com/json",       // requests to it are denied, which could not be seen
			"https://attacker-logger.com/",
		} {
			s.command = append(own, "-k", denied)
			end := s.run(t)
			if strings.Contains(end.stdout, marker) || len(end.records.decided("deny")) == 0 {
				t.Errorf("%s: curl ended with %d and got %q", denied, end.status, end.stdout)
			}
		}
		s.command = curl(t, "GET", "https://"+allowedHost+"/json")
		if end := s.run(t); !strings.Contains(end.stdout, marker) || len(end.records.requests(allowedHost)) != 1 {
			t.Errorf("a decrypted request was answered by %q", end.stdout)
		}
	})
}

// checkRelayed checks the two records of a relayed connection: the decision, and
// how it ended.
func checkRelayed(t *testing.T, all records, host, upstream string) {
	t.Helper()
	found := all.of("connect", host).decided("allow")
	if len(found) != 2 || found[0].Rule != "pinned" || found[0].Protocol != "tls" || found[0].ID != found[1].ID {
		t.Fatalf("the connection has %d records", len(found))
	}
	var end struct {
		Sent     int64 `json:"bytes_sent"`
		Received int64 `json:"bytes_received"`
	}
	if err := json.Unmarshal([]byte(found[1].line), &end); err != nil {
		t.Fatalf("read record: %v", err)
	}
	if end.Sent < 200 || end.Received < 500 || found[1].Upstream != upstream {
		t.Errorf("the connection's end is recorded otherwise: %s", found[1].line)
	}
}

// TestRelaySplices downloads much through a relayed connection: its bytes pass
// the supervisor by splice(2), and not through its memory.
func TestRelaySplices(t *testing.T) {
	const size = 64 << 20
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"pinned\" {\n  protocol = \"tls\"\n  hosts = [\"pinned.example.com\"]\n}\n" +
		outside.Upstream(caFile(t, outside), "pinned.example.com")
	dir := asUser.dir(t)
	trace := filepath.Join(dir, "trace")
	end := session{
		as: asUser, dir: dir, policy: policy, wrap: []string{program(t, "strace"), "-f", "-c", "-U", "name,calls", "-o", trace},
		command: []string{program(t, "curl"), "-sS", "-o", "/dev/null", "-w", "%{size_download}", "--cacert", caFile(t, outside), fmt.Sprintf("https://pinned.example.com/bytes/%d", size)},
	}.run(t)
	if end.stdout != strconv.Itoa(size) {
		t.Fatalf("curl ended with %d and got %s bytes", end.status, end.stdout)
	}
	if calls := callsOf(t, fileText(trace), "splice"); calls < 100 {
		t.Errorf("the supervisor called splice %d times:\n%s", calls, fileText(trace))
	}
}

// callsOf returns how often a system call was made, by strace's summary.
func callsOf(t *testing.T, summary, name string) int {
	t.Helper()
	for line := range strings.Lines(summary) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == name {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatalf("read summary: %v", err)
			}
			return n
		}
	}
	return 0
}

// TestSSH logs in to a real server, which speaks first, under a `tcp` rule.
func TestSSH(t *testing.T) {
	server := startSSHD(t)
	policy := fmt.Sprintf("allow \"git-ssh\" {\n  protocol = \"tcp\"\n  hosts = [\"git.example.com\"]\n  ports = [22]\n}\n"+
		"upstream {\n  resolve = { \"git.example.com:22\" = %q }\n}\n", server.address)
	eachMode(t, func(t *testing.T, as mode) {
		dir := as.dir(t)
		key := server.key(t, as, dir)
		argv := []string{
			program(t, "ssh"), "-F", "/dev/null", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=known",
			"-o", "BatchMode=yes", "-l", asUser.account().name, "git.example.com", "echo from $((6*7)); cat",
		}
		end := session{as: as, dir: dir, policy: policy, command: argv, stdin: strings.NewReader("there and back\n")}.run(t)
		if end.status != 0 || end.stdout != "from 42\nthere and back\n" {
			t.Errorf("ssh ended with %d and printed %q", end.status, end.stdout)
		}
		end.records.of("connect", "git.example.com").decided("allow").one(t, "the connection")
	})
}

// TestServerFirst has servers speak first that greet as SMTP and MySQL do.
func TestServerFirst(t *testing.T) {
	for name, greeting := range map[string]string{
		"SMTP":  "220 mail.example.com ESMTP\r\n",
		"MySQL": "\x4a\x00\x00\x00\x0a8.0.33\x00",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatalf("listen: %v", err)
			}
			defer l.Close()
			go func() {
				for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
					_, _ = io.WriteString(conn, greeting)
					_, _ = io.Copy(conn, conn)
					conn.Close()
				}
			}()
			policy := fmt.Sprintf("allow \"server\" {\n  protocol = \"tcp\"\n  hosts = [\"server.example.com\"]\n  ports = [25]\n}\n"+
				"upstream {\n  resolve = { \"server.example.com:25\" = %q }\n}\n", l.Addr())
			eachMode(t, func(t *testing.T, as mode) {
				script := `import socket, sys
s = socket.create_connection(("server.example.com", 25))
first = s.recv(100)
s.sendall(b"QUIT\r\n")
s.shutdown(socket.SHUT_WR)
sys.stdout.buffer.write(first + s.recv(100) + s.recv(100))`
				end := session{as: as, policy: policy, command: []string{program(t, "python3"), "-c", script}}.run(t)
				if end.stdout != greeting+"QUIT\r\n" {
					t.Errorf("the client got %q", end.stdout)
				}
			})
		})
	}
}
