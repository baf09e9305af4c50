package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDatagramsWithin exchanges datagrams between sockets of one session.
func TestDatagramsWithin(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, command: python(t, "udp_echo.py")}.run(t)
		if diff := cmp.Diff("echo 127.0.0.1\necho ::1\n", end.stdout); diff != "" || end.status != 0 {
			t.Errorf("datagrams, status %d (-want +got):\n%s", end.status, diff)
		}
	})
}

// TestServerWithin runs a web server and its client in one session, as when
// an agent tries what it has built.
func TestServerWithin(t *testing.T) {
	script := `echo page > index.html
"$0" -u -m http.server --bind 0.0.0.0 0 > server.log 2>&1 &
until port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' server.log) && [ -n "$port" ]; do sleep 0.02; done
curl -sS http://127.0.0.1:$port/ http://localhost:$port/
kill $!`
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, command: []string{"sh", "-c", script, program(t, "python3")}}.run(t)
		if diff := cmp.Diff("page\npage\n", end.stdout); diff != "" {
			t.Errorf("pages (-want +got):\n%s", diff)
		}
	})
}

// TestListenNarrowed listens on every address within a session: the session
// reaches it, and in the kernel the socket is bound to loopback only.
func TestListenNarrowed(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		stdin, feed := io.Pipe()
		defer feed.Close()
		r := session{as: as, policy: denyAll, stdin: stdin, command: python(t, "tcp_own.py")}.start(t)
		r.stdout.await(t, 0, "port ")
		r.stdout.await(t, 0, "ready\n")
		ports := regexp.MustCompile(`port (\d+)`).FindAllStringSubmatch(r.stdout.String(), -1)
		if len(ports) != 2 {
			t.Fatalf("the agent listens on %v, want two ports", ports)
		}
		loopback := []string{"0100007F", strings.Repeat("0", 24) + "01000000", "0000000000000000FFFF00000100007F"}
		for _, port := range ports {
			checkBound(t, port[1], loopback)
		}
		feed.Close()
		end := r.wait()
		if !strings.Contains(end.stdout, "answer HELLO") {
			t.Errorf("the agent does not reach its own listener")
		}
		if len(end.records.of("listen", "")) == 0 {
			t.Errorf("no record of the listener")
		}
	})
}

// checkBound checks in the kernel's tables that a listener has one of the
// addresses.
func checkBound(t *testing.T, port string, want []string) {
	t.Helper()
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatalf("read port: %v", err)
	}
	pattern := regexp.MustCompile(`\d+: ([0-9A-F]+):` + fmt.Sprintf("%04X", number) + ` [0-9A-F]+:0000 0A `)
	found := 0
	for _, table := range []string{"tcp", "tcp6"} {
		// Not /proc/net: that is the main thread's, which may be a world's.
		text, err := os.ReadFile("/proc/thread-self/net/" + table)
		if err != nil {
			t.Fatalf("read connections: %v", err)
		}
		for _, row := range pattern.FindAllStringSubmatch(string(text), -1) {
			found++
			if !slices.Contains(want, row[1]) {
				t.Errorf("port %s is open on %s", port, row[1])
			}
		}
	}
	if found == 0 {
		t.Errorf("nobody listens on port %s", port)
	}
}

// TestOutsideListener dials a listener of the same machine that is not the
// session's: loopback is not a way out.
func TestOutsideListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	defer listener.Close()
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, command: []string{shop.agent(t), "dial", "tcp", listener.Addr().String()}}.run(t)
		if !strings.HasPrefix(end.stdout, "EACCES ") {
			t.Errorf("the dial ended with %q, want EACCES", end.stdout)
		}
	})
}
