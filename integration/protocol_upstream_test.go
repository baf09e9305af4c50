package integration

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
)

// TestUpstreamProxy has the outside reachable by a corporate proxy alone, which
// wants a password and knows the hosts that no name server here does.
func TestUpstreamProxy(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	grpc := startGRPC(t, nil)
	to := map[string]string{
		allowedHost + ":80": outside.HTTPAddr(), allowedHost + ":443": outside.TLSAddr(),
		"pinned.example.com:443": outside.TLSAddr(), "grpc.example.com:8080": grpc.Addr(),
	}
	for scheme, authority := range map[string]*origin.Authority{"http": nil, "https": outside.Authority} {
		t.Run(scheme, func(t *testing.T) {
			proxy, err := origin.StartProxy(authority, to)
			if err != nil {
				t.Fatalf("start proxy: %v", err)
			}
			defer proxy.Close()
			url := func(who string) string { return scheme + "://" + who + "@" + proxy.Addr() }
			rules := fmt.Sprintf(`allow "outside" {
  hosts = [%q, "unknown.example.com"]
}
allow "service" {
  hosts = ["grpc.example.com"]
  ports = [8080]
}
allow "pinned" {
  hosts    = ["pinned.example.com"]
  protocol = "tls"
}
`, allowedHost)
			upstream := func(more string) string {
				return fmt.Sprintf("upstream {\n  ca_file = %q\n  %s\n}\n", caFile(t, outside), more)
			}
			eachMode(t, func(t *testing.T, as mode) {
				inPolicy := session{as: as, policy: rules + upstream(fmt.Sprintf("proxy = %q", url("user:secret")))}
				testUpstreamProxy(t, proxy, inPolicy)
				testProxyTunnels(t, outside, proxy, inPolicy)
				variables := []string{"HTTP_PROXY=" + url("user:secret"), "https_proxy=" + url("user:secret"), "NO_PROXY=.internal"}
				testUpstreamProxy(t, proxy, session{as: as, policy: rules + upstream(""), env: variables})
				testProxyRefuses(t, session{as: as, policy: rules + upstream(fmt.Sprintf("proxy = %q", url("user:wrong")))})
			})
		})
	}
}

// testUpstreamProxy makes requests, and one for a host that no rule allows.
func testUpstreamProxy(t *testing.T, proxy *origin.Proxy, s session) {
	t.Helper()
	before := len(proxy.Seen())
	for _, scheme := range []string{"http", "https"} {
		// Without --noproxy curl uses the variables itself, which is another
		// way to come to the same; it verifies proxies by roots of its own.
		for _, further := range [][]string{{"--proxy-insecure"}, {"--noproxy", "*"}} {
			argv := append([]string{program(t, "curl"), "-sS"}, further...)
			s.command = append(argv, scheme+"://"+allowedHost+"/http/seen")
			if end := s.run(t); end.status != 0 || !strings.Contains(end.stdout, `"target":"/http/seen"`) || strings.Contains(end.stdout, "Proxy") {
				t.Errorf("%s: curl ended with %d and got %q", scheme, end.status, end.stdout)
			}
		}
	}
	s.command = []string{program(t, "curl"), "-sS", "--noproxy", "*", "https://" + deniedHost + "/"}
	if end := s.run(t); !strings.Contains(end.stdout, blocked) {
		t.Errorf("a denied request was answered by %q", end.stdout)
	}
	seen := proxy.Seen()[before:]
	slices.Sort(seen)
	absolute, tunnel := "GET http://"+allowedHost+":80/http/seen", "CONNECT "+allowedHost+":443"
	if diff := cmp.Diff([]string{tunnel, tunnel, absolute, absolute}, seen); diff != "" {
		t.Errorf("what the proxy was asked (-want +got):\n%s", diff)
	}
}

// testProxyTunnels makes connections that a proxy can only tunnel.
func testProxyTunnels(t *testing.T, outside *origin.Server, proxy *origin.Proxy, s session) {
	t.Helper()
	s.command = []string{program(t, "curl"), "-sS", "--noproxy", "*", "--cacert", caFile(t, outside), "https://pinned.example.com/json"}
	end := s.run(t)
	one := end.records.of("connect", "pinned.example.com").decided("allow")
	if end.status != 0 || !strings.Contains(end.stdout, marker) || len(one) != 2 || one[1].Upstream != proxy.Addr() {
		t.Errorf("a relayed connection ended with %d and %q", end.status, end.stdout)
	}
	s.command = []string{grpcClient(t), "-plain", "grpc.example.com:8080"}
	if end := s.run(t); end.status != 0 {
		t.Errorf("HTTP/2 without TLS ended with %d", end.status)
	}
}

// testProxyRefuses has the proxy not know the password, and then no host: the
// agent is told so, and not asked for a password.
func testProxyRefuses(t *testing.T, s session) {
	t.Helper()
	for _, scheme := range []string{"http", "https"} {
		s.command = []string{program(t, "curl"), "-sSi", "--noproxy", "*", scheme + "://" + allowedHost + "/"}
		end := s.run(t)
		if !strings.Contains(end.stdout, " 502") || !strings.Contains(end.stdout, "proxy that leads outside answered 407") ||
			strings.Contains(end.stdout, "Proxy-Authenticate") || strings.Contains(end.stdout+end.stderr, "wrong") {
			t.Errorf("%s: the agent was told %q", scheme, end.stdout)
		}
		for _, one := range end.records {
			if strings.Contains(one.line, "wrong") {
				t.Errorf("a record has the password: %s", one.line)
			}
		}
	}
}

// TestIPv6Only reaches a host that has but an IPv6 address, by programs whose
// own socket is of either family.
func TestIPv6Only(t *testing.T) {
	plain, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	secure, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	outside := startOrigin(t, origin.Options{HTTP: plain, TLS: secure})
	policy := protocolPolicy(t, outside)
	eachMode(t, func(t *testing.T, as mode) {
		for _, scheme := range []string{"http", "https"} {
			end := session{as: as, policy: policy, command: curl(t, "GET", scheme+"://"+allowedHost+"/json")}.run(t)
			if !strings.Contains(end.stdout, marker) || !strings.Contains(end.stdout, "200") {
				t.Errorf("%s: curl ended with %d and got %q", scheme, end.status, end.stdout)
			}
		}
	})
}
