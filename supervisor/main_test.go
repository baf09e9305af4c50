package supervisor

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/sirupsen/logrus"

	"boundary/audit"
	"boundary/policies"
)

// namedArg makes the test binary a process with a name of its choice.
const namedArg = "supervisor-test-named"

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
		policy: parsed, audit: log, log: quiet, ctx: tb.Context(), names: newNames(), peers: newPeers(), repeats: newRepeats(),
		listeners: newListeners(), surrogates: newSurrogates(), sources: newSources(), unixNames: newUnixNames(),
		procs: newProcesses(), finder: newGetfdFinder(),
	}
	s.upstreamProxy = upstreamProxy(s.policy)
	s.resolver = newResolver(s)
	return s
}
