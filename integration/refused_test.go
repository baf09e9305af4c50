package integration

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestConnectionRefused dials what no rule allows and what is not HTTP: the
// answer is EACCES at once, and nothing arrives.
func TestConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	defer listener.Close()
	arrived := make(chan string, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			arrived <- conn.RemoteAddr().String()
			conn.Close()
		}
	}()
	// RFC 5737 and RFC 3849: these networks are for documentation only.
	targets := []string{listener.Addr().String(), "192.0.2.1:22", "192.0.2.1:8443", "[2001:db8::1]:25", "[::ffff:192.0.2.1]:9", "db.company.internal:5432"}
	for _, target := range targets {
		t.Run(target, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				end := session{as: as, command: []string{shop.agent(t), "dial", "tcp", target}}.run(t)
				checkErrno(t, end.stdout, "EACCES", time.Second)
				if len(end.records.of("connect", "").decided("deny")) == 0 {
					t.Errorf("no record of the denial")
				}
			})
		})
	}
	select {
	case from := <-arrived:
		t.Errorf("a connection from %s arrived", from)
	default:
	}
}

// checkErrno checks what `agent dial` printed.
func checkErrno(t *testing.T, printed, errno string, limit time.Duration) {
	t.Helper()
	fields := strings.Fields(printed)
	if len(fields) != 2 || fields[0] != errno {
		t.Fatalf("the connect ended with %q, want %s", printed, errno)
	}
	took, err := strconv.Atoi(fields[1])
	if err != nil || time.Duration(took)*time.Millisecond > limit {
		t.Errorf("the connect took %s ms (%v), want less than %v", fields[1], err, limit)
	}
}

// TestDatagramRefused sends datagrams that no rule allows: EACCES from a send
// with an address. On a connected socket the send is native, and what the
// program gets is an asynchronous error, as of an unreachable port. Nothing
// arrives, and each is recorded.
func TestDatagramRefused(t *testing.T) {
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	defer listener.Close()
	for _, target := range []string{listener.LocalAddr().String(), "192.0.2.1:123", "[2001:db8::1]:443"} {
		t.Run(target, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				end := session{as: as, command: []string{shop.agent(t), "udp", target}}.run(t)
				if diff := cmp.Diff("connected ECONNRESET\nunconnected EACCES\n", end.stdout); diff != "" {
					t.Errorf("sends (-want +got):\n%s", diff)
				}
			})
		})
	}
	// What the sessions sent on loopback would be in the queue by now.
	if err := listener.SetReadDeadline(time.Now()); err != nil {
		t.Fatalf("set deadline: %v", err)
	}
	if n, from, err := listener.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("a datagram of %d bytes from %s arrived", n, from)
	}
}

// TestSocketsRefused asks for each kind of socket that boundary does not
// carry. Those that programs do without if told so get the errno that makes
// them; what only an attack asks for is recorded.
func TestSocketsRefused(t *testing.T) {
	// EOPNOTSUPP and ENOTSUP are one number, and the latter is its name in Go.
	exact := map[string]string{"mptcp": "EPROTONOSUPPORT", "io_uring": "ENOSYS", "fastopen": "ENOTSUP"}
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, command: []string{shop.agent(t), "sockets"}}.run(t)
		lines := strings.Split(strings.TrimSpace(end.stdout), "\n")
		if len(lines) != 17 {
			t.Errorf("the agent tried %d sockets, want 17", len(lines))
		}
		for _, line := range lines {
			kind, errno, _ := strings.Cut(line, " ")
			// EFAULT is the kernel's answer to the made-up arguments of a
			// call that was let through.
			if errno == "ok" || errno == "EFAULT" {
				t.Errorf("%s was not refused: %s", kind, errno)
			}
			if want, ok := exact[kind]; ok && errno != want {
				t.Errorf("%s was refused with %s, want %s", kind, errno, want)
			}
		}
		refused := end.records.of("refused", "")
		families := []string{"AF_PACKET", "AF_VSOCK"}
		if as == docker {
			// Docker's own profile refuses vsock first, with nobody asked.
			families = families[:1]
		}
		for _, family := range families {
			// Docker's own filter has AF_VSOCK refused before boundary hears of it.
			if !mentions(refused, family) && (as != docker || family != "AF_VSOCK") {
				t.Errorf("no record says that %s was refused", family)
			}
		}
	})
}

// mentions reports whether a record's line contains a text.
func mentions(all records, text string) bool {
	for _, one := range all {
		if strings.Contains(one.line, text) {
			return true
		}
	}
	return false
}

// TestTLSDNSRefused dials DNS over TLS, which would carry names past the
// resolver.
func TestTLSDNSRefused(t *testing.T) {
	policy := "allow \"all\" {\n  protocol = \"tcp\"\n  hosts = [\"*\"]\n  ports = [853]\n}\n"
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: policy, command: []string{shop.agent(t), "dial", "tcp", "192.0.2.53:853"}}.run(t)
		checkErrno(t, end.stdout, "EACCES", time.Second)
	})
}
