package integration

import (
	"path/filepath"
	"testing"
)

// TestStatus checks that exec ends as its command did.
func TestStatus(t *testing.T) {
	tests := []struct {
		name    string
		command []string
		want    int
	}{
		{"success", []string{"true"}, 0},
		{"failure", []string{"sh", "-c", "exit 7"}, 7},
		{"highest", []string{"sh", "-c", "exit 255"}, 255},
		{"terminated", []string{"sh", "-c", "kill -TERM $$"}, 143},
		{"killed", []string{"sh", "-c", "kill -KILL $$"}, 137},
		{"aborted", []string{"sh", "-c", "kill -ABRT $$"}, 134},
		{"no such command", []string{"no-such-command"}, 127},
		{"no such path", []string{"./no/such/path"}, 127},
		{"not executable", []string{"./policy.hcl"}, 126},
		{"folder", []string{"/etc"}, 126},
		{"not a program", []string{"./not-a-program"}, 126},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				dir := as.dir(t)
				// Executable for those who may execute it, but no program: its
				// interpreter does not exist, or its format is unknown.
				writeProgram(t, as, filepath.Join(dir, "not-a-program"), "\x7fELF but not really")
				end := session{as: as, dir: dir, policy: denyAll, command: test.command}.run(t)
				if end.status != test.want {
					t.Errorf("the status is %d, want %d", end.status, test.want)
				}
				if test.want == 126 || test.want == 127 {
					checkOneLine(t, end.stderr)
				}
			})
		})
	}
}

// denyAll is a policy with a rule that is never of use.
const denyAll = "deny \"all\" {\n  hosts = [\"*\"]\n}\n"
