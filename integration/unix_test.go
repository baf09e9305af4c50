package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
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
to-fd hello hello NotADirectoryError
to-cwd hello hello NotADirectoryError
to-root hello hello NotADirectoryError
to-link hello hello NotADirectoryError
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

// TestUnixNames reaches sockets that a rule allows by their paths, which their
// owners bound by other names: to a temporary one, or in another network
// namespace, where the kernel tells none. One that was moved from another
// folder is refused by the name that it was bound to, which a rule can allow.
func TestUnixNames(t *testing.T) {
	requireRoot(t)
	folder, err := os.MkdirTemp("", "boundary-names-")
	if err != nil {
		t.Fatalf("make folder: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, dir := range []string{folder, at("away")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	greet(t, at("temporary.x7"))
	greet(t, at("away/moved"))
	elsewhere := newPlace(t, func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if err := elsewhere.do(func() error { return serveGreeting(t, at("away/namespace")) }); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"temporary.x7": "temporary", "away/moved": "moved", "away/namespace": "namespace"} {
		if err := errors.Join(os.Chmod(at(from), 0o777), os.Rename(at(from), at(to))); err != nil {
			t.Fatal(err)
		}
	}
	const script = `
import socket, sys
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            print(s.recv(100).decode())
        except OSError as e:
            print(type(e).__name__)
`
	rule := func(paths ...string) string {
		return fmt.Sprintf("allow \"outside\" {\n  protocol = \"unix\"\n  paths    = [\"%s\"]\n}\n", strings.Join(paths, `", "`))
	}
	eachMode(t, func(t *testing.T, as mode) {
		command := []string{program(t, "python3"), "-c", script, at("temporary"), at("namespace"), at("moved")}
		end := session{as: as, policy: rule(at("*")), command: command}.run(t)
		if diff := cmp.Diff("outside\noutside\nPermissionError\n", end.stdout); diff != "" {
			t.Errorf("reached (-want +got):\n%s", diff)
		}
		denied := end.records.decided("deny")
		if len(denied) != 1 || denied[0].Path != at("away/moved") || denied[0].Reason != "other-name" {
			t.Errorf("denied: %+v", denied)
		}
		end = session{as: as, policy: rule(at("*"), at("away/moved")), command: command}.run(t)
		if diff := cmp.Diff("outside\noutside\noutside\n", end.stdout); diff != "" {
			t.Errorf("reached with a rule for the name (-want +got):\n%s", diff)
		}
	})
}

// greet listens on a unix socket outside of every session.
func greet(t *testing.T, address string) {
	t.Helper()
	if err := serveGreeting(t, address); err != nil {
		t.Fatal(err)
	}
}

// serveGreeting is greet for a thread that is not the test's own.
func serveGreeting(t *testing.T, address string) error {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: address})
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
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
	return nil
}
