package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// trial is what is tried with one program: a line of the matrix.
type trial struct {
	name    string
	shows   string // what its user is shown of a denial
	allowed func(t *testing.T, as mode)
	denied  func(t *testing.T, as mode)
	stream  func(t *testing.T, as mode) // nil: it shows nothing before it has all
}

// matrixHead is the head of the table, by which it is found in the README.
const matrixHead = `| program | allowed request | denied request shows | stream |
| --- | --- | --- | --- |
`

// line returns the trial as a line of the table.
func (one trial) line(passed bool) string {
	allowed, stream := "works", "works"
	if one.stream == nil {
		stream = "–"
	}
	if !passed {
		allowed = "FAILED"
	}
	return "| " + strings.Join([]string{one.name, allowed, one.shows, stream}, " | ") + " |\n"
}

// runTrials runs all trials in every mode, two of them at a time, and compares
// the table of what ran with the README's.
func runTrials(t *testing.T, all []trial) {
	t.Helper()
	var mu sync.Mutex
	ran := make([]string, len(all)) // empty where a filter left the trial out; guarded by mu
	t.Cleanup(func() { checkTable(t, ran) })
	for i, one := range all {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			eachMode(t, one.run)
			mu.Lock()
			defer mu.Unlock()
			ran[i] = one.line(!t.Failed())
		})
	}
}

// run runs the parts of a trial.
func (one trial) run(t *testing.T, as mode) {
	t.Run("allowed", func(t *testing.T) { one.allowed(t, as) })
	t.Run("denied", func(t *testing.T) { one.denied(t, as) })
	if one.stream != nil {
		t.Run("stream", func(t *testing.T) { one.stream(t, as) })
	}
}

// checkTable checks that the README has the table of what ran, and no other
// lines where everything ran.
func checkTable(t *testing.T, ran []string) {
	t.Helper()
	t.Logf("clients:\n%s%s", matrixHead, strings.Join(ran, ""))
	have := readmeTable(t)
	for _, line := range ran {
		if line != "" && !slices.Contains(have, line) {
			t.Errorf("the README's table of clients lacks %s", line)
		}
	}
	if slices.Contains(ran, "") {
		return
	}
	for _, line := range have {
		if !slices.Contains(ran, line) {
			t.Errorf("the README's table of clients has a line that did not run: %s", line)
		}
	}
}

// readmeTable returns the lines of the README's table of clients.
func readmeTable(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatalf("read README: %v", err)
	}
	_, table, found := strings.Cut(string(text), matrixHead)
	if !found {
		t.Fatalf("the README has no table of clients")
	}
	var lines []string
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		lines = append(lines, line)
	}
	return lines
}
