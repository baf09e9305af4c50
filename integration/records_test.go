package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// record is one line of the audit log, as far as the tests look at it.
type record struct {
	Time     time.Time `json:"time"`
	Session  string    `json:"session"`
	Seq      *int      `json:"seq"`
	Event    string    `json:"event"`
	ID       string    `json:"id"`
	Decision string    `json:"decision"`
	Rule     string    `json:"rule"`
	RuleAt   string    `json:"rule_at"`
	Reason   string    `json:"reason"`
	Protocol string    `json:"protocol"`
	Method   string    `json:"method"`
	Host     string    `json:"host"`
	Port     int       `json:"port"`
	Path     string    `json:"path"`
	Status   int       `json:"status"`
	Upstream string    `json:"upstream"`
	Process  *process  `json:"process"`
	Prev     string    `json:"prev"`
	Hash     string    `json:"hash"`

	line string // as it stands in the file
}

// process is who did it.
type process struct {
	PID       int       `json:"pid"`
	PPID      int       `json:"ppid"`
	Exe       string    `json:"exe"`
	Argv      []string  `json:"argv"`
	Cwd       string    `json:"cwd"`
	UID       int       `json:"uid"`
	StartTime time.Time `json:"start_time"`
	Ancestors []struct {
		PID int    `json:"pid"`
		Exe string `json:"exe"`
	} `json:"ancestors"`
}

// records is an audit log.
type records []record

// readRecords reads an audit log and checks that its chain holds.
func readRecords(t testing.TB, path string) records {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("read audit log: %v", err)
		return nil
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Errorf("the audit log ends within a line")
	}
	var all records
	prev := strings.Repeat("0", 2*sha256.Size)
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		one := record{line: string(line)}
		if err := json.Unmarshal(line, &one); err != nil {
			t.Errorf("read audit record %d: %v\n%s", len(all), err, line)
			return all
		}
		checkLink(t, len(all), prev, one)
		prev = one.Hash
		all = append(all, one)
	}
	return all
}

// checkLink checks one record's number and its place in the chain: its hash
// covers the line without the last member, which is the hash.
func checkLink(t testing.TB, number int, prev string, one record) {
	t.Helper()
	if one.Seq == nil || *one.Seq != number {
		t.Errorf("audit record %d has another seq: %s", number, one.line)
	}
	if one.Prev != prev {
		t.Errorf("audit record %d has prev %s, want %s", number, one.Prev, prev)
	}
	covered, last, found := strings.Cut(one.line, `,"hash":"`)
	if !found || last != one.Hash+`"}` {
		t.Errorf("audit record %d does not end in its hash: %s", number, one.line)
		return
	}
	sum := sha256.Sum256([]byte(covered + "}"))
	if want := hex.EncodeToString(sum[:]); one.Hash != want {
		t.Errorf("audit record %d has hash %s, want %s", number, one.Hash, want)
	}
}

// checkSession checks that the log is that of one whole session.
func (all records) checkSession(t testing.TB) {
	t.Helper()
	if len(all) == 0 {
		t.Errorf("the audit log is empty")
		return
	}
	if all[0].Event != "session.start" {
		t.Errorf("the audit log begins with %s", all[0].line)
	}
	if end := all[len(all)-1]; end.Event != "session.end" {
		t.Errorf("the audit log ends with %s", end.line)
	}
	for _, one := range all {
		if one.Session != all[0].Session || one.Session == "" {
			t.Errorf("record of another session: %s", one.line)
		}
		if one.Time.IsZero() || one.Time.Location() != time.UTC {
			t.Errorf("record without a time in UTC: %s", one.line)
		}
	}
}

// requests returns the decisions on requests to a host; empty is any host. The
// record that tells how a request ended, which has the id of its decision, is
// not among them.
func (all records) requests(host string) records {
	var found records
	decided := map[string]bool{}
	for _, one := range all.of("request", host) {
		if !decided[one.ID] {
			found = append(found, one)
		}
		decided[one.ID] = true
	}
	return found
}

// of returns the records of an event for a host; empty is any host.
func (all records) of(event, host string) records {
	var found records
	for _, one := range all {
		if one.Event == event && (host == "" || one.Host == host) {
			found = append(found, one)
		}
	}
	return found
}

// decided returns the records with that decision.
func (all records) decided(decision string) records {
	var found records
	for _, one := range all {
		if one.Decision == decision {
			found = append(found, one)
		}
	}
	return found
}

// one returns the only record, and fails the test where there is none or
// more.
func (all records) one(t testing.TB, what string) record {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d records of %s, want 1", len(all), what)
	}
	return all[0]
}
