package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestInterrupted has signals come while the supervisor waits for the agent: in
// a connect to a full backlog, in a send to a full socket, in a receive. It must see
// what it sees without a boundary, with SA_RESTART and without it.
func TestInterrupted(t *testing.T) {
	program := shop.file(t, "interrupted", func(path string) error {
		return tool(".", nil, program(t, "gcc"), "-O2", "-o", path, "testdata/interrupted.c")
	})
	want, err := commandIn(t, asUser, asUser.dir(t), []string{program}).Output()
	if err != nil {
		t.Fatalf("without boundary: %v", err)
	}
	eachMode(t, func(t *testing.T, as mode) {
		end := session{as: as, policy: denyAll, command: []string{program}}.run(t)
		if diff := cmp.Diff(string(want), end.stdout); diff != "" {
			t.Errorf("(-without +with)\n%s", diff)
		}
	})
}
