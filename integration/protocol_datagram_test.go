package integration

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// TestHTTP3FallsBack has a client try HTTP/3 first: it is refused at once, so
// that nobody waits for it, recorded, and the page comes by TCP.
func TestHTTP3FallsBack(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := protocolPolicy(t, outside)
	client := shop.file(t, "h3client", func(path string) error {
		return tool(".", []string{"CGO_ENABLED=0"}, "go", "build", "-o", path, "./internal/h3client")
	})
	const most = 1000 // milliseconds; QUIC's own patience is five seconds
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: policy, command: []string{client, "https://" + allowedHost + "/json"}}.run(t)
		first, page, _ := strings.Cut(end.stdout, "\n")
		if took, err := strconv.Atoi(first); err != nil || took > most {
			t.Errorf("HTTP/3 failed after %q ms, want at most %d", first, most)
		}
		if !strings.Contains(page, marker) {
			t.Errorf("by TCP the client got %q", page)
		}
		if denied := end.records.of("connect", allowedHost).decided("deny"); len(denied) == 0 || denied[0].Protocol != "udp" || denied[0].Port != 443 {
			t.Errorf("the refusal is not recorded: %v", denied)
		}
	})
}

// TestUDPRule asks a name server on a port that a `udp` rule names, by a client
// that checks where answers come from, and on one that none names.
func TestUDPRule(t *testing.T) {
	port := freePort(t)
	names, err := startNameserver(net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatalf("start name server: %v", err)
	}
	defer func() {
		if err := names.close(); err != nil {
			t.Errorf("close name server: %v", err)
		}
	}()
	policy := fmt.Sprintf("allow \"names\" {\n  protocol = \"udp\"\n  hosts = [\"ns.example.com\"]\n  ports = [5354]\n}\n"+
		"upstream {\n  resolve = { \"ns.example.com\" = \"127.0.0.1:%s\" }\n}\n", port)
	dig := func(port string) []string {
		return []string{program(t, "dig"), "+short", "+notcp", "+tries=1", "+time=5", "-p", port, "@ns.example.com", "asked.example.org", "A"}
	}
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: policy, command: dig("5354")}.run(t)
		if end.status != 0 || end.stdout != "127.0.0.1\n" {
			t.Errorf("dig ended with %d and printed %q", end.status, end.stdout)
		}
		if one := end.records.of("connect", "ns.example.com").decided("allow"); len(one) == 0 || one[0].Rule != "names" || one[0].Protocol != "udp" {
			t.Errorf("the datagrams are not recorded: %v", one)
		}
		before := len(names.queries("asked.example.org"))
		end = session{as: as, policy: policy, command: dig("5355")}.run(t)
		if end.status == 0 || len(end.records.of("connect", "ns.example.com").decided("deny")) == 0 || len(names.queries("asked.example.org")) != before {
			t.Errorf("a port that no rule names was answered: %d, %q", end.status, end.stdout)
		}
	})
}
