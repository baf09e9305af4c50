package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnixSockets uses the session's own unix sockets, which need no rule, and
// tries one of a program outside by its path and its abstract name: refused
// without a rule, and reached with one. A path or a name that nobody has is no
// denial.
func TestUnixSockets(t *testing.T) {
	folder, err := os.MkdirTemp("", "boundary-outside-")
	if err != nil {
		t.Fatalf("make folder: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatalf("open folder: %v", err)
	}
	path := filepath.Join(folder, "outside.sock")
	abstract := fmt.Sprintf("@boundary-outside-%d", os.Getpid())
	for _, address := range []string{path, abstract} {
		greet(t, address)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatalf("open socket: %v", err)
	}
	own := `relative hello
relative closed ConnectionRefusedError
absolute hello
absolute closed ConnectionRefusedError
abstract hello
abstract closed ConnectionRefusedError
abstract with NUL hello
abstract with NUL closed ConnectionRefusedError
mode 700
sendto sendmsg
pair
`
	tests := []struct{ name, policy, outside string }{
		{"without a rule", denyAll, "PermissionError"},
		{"with a rule", fmt.Sprintf("allow \"outside\" {\n  protocol = \"unix\"\n  paths    = [%q, %q]\n}\n", path, abstract), "outside"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				dir := as.dir(t)
				end := session{as: as, dir: dir, policy: test.policy, command: python(t, "unix_own.py", dir, path, abstract)}.run(t)
				want := own + fmt.Sprintf("outside %s\noutside %s\n", test.outside, test.outside) + "nobody FileNotFoundError ConnectionRefusedError\n" +
					fmt.Sprintf("squatted %s\nforged OSError\n", test.outside)
				if diff := cmp.Diff(want, end.stdout); diff != "" {
					t.Errorf("unix sockets (-want +got):\n%s", diff)
				}
				if got := len(end.records.of("connect", "")); got != 3 {
					t.Errorf("%d connects are recorded, want the three to outside", got)
				}
			})
		})
	}
}

// greet listens on a unix socket outside of every session.
func greet(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatalf("listen on %s: %v", address, err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("outside"))
			conn.Close()
		}
	}()
}
