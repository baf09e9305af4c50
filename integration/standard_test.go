package integration

import (
	"net"
	"os"
	"strings"
	"testing"
)

// TestStandardSocket gives boundary a network socket as standard input. The
// agent keeps it, so that is said, to the person and in the log.
func TestStandardSocket(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	eachMode(t, func(t *testing.T, as mode) {
		conn, err := net.Dial("tcp4", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		file, err := conn.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		end := session{as: as, policy: denyAll, stdin: file, command: []string{"true"}}.run(t)
		start := end.records.of("session.start", "")
		for _, want := range []string{`"fd":0`, `"AF_INET"`, `"SOCK_STREAM"`, listener.Addr().String()} {
			if !mentions(start, want) {
				t.Errorf("session.start does not name %s", want)
			}
		}
		if want := "standard input is a network socket"; !strings.Contains(end.stderr, want) {
			t.Errorf("stderr lacks %q", want)
		}
	})
}

// TestInheritedNumbers leaves files open at all kinds of numbers, and none gets
// to the agent.
func TestInheritedNumbers(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		files := make([]*os.File, 1000)
		for _, at := range []int{0, 1, 5, 61, 252, 253, 999} {
			f, err := os.Open("/")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			files[at] = f
		}
		end := session{as: as, policy: denyAll, files: files, command: []string{"ls", "/proc/self/fd"}}.run(t)
		// The fourth is that of the folder which ls reads.
		if want := "0\n1\n2\n3\n"; end.stdout != want {
			t.Errorf("open descriptors: %q, want %q", end.stdout, want)
		}
	})
}
