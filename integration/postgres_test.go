package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// startPostgres starts a database server of the ordinary user on a free port
// of loopback, and returns its address.
func startPostgres(t *testing.T) string {
	t.Helper()
	dir := asUser.dir(t)
	data := filepath.Join(dir, "data")
	initialise := commandIn(t, asUser, dir, []string{program(t, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C"})
	if out, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("initialise database: %v\n%s", err, out)
	}
	port := freePort(t)
	server := commandIn(t, asUser, dir, []string{
		program(t, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", "",
		"-c", "fsync=off", "-c", "shared_buffers=1MB", "-c", "max_connections=10",
	})
	said := newOutput()
	server.Stderr = said
	if err := server.Start(); err != nil {
		t.Fatalf("start database server: %v", err)
	}
	t.Cleanup(func() {
		// SIGQUIT is the immediate shutdown, postgres(1).
		if err := server.Process.Signal(syscall.SIGQUIT); err != nil {
			t.Errorf("stop database server: %v", err)
		}
		_ = server.Wait() // its status after SIGQUIT says nothing
	})
	said.await(t, 0, "ready to accept connections")
	return net.JoinHostPort("127.0.0.1", port)
}

// freePort returns a TCP port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find free port: %v", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatalf("find free port: %v", err)
	}
	return port
}

// psqlScript asks the server which port it sees the client at, and shows the
// client's own descriptors and the kernel's table of connections. Then it
// waits for a line of standard input.
const psqlScript = `select 'peer ' || inet_client_port();
\! ls -l /proc/$PPID/fd
\! cat /proc/net/tcp
\! echo waiting; read line
select 'sum ' || sum(n) from generate_series(1, 100000) n;
`

// TestPostgres connects PostgreSQL's client to its server under a raw TCP
// rule by host name. The port that the server sees is that of a socket that
// the client itself holds, and the supervisor holds no descriptor of it: no
// process is between them.
func TestPostgres(t *testing.T) {
	address := startPostgres(t)
	policy := fmt.Sprintf(`allow "database" {
  protocol = "tcp"
  hosts    = ["db.company.internal"]
  ports    = [5432]
  private  = true
}
upstream {
  resolve = { "db.company.internal:5432" = %q }
}
`, address)
	eachMode(t, func(t *testing.T, as mode) {
		dir := as.dir(t)
		as.write(t, filepath.Join(dir, "script.sql"), psqlScript)
		stdin, feed := io.Pipe()
		defer feed.Close()
		psql := []string{program(t, "psql"), "-XAtq", "-h", "db.company.internal", "-p", "5432", "-U", "postgres", "-d", "postgres", "-f", "script.sql"}
		r := session{as: as, dir: dir, policy: policy, command: psql, stdin: stdin}.start(t)
		r.stdout.await(t, 0, "waiting\n")

		inode := ownSocket(t, r.stdout.String(), address)
		if os.Getuid() == 0 {
			checkNotHeld(t, r.pid(), inode)
		}
		if _, err := io.WriteString(feed, "go on\n"); err != nil {
			t.Fatalf("let psql go on: %v", err)
		}
		feed.Close()
		end := r.wait()
		if end.status != 0 || !strings.Contains(end.stdout, "sum 5000050000") {
			t.Errorf("psql ended with %d and without its sum", end.status)
		}
		one := end.records.of("connect", "db.company.internal").decided("allow").one(t, "the connection")
		if one.Rule != "database" || one.Port != 5432 || one.Protocol != "tcp" || one.Upstream != address {
			t.Errorf("the record says otherwise: %s", one.line)
		}
	})
}

// ownSocket returns the inode of the client's socket, found by what the
// script printed: the connection at the port that the server sees is in the
// kernel's table, goes straight to the server, and its inode is among the
// client's descriptors.
func ownSocket(t *testing.T, said, server string) string {
	t.Helper()
	peer := regexp.MustCompile(`peer (\d+)`).FindStringSubmatch(said)
	if peer == nil {
		t.Fatalf("the server did not say which port it sees")
	}
	local := tcpTableAddress(t, net.JoinHostPort("127.0.0.1", peer[1]))
	row := regexp.MustCompile(`\d+: (` + local + `) ([0-9A-F:]+) 01 \S+ \S+ \S+ +\d+ +\d+ (\d+) `).FindStringSubmatch(said)
	if row == nil {
		t.Fatalf("no connection in the kernel's table is at %s", local)
	}
	if want := tcpTableAddress(t, server); row[2] != want {
		t.Errorf("the connection that the server sees goes to %s, want %s", row[2], want)
	}
	if !strings.Contains(said, "socket:["+row[3]+"]") {
		t.Errorf("the client does not hold the socket that the server sees, inode %s", row[3])
	}
	return row[3]
}

// tcpTableAddress returns an IPv4 address as /proc/net/tcp shows it on a
// little-endian machine, proc_net_tcp.rst.
func tcpTableAddress(t testing.TB, address string) string {
	t.Helper()
	at, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		t.Fatalf("read address: %v", err)
	}
	ip := at.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], at.Port)
}

// checkNotHeld checks that a process has no descriptor of a socket. Only root
// may look.
func checkNotHeld(t *testing.T, pid int, inode string) {
	t.Helper()
	open := descriptorsOf(t, pid)
	if len(open) == 0 {
		t.Fatalf("process %d has no descriptors", pid)
	}
	for fd, target := range open {
		if target == "socket:["+inode+"]" {
			t.Errorf("boundary holds the client's socket as descriptor %s", fd)
		}
	}
}

// descriptorsOf returns what a process has open, by number.
func descriptorsOf(t testing.TB, pid int) map[string]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("read descriptors of boundary: %v", err)
	}
	open := map[string]string{}
	for _, entry := range entries {
		// One that is closed between the two calls is not open.
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil {
			open[entry.Name()] = target
		}
	}
	return open
}
