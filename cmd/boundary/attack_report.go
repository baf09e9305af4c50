package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"boundary/escapes"
)

// verdict is what became of one attempt, as --json prints it.
type verdict struct {
	Attempt string `json:"attempt"`
	Does    string `json:"does"`
	// Result is "held", "out", "open" (known to get out, with what THREATS.md
	// says), "skipped" (something that it needs is not here) or "failed" (it
	// could not be made, or did not end by itself: nothing is known).
	Result string `json:"result"`
	// Why says what got out, what is missing, or what the attempt met with.
	Why string `json:"why,omitempty"`

	needs escapes.Need // of one that is skipped
}

// tally counts verdicts.
type tally struct {
	results map[string]int
	needs   map[escapes.Need]int
}

func (t tally) add(v verdict) {
	t.results[v.Result]++
	if v.needs != "" {
		t.needs[v.needs]++
	}
}

// print prints a verdict; what is skipped is only counted, but in JSON.
func (a *attack) print(v verdict) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(v)
	}
	if v.Result == "skipped" {
		return nil
	}
	const green, yellow, red, faint = "32", "33", "31", "2"
	color := map[string]string{"held": green, "open": yellow, "out": red, "failed": red}[v.Result]
	line := fmt.Sprintf("%s %-36s %s", a.paint(color, fmt.Sprintf("%-8s", v.Result)), v.Attempt, v.Does)
	if v.Why != "" && v.Result != "held" {
		line += a.paint(faint, " ("+v.Why+")")
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}

// sum says how many there were of each.
func (a *attack) sum(t tally) error {
	if !a.json {
		fmt.Fprintf(a.out, "\n%d held, %d out, %d open (known to get out: see THREATS.md), %d failed (nothing is known)\n",
			t.results["held"], t.results["out"], t.results["open"], t.results["failed"])
		if n := t.results["skipped"]; n > 0 {
			var list []string
			for _, need := range slices.Sorted(maps.Keys(t.needs)) {
				list = append(list, fmt.Sprintf("%s (%d)", need, t.needs[need]))
			}
			fmt.Fprintf(a.out, "%d not tried, as they need what there is not here: %s\n", n, strings.Join(list, ", "))
		}
	}
	if t.results["out"]+t.results["failed"] > 0 {
		return &exitError{status: exitFailure}
	}
	return nil
}
