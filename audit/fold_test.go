package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFolder(t *testing.T) {
	a := denial{verb: "denied", target: "GET https://a/", program: "curl", pid: 1, by: " by default", id: "one"}
	again := a
	again.pid, again.id = 2, "two"
	b := denial{verb: "denied", target: "GET https://b/", by: " by default"}

	f := newFolder(testTime)
	var got []string
	at := func(seconds float64) time.Time { return testTime.Add(time.Duration(seconds * float64(time.Second))) }
	add := func(seconds float64, d denial) {
		if line := f.add(at(seconds), d); line != "" {
			got = append(got, fmt.Sprintf("%g %s", seconds, line))
		}
	}
	due := func(seconds float64) {
		for _, line := range f.due(at(seconds)) {
			got = append(got, fmt.Sprintf("%g %s", seconds, line))
		}
	}
	add(0, a)
	add(0.1, again) // another process, but the same to a reader
	add(0.2, b)
	add(0.3, a)
	due(0.9)
	due(1) // a came twice more: told, and a window of two seconds begins
	add(1.1, a)
	due(1.2) // b did not come again
	add(1.3, b)
	due(2.9)
	due(3) // a again: told, four seconds
	due(7) // a ended
	add(8, a)
	add(8.1, b)
	add(8.2, b)
	for _, line := range f.flush() {
		got = append(got, "end "+line)
	}
	want := []string{
		"0 denied GET https://a/ (curl, pid 1) by default [one]",
		"0.2 denied GET https://b/ by default",
		"1 denied GET https://a/ (curl) by default … 2 more times",
		"1.3 denied GET https://b/ by default",
		"3 denied GET https://a/ (curl) by default … 1 more time",
		"8 denied GET https://a/ (curl, pid 1) by default [one]",
		"8.1 denied GET https://b/ by default",
		"end denied GET https://b/ by default … 1 more time",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if _, ok := f.next(); ok {
		t.Error("there is something to wait for after the end")
	}
}

// An agent that makes up a new path each time can't fill the screen, nor the memory.
func TestFolderFlood(t *testing.T) {
	f := newFolder(testTime)
	now := testTime
	shown, told, windows := 0, 0, 0
	for i := range 10_000 {
		now = now.Add(10 * time.Millisecond)
		if f.add(now, denial{verb: "denied", target: fmt.Sprint(i)}) != "" {
			shown++
		}
		if next, ok := f.next(); !ok || !now.Before(next) {
			for _, line := range f.due(now) {
				var n int
				if _, err := fmt.Sscanf(line, "denied %d more, not shown", &n); err != nil {
					t.Fatalf("line %q: %v", line, err)
				}
				told += n
				windows++
			}
		}
		if len(f.folds) > maxFolds {
			t.Fatalf("%d denials kept", len(f.folds))
		}
	}
	for _, line := range f.flush() {
		var n int
		if _, err := fmt.Sscanf(line, "denied %d more, not shown", &n); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		told += n
	}
	if want := burst + 100; shown > want {
		t.Errorf("%d lines in 100 s, want at most %d", shown, want)
	}
	if shown+told != 10_000 {
		t.Errorf("%d shown and %d told of, want 10000 together", shown, told)
	}
	if windows > 7 {
		t.Errorf("%d lines of counts in 100 s, want at most 7", windows)
	}
}
