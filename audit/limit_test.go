package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// limitedArg runs the test binary as a process that limits the size of its files (RLIMIT_FSIZE, getrlimit(2)): a write
// across the limit stops short, and one at the limit fails. So the kernel itself makes the faults of a full disk.
const limitedArg = "limited-child"

// limitedScenarios are what such a process does, each on a new log.
var limitedScenarios = map[string]func(path string) error{
	"alone":   limitedAlone,
	"shared":  limitedShared,
	"newline": limitedNewline,
}

func limitedMain(path string) {
	if err := limitedScenarios[filepath.Base(path)](path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// setLimit sets the soft limit, at most to the hard one.
func setLimit(bytes uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(bytes, limit.Max)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
}

// limitAt lets the file grow by that many bytes.
func limitAt(path string, more int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return setLimit(uint64(info.Size() + more))
}

func appendAll(l *Log, hosts ...string) error {
	for _, host := range hosts {
		if err := l.Append(&Record{Event: Connect, Decision: Allow, Host: host}); err != nil {
			return err
		}
	}
	return nil
}

// failAll appends records that must all fail.
func failAll(l *Log, hosts ...string) error {
	for _, host := range hosts {
		if err := appendAll(l, host); !errors.Is(err, unix.EFBIG) {
			return fmt.Errorf("append %s: %v, want %w", host, err, unix.EFBIG)
		}
	}
	return nil
}

func limitedAlone(path string) error {
	l, err := Open(Options{Path: path, Session: "s"})
	if err != nil {
		return err
	}
	for _, room := range []int64{0, 1, 100} {
		err := errors.Join(appendAll(l, "before"), limitAt(path, room), failAll(l, "lost", "lost"), setLimit(unix.RLIM_INFINITY))
		if err != nil {
			return err
		}
	}
	return errors.Join(appendAll(l, "after"), l.Close())
}

func limitedShared(path string) error {
	a, err := Open(Options{Path: path, Session: "a"})
	if err != nil {
		return err
	}
	b, err := Open(Options{Path: path, Session: "b"})
	if err != nil {
		return err
	}
	return errors.Join(
		appendAll(a, "a0"), appendAll(b, "b0"),
		limitAt(path, 100), failAll(a, "lost"), setLimit(unix.RLIM_INFINITY),
		appendAll(b, "b1"), // on the line that a left unfinished
		appendAll(a, "a1"),
		limitAt(path, 50), failAll(b, "lost"), limitAt(path, 5), failAll(b, "lost"), setLimit(unix.RLIM_INFINITY),
		appendAll(b, "b2"),
		a.Close(), b.Close())
}

func limitedNewline(path string) error {
	l, err := Open(Options{Path: path, Session: "s"})
	if err != nil {
		return err
	}
	if err := appendAll(l, "one"); err != nil {
		return err
	}
	// Each line is as long as the first; so there is room for all but the newline.
	return errors.Join(limitAt(path, l.file.end-1), appendAll(l, "two"),
		setLimit(unix.RLIM_INFINITY), appendAll(l, "six"), l.Close())
}

// runLimited runs a scenario in a process of its own, and returns its log.
func runLimited(t *testing.T, scenario string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), scenario)
	if out, err := exec.Command(os.Args[0], limitedArg, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestFullDisk(t *testing.T) {
	path := runLimited(t, "alone")
	var got []string
	for _, r := range readRecords(t, path) {
		if r.TornBytes != 0 {
			t.Errorf("record %d tells of %d torn bytes, though the file has none", r.Seq, r.TornBytes)
		}
		if r.Lost == nil {
			got = append(got, r.Host)
			continue
		}
		got = append(got, fmt.Sprintf("%s %s %d", r.Event, r.Reason, r.Lost.Records))
		if !strings.HasSuffix(r.Lost.Cause, unix.EFBIG.Error()) || r.Lost.Since.After(r.Time) {
			t.Errorf("lost %+v at %v", r.Lost, r.Time)
		}
	}
	lost := "error not-recorded 2"
	want := []string{"before", lost, "before", lost, "before", lost, "after"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if chains := verifyFile(t, path); len(chains) != 1 || chains[0].Records != 7 {
		t.Errorf("chains %+v", chains)
	}
}

// Where two sessions share a file, a line that stopped short is not cut off, but told of.
func TestFullDiskShared(t *testing.T) {
	path := runLimited(t, "shared")
	chains := verifyFile(t, path)
	for i := range chains {
		chains[i].Last = ""
	}
	want := []Chain{{Session: "a", Records: 3}, {Session: "b", Records: 4}}
	if diff := cmp.Diff(want, chains); diff != "" {
		t.Errorf("chains (-want +got):\n%s", diff)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, told := range []string{`"torn_bytes":100,`, `"torn_bytes":54,`} {
		if bytes.Count(data, []byte(told)) != 1 {
			t.Errorf("no record with %s in\n%s", told, data)
		}
	}
}

func TestFullDiskBeforeNewline(t *testing.T) {
	path := runLimited(t, "newline")
	if chains := verifyFile(t, path); len(chains) != 1 || chains[0].Records != 3 {
		t.Errorf("chains %+v, want three records", chains)
	}
	if n := len(readRecords(t, path)); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}
