package integration

import (
	"fmt"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// TestOlderKernels runs sessions where one of the guards is missing that
// boundary can do without. It says so, does its work all the same, and does
// not start where the policy requires the guard. Docker's profile on such a
// kernel is that on top.
func TestOlderKernels(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	upstream := "allow \"flood\" {\n  hosts = [\"*.flood.test\"]\n}\n" + outside.Upstream(caFile(t, outside), "h0.flood.test", "h1.flood.test")
	tests := []struct{ profile, missing string }{
		{"no-landlock", "landlock-net"},
		{"no-landlock", "landlock-scope"},
		{"no-getfd", "pidfd-getfd"},
		{"no-killable", "seccomp-wait-killable"},
	}
	for _, test := range tests {
		t.Run(test.missing, func(t *testing.T) {
			wrap := []string{shop.confine(t), test.profile}
			eachMode(t, func(t *testing.T, as mode) {
				// Go's runtime sends its threads signals, which interrupt connects.
				command := []string{shop.agent(t), "flood", "4", "100", "h0.flood.test", "h1.flood.test"}
				end := session{as: as, policy: upstream, wrap: wrap, command: command, stdin: strings.NewReader("")}.run(t)
				if got := len(end.records.requests("")); end.status != 0 || got != 400 {
					t.Errorf("status %d, and the log has %d requests, want 400", end.status, got)
				}
				if want := fmt.Sprintf("%q", test.missing); !mentions(end.records.of("session.start", ""), want) {
					t.Errorf("session.start does not name %s", test.missing)
				}
				strict := fmt.Sprintf("require = [%q]\n", test.missing)
				end = session{as: as, policy: strict, wrap: wrap, command: []string{"echo", "started"}}.run(t)
				if end.status != 125 || end.stdout != "" || !strings.Contains(end.stderr, test.missing) {
					t.Errorf("with %s required: status %d, %q", test.missing, end.status, end.stderr)
				}
			})
		})
	}
}

// TestInterruptedConnect connects while a timer's signal interrupts every
// call, with the kernel's WAIT_KILLABLE_RECV and without it: each connect is
// answered once, and not EISCONN the second time that the kernel runs it.
func TestInterruptedConnect(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"all\" {\n  hosts = [\"*\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost)
	for _, profile := range []string{"", "no-killable"} {
		t.Run("profile "+profile, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				s := session{as: as, policy: policy}
				if profile != "" {
					s.wrap = []string{shop.confine(t), profile}
				}
				s.command = append(python(t, "interrupted.py"), allowedHost, "300")
				if end := s.run(t); end.stdout != "AF_INET ok 300\nAF_UNIX ok 300\n" {
					t.Errorf("the connects were answered:\n%s", end.stdout)
				}
			})
		})
	}
}
