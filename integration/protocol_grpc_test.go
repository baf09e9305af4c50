package integration

import (
	"fmt"
	"strings"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
)

// grpcClient returns the program that calls the test service.
func grpcClient(t testing.TB) string {
	t.Helper()
	return shop.file(t, "grpcclient", func(path string) error {
		return tool(".", []string{"CGO_ENABLED=0"}, "go", "build", "-o", path, "./internal/grpcclient")
	})
}

// TestGRPC makes calls of every kind, with TLS and without, alone and within
// boundary: the program must see the same. A service that no rule allows is
// denied in a way that gRPC understands.
func TestGRPC(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	secure, plain := startGRPC(t, outside.Authority), startGRPC(t, nil)
	policy := fmt.Sprintf(`allow "service" {
  hosts   = ["grpc.example.com"]
  ports   = [443, 8080]
  methods = ["POST"]
  paths   = ["/grpc.testing.TestService/*"]
}
upstream {
  ca_file = %q
  resolve = { "grpc.example.com:443" = %q, "grpc.example.com:8080" = %q }
}
`, caFile(t, outside), secure.Addr(), plain.Addr())
	for name, command := range map[string][]string{
		"TLS":    {grpcClient(t), "grpc.example.com:443", secure.Addr()},
		"no TLS": {grpcClient(t), "-plain", "grpc.example.com:8080", plain.Addr()},
	} {
		t.Run(name, func(t *testing.T) {
			want := alone(t, trusting(t, outside), command)
			eachMode(t, func(t *testing.T, as mode) {
				end := session{as: as, policy: policy, command: command[:len(command)-1]}.run(t)
				if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(end.stdout, "\n")); diff != "" {
					t.Errorf("what it saw (-alone +within boundary):\n%s", diff)
				}
			})
		})
	}
	t.Run("denied", func(t *testing.T) {
		closed := strings.Replace(policy, "TestService/*", "TestService/EmptyCall", 1)
		end := session{as: asUser, policy: closed, command: []string{grpcClient(t), "grpc.example.com:443"}}.run(t)
		if !strings.Contains(end.stdout, "PermissionDenied") || !strings.Contains(end.stdout, blocked) {
			t.Errorf("the program was not told that it was denied, and why")
		}
	})
}

// startGRPC starts a server that ends with the test.
func startGRPC(t testing.TB, authority *origin.Authority) *origin.GRPC {
	t.Helper()
	server, err := origin.StartGRPC(authority)
	if err != nil {
		t.Fatalf("start gRPC server: %v", err)
	}
	t.Cleanup(server.Close)
	return server
}
