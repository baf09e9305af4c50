package supervisor

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
)

// What makes the test binary a process of the tests'.
const (
	namedArg = "supervisor-test-named" // with a name of its choice
	movedArg = "supervisor-test-moved" // which goes elsewhere, and for root becomes otherUser, once it is told
)

// otherUser is one that nobody is.
const otherUser = 65533

// moved is the process of movedArg.
func moved() error {
	fmt.Println("started")
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := syscall.Setuid(otherUser); err != nil {
			return err
		}
	}
	fmt.Println("moved")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == namedArg {
		// As prctl(PR_SET_NAME) on the main thread (proc_pid_comm(5)).
		if err := os.WriteFile("/proc/self/comm", []byte(os.Args[2]), 0); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(3)
		}
		fmt.Println("named")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	if len(os.Args) == 2 && os.Args[1] == movedArg {
		if err := moved(); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(3)
		}
		return
	}
	os.Exit(m.Run())
}

// testSession is a session without an agent: what decides and records is real.
func testSession(tb testing.TB, policy string) *Session {
	tb.Helper()
	parsed, diags := policies.Parse(policies.Options{}, "test.hcl", []byte(policy))
	if err := diags.Err(); err != nil {
		tb.Fatal(err)
	}
	log, err := audit.Open(audit.Options{Path: tb.TempDir() + "/audit.jsonl"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { log.Close() })
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	s := &Session{
		policy: parsed, audit: log, log: quiet, ctx: tb.Context(), names: newNames(), peers: newPeers[sockaddr](), connectors: newPeers[unix.Ucred](), repeats: newRepeats(),
		listeners: newListeners(), surrogates: newSurrogates(), sources: newSources(), unixNames: newUnixNames(),
		poller: newPoller(), turns: newTurns(turnsEach), threads: newTurns(1), apart: newShares(maxApart), descriptors: newShares(descriptorsToDeal()),
		procs: newProcesses(), finder: newGetfdFinder(),
	}
	s.upstreamProxy = upstreamProxy(s.policy)
	s.resolver = newResolver(s)
	return s
}
