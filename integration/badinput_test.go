package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// badInput is a way to call boundary that it must refuse.
type badInput struct {
	name string
	// prepare makes files in the working folder.
	prepare func(t *testing.T, as mode, dir string)
	policy  string
	flags   []string
	wrap    []string // a profile of confine
	nested  bool     // within another session
	// says are regular expressions that stderr must match.
	says []string
	long bool // several lines are in order
	user bool // means nothing to root, who may do anything
}

// badInputs returns all of them.
func badInputs() []badInput {
	return []badInput{
		{
			name:   "policy with errors",
			policy: "allow \"one\" {\n  hosts = [\"a.test\"]\n  metods = [\"b.test\"]\n}\n\nalow \"two\" {\n}\n\nallow \"three\" {\n  hosts = [\"c.test\"]\n  methods = \"GET\"\n}\n",
			says:   []string{`policy\.hcl`, `line 3`, `metods`, `"methods"`, `line 6`, `alow`, `line 11|line 9`},
			long:   true,
		},
		{
			name:   "policy that is not HCL",
			policy: "allow \"one\" {\n  hosts = [\"a.test\"\n",
			says:   []string{`policy\.hcl`, `line [23]`},
			long:   true,
		},
		{name: "missing policy", flags: []string{"-p", "missing.hcl"}, says: []string{`missing\.hcl`, `no such file`}},
		{
			name:  "folder for a policy",
			flags: []string{"-p", "folder.hcl"},
			prepare: func(t *testing.T, as mode, dir string) {
				if err := os.Mkdir(filepath.Join(dir, "folder.hcl"), 0o755); err != nil {
					t.Fatalf("make folder: %v", err)
				}
			},
			says: []string{`folder\.hcl`, `directory`},
		},
		{
			name:  "unreadable policy",
			flags: []string{"-p", "secret.hcl"},
			prepare: func(t *testing.T, as mode, dir string) {
				as.write(t, filepath.Join(dir, "secret.hcl"), denyAll)
				if err := os.Chmod(filepath.Join(dir, "secret.hcl"), 0); err != nil {
					t.Fatalf("close file: %v", err)
				}
			},
			says: []string{`secret\.hcl`, `permission denied`},
			user: true,
		},
		{name: "missing authority", policy: "upstream {\n  ca_file = \"missing.pem\"\n}\n", says: []string{`missing\.pem`}, long: true},
		{name: "unknown guard", policy: "require = [\"landlock-nett\"]\n", says: []string{`landlock-nett`, `landlock-net\b`}, long: true},
		{name: "unknown flag", flags: []string{"--alow", "x"}, says: []string{`--alow`}},
		{name: "malformed allow", flags: []string{"--allow", "ftp://a.test/"}, says: []string{`--allow`}, long: true},
		{name: "log where none can be made", flags: []string{"--audit", "/proc/missing/audit.jsonl"}, says: []string{`/proc/missing`}},
		{name: "log that is a folder", flags: []string{"--audit", "/etc"}, says: []string{`/etc`}},
		{name: "kernel without notification", wrap: []string{"no-notify"}, says: []string{`(?i)notif`}},
		{name: "kernel without seccomp", wrap: []string{"no-seccomp"}, says: []string{`(?i)seccomp|notif`}},
		{name: "listener already held", nested: true, says: []string{`(?i)inside|within|another|already`}},
	}
}

// TestBadInput checks that each of them ends with status 125 and an error
// that names what is wrong, and that the agent is not started.
func TestBadInput(t *testing.T) {
	for _, bad := range badInputs() {
		t.Run(bad.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				if bad.user && as == asRoot {
					as = asUser
				}
				bad.test(t, as)
			})
		})
	}
}

// test makes the call.
func (bad badInput) test(t *testing.T, as mode) {
	dir := as.dir(t)
	if bad.prepare != nil {
		bad.prepare(t, as, dir)
	}
	s := session{as: as, dir: dir, policy: bad.policy, flags: bad.flags, command: []string{"sh", "-c", "echo started > marker"}}
	if len(bad.wrap) > 0 {
		s.wrap = append([]string{shop.confine(t)}, bad.wrap...)
	}
	if bad.nested {
		s.policy = denyAll
		s.command = append([]string{shop.boundary(t), "exec", "--audit", "inner.jsonl", "-p", "policy.hcl", "--"}, s.command...)
	}
	end := s.run(t)
	if end.status != 125 {
		t.Errorf("the status is %d, want 125", end.status)
	}
	if !strings.HasPrefix(end.stderr, "boundary: ") && !bad.long {
		t.Errorf("the error does not say who it is from: %q", end.stderr)
	}
	if !bad.long && !bad.nested {
		checkOneLine(t, end.stderr)
	}
	for _, pattern := range bad.says {
		if !regexp.MustCompile(pattern).MatchString(end.stderr) {
			t.Errorf("the error does not say %s: %q", pattern, end.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "marker")); err == nil {
		t.Errorf("the agent was started")
	}
}

// TestUsage calls boundary in ways that name no command to run.
func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		args []string
	}{
		{"exec without a command", []string{"exec"}},
		{"exec with an empty command", []string{"exec", "--"}},
		{"exec with an empty name", []string{"exec", "--", ""}},
		{"unknown command", []string{"exce", "--", "true"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := commandIn(t, asUser, asUser.dir(t), append([]string{shop.boundary(t)}, test.args...))
			said := newOutput()
			cmd.Stderr = said
			if status := exitStatus(cmd.Run()); status == 0 {
				t.Errorf("the status is 0")
			}
			checkOneLine(t, said.String())
		})
	}
}

// checkOneLine checks that stderr is one error in one line. A line about the
// session as a whole (no policy, totals) may stand beside it.
func checkOneLine(t *testing.T, stderr string) {
	t.Helper()
	var errs []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "boundary: ") {
			t.Errorf("stderr has a line that is not boundary's: %q", line)
		}
		if !strings.Contains(line, " allowed, ") && !strings.Contains(line, "no policy found") {
			errs = append(errs, line)
		}
	}
	if len(errs) != 1 {
		t.Errorf("stderr has %d errors, want 1: %q", len(errs), stderr)
	}
}

// writeProgram makes an executable file of the mode's user.
func writeProgram(t *testing.T, as mode, path, text string) {
	t.Helper()
	as.write(t, path, text)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatalf("make file executable: %v", err)
	}
}
