package integration

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// doctorAttack runs `doctor --attack`, which knows nothing of the tests, under a
// profile of confine's; "" for none.
func doctorAttack(t *testing.T, as mode, profile string, flags ...string) (status int, stdout, stderr string) {
	t.Helper()
	argv := append([]string{shop.boundary(t), "doctor", "--attack", "--race-for", "100ms"}, flags...)
	if profile != "" {
		argv = append([]string{shop.confine(t), profile}, argv...)
	}
	cmd := commandIn(t, as, as.dir(t), argv)
	out, errs := newOutput(), newOutput()
	cmd.Stdout, cmd.Stderr = out, errs
	status = exitStatus(cmd.Run())
	return status, out.String(), errs.String()
}

// TestDoctorAttack tries some ways out as a user would, on the machine's own
// loopback: all are held, and what can't be tried is said.
func TestDoctorAttack(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		status, out, errs := doctorAttack(t, as, "", "--only", "tcp/[cr]*")
		held := strings.Count(out, "\nheld ")
		if status != 0 || held < 5 || errs != "" {
			t.Errorf("status %d, %d attempts held\n%s%s", status, held, out, errs)
		}
		summary := regexp.MustCompile(`\n\n\d+ held, 0 out, 0 open \(.*\), 0 failed \(.*\)\n\d+ not tried, as they need what there is not here: .*an interface that leads out \(\d+\).*\n$`)
		if !summary.MatchString(out) {
			t.Errorf("the output does not end in its sum:\n%s", out)
		}
	})
}

// TestDoctorAttackOut takes away what holds the agent's signals: what gets out
// then is said, with the guard that would hold it, and by the status.
func TestDoctorAttackOut(t *testing.T) {
	status, out, _ := doctorAttack(t, asUser, "no-landlock", "--only", "process/kill*", "--json")
	found := map[string]int{}
	for line := range strings.Lines(out) {
		var verdict struct{ Attempt, Result, Why string }
		if err := json.Unmarshal([]byte(line), &verdict); err != nil {
			t.Fatalf("read verdict: %v: %s", err, line)
		}
		found[verdict.Result]++
		if verdict.Result == "out" && !strings.Contains(verdict.Why, "off here: landlock-scope") {
			t.Errorf("%s does not name the guard: %s", verdict.Attempt, verdict.Why)
		}
	}
	if status != 1 || found["out"] == 0 {
		t.Errorf("status %d, verdicts %v", status, found)
	}
}

// TestDoctorAttackNothing runs it where there can be no boundary: that nothing
// got out would say nothing.
func TestDoctorAttackNothing(t *testing.T) {
	status, out, errs := doctorAttack(t, asUser, "no-notify")
	if status != 1 || out != "" || !strings.HasPrefix(errs, "boundary: no agent can be run here") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	checkOneLine(t, errs)
	for _, wrong := range []string{"no-such/attempt", "["} {
		if status, out, errs = doctorAttack(t, asUser, "", "--only", wrong); status == 0 || out != "" || !strings.HasPrefix(errs, "boundary: --only") {
			t.Errorf("--only %s: status %d\n%s%s", wrong, status, out, errs)
		}
	}
}
