package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// trial returns what is tried with the client.
func (c client) trial(outside *origin.Server, pages *clientPages, policy string) trial {
	one := trial{
		name: c.name, shows: c.shows,
		allowed: func(t *testing.T, as mode) { c.testAllowed(t, outside, session{as: as, policy: policy}) },
		denied:  func(t *testing.T, as mode) { c.testDenied(t, outside, session{as: as, policy: policy}) },
	}
	if one.shows == "" {
		one.shows = "403, why"
	}
	if !c.whole {
		one.stream = func(t *testing.T, as mode) { c.testStream(t, pages, session{as: as, policy: policy}) }
	}
	return one
}

// testAllowed makes an allowed request.
func (c client) testAllowed(t *testing.T, outside *origin.Server, s session) {
	page := "/repos/x/" + c.label(s.as) + "/1"
	if c.page != "" {
		page = c.page
	}
	before := asked(outside, page)
	s.command = c.command(t, "GET", c.address(allowedHost, page))
	end := s.run(t)
	if end.status != 0 || !strings.Contains(end.stdout, marker) {
		t.Errorf("the client did not get its page")
	}
	if lines := strings.Count("\n"+end.stderr, "\nboundary: "); lines != 1 {
		t.Errorf("the developer is told %d lines, want only the totals", lines)
	}
	if asked(outside, page) == before {
		t.Errorf("the origin saw no request")
	}
	seen := end.records.requests(allowedHost).decided("allow")
	if len(seen) == 0 {
		t.Fatalf("no record of the request")
	}
	c.checkRecord(t, seen[0], "github-read")
}

// asked returns how often the origin was asked for a page of the allowed host,
// or for one below it.
func asked(outside *origin.Server, page string) int {
	n := 0
	for _, one := range outside.Requests(allowedHost) {
		if strings.HasPrefix(one.Path, page) {
			n++
		}
	}
	return n
}

// testDenied makes a request that no rule allows.
func (c client) testDenied(t *testing.T, outside *origin.Server, s session) {
	s.command = c.command(t, "POST", c.address(deniedHost, "/"))
	end := s.run(t)
	if end.status != c.refused {
		t.Errorf("the client ended with %d, want %d", end.status, c.refused)
	}
	c.checkTold(t, end.stdout+end.stderr)
	if seen := outside.Requests(deniedHost); len(seen) > 0 {
		t.Errorf("the origin saw %v", seen)
	}
	found := end.records.requests(deniedHost).decided("deny")
	if len(found) == 0 {
		t.Fatalf("no record of the denial")
	}
	c.checkRecord(t, found[0], "")
}

// checkTold checks that the client showed its user the denial.
func (c client) checkTold(t *testing.T, said string) {
	t.Helper()
	want := []string{c.shows}
	if c.shows == "" {
		want = []string{"403", blocked}
	}
	for _, text := range want {
		if !strings.Contains(said, text) {
			t.Errorf("the client does not show %q", text)
		}
	}
}

// testStream reads an answer that the origin completes only when the client
// has shown the beginning of it.
func (c client) testStream(t *testing.T, pages *clientPages, s session) {
	held := c.held
	if held == "" {
		held = "/held"
	}
	name := c.label(s.as)
	c.page = held + "/" + name
	s.command = c.command(t, "GET", c.address(allowedHost, c.page))
	r := s.start(t)
	r.stdout.awaitWithin(t, showWithin, 0, heldFirst)
	pages.release(name)
	if end := r.wait(); end.status != 0 || !strings.Contains(end.stdout, marker) {
		t.Errorf("the client did not get the rest of its page")
	}
}

// checkRecord checks who asked and what decided.
func (c client) checkRecord(t *testing.T, one record, rule string) {
	t.Helper()
	if one.Rule != rule {
		t.Errorf("the record names rule %q, want %q: %s", one.Rule, rule, one.line)
	}
	if one.Process == nil || !strings.HasPrefix(filepath.Base(one.Process.Exe), c.exe) {
		t.Errorf("the record names another program than %s: %s", c.exe, one.line)
	}
}
