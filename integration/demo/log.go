package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// record is what the demo shows of an audit record.
type record struct {
	Event    string `json:"event"`
	ID       string `json:"id"`
	Decision string `json:"decision"`
	Rule     string `json:"rule"`
	RuleAt   string `json:"rule_at"`
	Reason   string `json:"reason"`
	Method   string `json:"method"`
	Host     string `json:"host"`
	Path     string `json:"path"`
	Process  struct {
		PID       int    `json:"pid"`
		Exe       string `json:"exe"`
		Ancestors []struct {
			Exe string `json:"exe"`
		} `json:"ancestors"`
	} `json:"process"`
}

// showLog shows the two requests in the log, one a line, and fails where they
// are not the two of the story.
func showLog(path string, p paint) error {
	requests, err := readRequests(path)
	if err != nil {
		return err
	}
	for _, r := range requests {
		p.decision(r.Decision, fmt.Sprintf("%-4s https://%s%s", r.Method, r.Host, r.Path))
		by := "no rule allows it (" + r.Reason + ")"
		if r.Rule != "" {
			by = fmt.Sprintf("rule %q at %s", r.Rule, filepath.Base(r.RuleAt))
		}
		p.line("      %s; by %s", by, lineage(r))
	}
	if len(requests) != 2 || requests[0].Decision != "allow" || requests[1].Decision != "deny" {
		return fmt.Errorf("the log has %d requests, want one allowed and one denied", len(requests))
	}
	return nil
}

// readRequests returns the decisions on requests: of the records with one id,
// the first.
func readRequests(path string) ([]record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	defer file.Close()
	var requests []record
	decided := map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("read audit record: %w", err)
		}
		if r.Event == "request" && !decided[r.ID] {
			decided[r.ID] = true
			requests = append(requests, r)
		}
	}
	return requests, lines.Err()
}

// lineage returns the program that asked, and those above it.
func lineage(r record) string {
	text := fmt.Sprintf("%s (pid %d)", filepath.Base(r.Process.Exe), r.Process.PID)
	for _, above := range r.Process.Ancestors {
		text += " of " + filepath.Base(above.Exe)
	}
	return text
}
