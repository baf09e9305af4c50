package seccomp

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childArg makes the test binary a child that does what can't be undone: it
// puts a thread of its own behind a filter or into a domain.
const childArg = "seccomp-test-child"

// children are the parts that a child can play. Each runs on a locked thread
// and prints lines "what: result", which the test compares.
var children = map[string]func(args []string){
	"refuse":       refuseChild,
	"foreign":      foreignChild,
	"landlock":     landlockChild,
	"trace":        traceChild,
	"capabilities": capabilitiesChild,
	"user":         userChild,
	"trapped":      trappedChild,
	"idle":         idleChild,
}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		runtime.LockOSThread()
		children[os.Args[2]](os.Args[3:])
		return
	}
	os.Exit(m.Run())
}

// child is the command for a part; the test starts it. One that hangs is
// killed, so that nobody waits for it.
func child(t *testing.T, part string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{childArg, part}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// play runs a part to its end and returns what it printed.
func play(t *testing.T, part string, args ...string) map[string]string {
	t.Helper()
	out, err := child(t, part, args...).Output()
	if err != nil {
		t.Fatalf("child %s: %v\n%s", part, err, out)
	}
	got := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		what, result, _ := strings.Cut(lines.Text(), ": ")
		got[what] = result
	}
	return got
}

// say prints a line of a child's: "ok" or the name of an errno.
func say(what string, err error) {
	result := "ok"
	if errno, ok := err.(unix.Errno); ok && errno != 0 {
		result = unix.ErrnoName(errno)
	} else if err != nil && !ok {
		result = err.Error()
	}
	fmt.Printf("%s: %s\n", what, result)
}

// must ends a child that can't go on.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
}

func noNewPrivs() { must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) }

// kernelAtLeast says whether the running kernel is of a version or later.
func kernelAtLeast(t *testing.T, major, minor int) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var gotMajor, gotMinor int
	release := unix.ByteSliceToString(u.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &gotMajor, &gotMinor); err != nil {
		t.Fatalf("kernel release %q: %v", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}
