package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
)

// TestWebSocket has messages of all sizes sent back, alone and within boundary:
// the program must see the same. Where the rule's methods lack WEBSOCKET the
// upgrade is refused.
func TestWebSocket(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := protocolPolicy(t, outside)
	client := shop.file(t, "wsclient", func(path string) error {
		return tool(".", []string{"CGO_ENABLED=0"}, "go", "build", "-o", path, "./internal/wsclient")
	})
	for scheme, address := range map[string]string{"ws": outside.HTTPAddr(), "wss": outside.TLSAddr()} {
		t.Run(scheme, func(t *testing.T) {
			argv := []string{client, scheme + "://" + allowedHost + "/websocket"}
			want := alone(t, trusting(t, outside), append(argv, address))
			eachMode(t, func(t *testing.T, as mode) {
				end := session{as: as, policy: policy, command: argv}.run(t)
				if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(end.stdout, "\n")); diff != "" {
					t.Errorf("what it saw (-alone +within boundary):\n%s", diff)
				}
				for _, one := range end.records.requests(allowedHost) {
					if one.Method != "WEBSOCKET" {
						t.Errorf("the record has another method: %s", one.line)
					}
				}
			})
			refusing := strings.Replace(policy, "hosts =", "methods = [\"GET\"]\n  hosts =", 1)
			end := session{as: asUser, policy: refusing, command: argv}.run(t)
			if end.status == 0 || !strings.Contains(end.stdout, "refused 403") || !strings.Contains(end.stdout, blocked) {
				t.Errorf("an upgrade that the rule does not name ended with %d: %s", end.status, end.stdout)
			}
		})
	}
}

// TestEventsAreNotHeld reads events, each of which the origin sends only once
// the one before was acknowledged: whatever held one back would hold all.
func TestEventsAreNotHeld(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := protocolPolicy(t, outside)
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				argv := []string{shop.agent(t), "events", scheme + "://" + allowedHost}
				end := session{as: as, policy: policy, command: argv}.run(t)
				if diff := cmp.Diff("data: 0\ndata: 1\ndata: 2\n", end.stdout); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// BenchmarkEvents measures by how much an event comes later than it was sent,
// at several rates, straight and through boundary.
func BenchmarkEvents(b *testing.B) {
	outside := startOrigin(b, origin.Options{})
	ca := caFile(b, outside)
	c := newBench(b, protocolPolicy(b, outside))
	for _, pause := range []string{"100us", "5ms", "50ms"} {
		b.Run("https/"+pause, func(b *testing.B) {
			c := bench{b, c.dir}
			argv := []string{shop.agent(b), "lateness"}
			page := fmt.Sprintf("/http/clock/100/%s", pause)
			var bare, within []float64
			for b.Loop() {
				straight := c.bare(append(argv, "https://"+outside.TLSAddr()+page)...)
				straight.Env = append(straight.Env, "SSL_CERT_FILE="+ca)
				bare = append(bare, c.number(straight)/1000)
				within = append(within, c.number(c.within(append(argv, "https://"+allowedHost+page)...))/1000)
			}
			report(b, "µs-late", median(bare), median(within))
		})
	}
}

// TestManyStreams makes many requests at once on a few HTTP/2 connections.
func TestManyStreams(t *testing.T) {
	prior := new(http.Protocols)
	prior.SetUnencryptedHTTP2(true)
	outside := startOrigin(t, origin.Options{Protocols: prior})
	policy := protocolPolicy(t, outside)
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				argv := []string{program(t, "h2load"), "-n", "1000", "-c", "4", "-m", "100", scheme + "://" + allowedHost + "/bytes/5000"}
				end := session{as: as, policy: policy, command: argv}.run(t)
				if !strings.Contains(end.stdout, "1000 succeeded, 0 failed, 0 errored") || !strings.Contains(end.stdout, "1000 2xx") {
					t.Errorf("not all requests succeeded: %s", end.stdout)
				}
				if n := len(end.records.requests(allowedHost).decided("allow")); n != 1000 {
					t.Errorf("%d requests are recorded, want 1000", n)
				}
			})
		})
	}
}

// TestLargeBothWays sends a large body that comes back as it goes: were either
// held anywhere, both sides would wait for ever.
func TestLargeBothWays(t *testing.T) {
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	outside := startOrigin(t, origin.Options{Protocols: both})
	policy := protocolPolicy(t, outside)
	large := filepath.Join(asUser.dir(t), "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("0123456789abcdef"), 4<<20), 0o644); err != nil {
		t.Fatalf("write file: %v", err)
	}
	for name, argv := range map[string][]string{
		"http/1.1":  {"--http1.1", "http://" + allowedHost + "/echo"},
		"http/2":    {"--http2-prior-knowledge", "http://" + allowedHost + "/echo"},
		"https/1.1": {"--http1.1", "https://" + allowedHost + "/echo"},
		"https/2":   {"--http2", "https://" + allowedHost + "/echo"},
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				dir := as.dir(t)
				if err := os.Chmod(filepath.Dir(large), 0o755); err != nil {
					t.Fatalf("open folder to others: %v", err)
				}
				command := append([]string{program(t, "curl"), "-sSf", "-T", large, "-o", "back", "-w", "%{http_version}"}, argv...)
				end := session{as: as, dir: dir, policy: policy, command: command}.run(t)
				if end.status != 0 || !strings.HasPrefix(end.stdout, name[strings.Index(name, "/")+1:]) {
					t.Errorf("curl ended with %d and spoke HTTP/%s", end.status, end.stdout)
				}
				if err := tool(dir, nil, program(t, "cmp"), large, "back"); err != nil {
					t.Errorf("what came back is not what was sent: %v", err)
				}
			})
		})
	}
}
