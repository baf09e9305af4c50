package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
)

// TestSockets has a program connect in all ways that there are: alone, to a peer
// that a `tcp` rule allows, and by way of the proxy. It must see the same.
func TestSockets(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
			if err != nil {
				t.Fatalf("listen: %v", err)
			}
			startOrigin(t, origin.Options{HTTP: l})
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				t.Fatalf("read address: %v", err)
			}
			closed := freePort(t)
			argv := python(t, "sockets.py", address, port, closed)
			want := alone(t, nil, argv)
			for _, protocol := range []string{"tcp", "http"} {
				policy := fmt.Sprintf("allow \"server\" {\n  protocol = %q\n  hosts = [%q]\n  ports = [%s]\n  private = true\n}\n"+
					"allow \"closed\" {\n  protocol = \"tcp\"\n  hosts = [%q]\n  ports = [%s]\n  private = true\n}\n", protocol, address, port, address, closed)
				t.Run(protocol, func(t *testing.T) {
					eachMode(t, func(t *testing.T, as mode) {
						end := session{as: as, policy: policy, command: argv}.run(t)
						if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(end.stdout, "\n")); diff != "" {
							t.Errorf("what it saw (-alone +within boundary):\n%s", diff)
						}
					})
				})
			}
		})
	}
}
