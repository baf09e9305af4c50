package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func openLog(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "log.jsonl")
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func mustAppend(t testing.TB, l *Log, r *Record) {
	t.Helper()
	if err := l.Append(r); err != nil {
		t.Fatal(err)
	}
}

func readRecords(t testing.TB, path string) []Record {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var records []Record
	for line := range bytes.Lines(data) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("decode %q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

func verifyFile(t testing.TB, path string) []Chain {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chains, err := Verify(f)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return chains
}

func TestAppend(t *testing.T) {
	l := openLog(t, Options{Session: "s1"})
	if seq, hash := l.Last(); seq != 0 || hash != zeroHash {
		t.Errorf("last of an empty log: %d %s", seq, hash)
	}
	want := []*Record{
		{Event: SessionStart, Start: &Start{Version: "1", Guards: []string{"seccomp"}, Command: []string{"true"}}},
		{Event: RequestEvent, Decision: Deny, Host: "a.example", Time: testTime, Seq: 99, Session: "not this", Prev: "x", Hash: "y", TornBytes: 5},
		{Event: SessionEnd, End: &End{ExitStatus: 1}},
	}
	for i, r := range want {
		mustAppend(t, l, r)
		if seq, hash := l.Last(); seq != uint64(i) || hash != r.Hash || r.Seq != seq || r.Session != "s1" || r.TornBytes != 0 {
			t.Errorf("last: %d %s, of record %+v", seq, hash, r)
		}
	}
	var got []*Record
	for _, r := range readRecords(t, l.Path()) {
		got = append(got, &r)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-appended +read):\n%s", diff)
	}
	wantChains := []Chain{{Session: "s1", Records: 3, Last: want[2].Hash, Ended: true}}
	if diff := cmp.Diff(wantChains, verifyFile(t, l.Path())); diff != "" {
		t.Errorf("chains (-want +got):\n%s", diff)
	}
}

// Written means that another process can read it when Append returns.
func TestAppendIsWritten(t *testing.T) {
	l := openLog(t, Options{})
	for i := range 10 {
		mustAppend(t, l, &Record{Event: Connect, Decision: Allow})
		if n := len(readRecords(t, l.Path())); n != i+1 {
			t.Fatalf("%d records in the file after %d", n, i+1)
		}
	}
}

func TestAppendConcurrently(t *testing.T) {
	for _, sync := range []bool{false, true} {
		name, each := "written", 200
		if sync {
			name, each = "synced", 10
		}
		t.Run(name, func(t *testing.T) { appendConcurrently(t, sync, each) })
	}
}

func appendConcurrently(t *testing.T, syncing bool, each int) {
	const workers = 32
	l := openLog(t, Options{Sync: syncing})
	process := &Process{PID: 1, Argv: []string{"curl", "--token", "x"}}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if err := l.Append(&Record{Event: RequestEvent, Decision: Deny, ID: NewID(), Process: process}); err != nil {
					t.Error(err)
					return
				}
				l.Last()
			}
		})
	}
	wg.Wait()
	seq, last := l.Last()
	want := []Chain{{Session: l.Session(), Records: uint64(workers * each), Last: last}}
	if diff := cmp.Diff(want, verifyFile(t, l.Path())); diff != "" {
		t.Errorf("chains (-want +got):\n%s", diff)
	}
	if got, want := l.Totals().Denied, uint64(workers*each); got != want || seq != want-1 {
		t.Errorf("%d denied, last seq %d, want %d and %d", got, seq, want, want-1)
	}
}

func TestSeveralSessionsInOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	a := openLog(t, Options{Path: path, Session: "a"})
	mustAppend(t, a, &Record{Event: SessionStart})
	b := openLog(t, Options{Path: path, Session: "b"})
	mustAppend(t, b, &Record{Event: SessionStart})
	mustAppend(t, a, &Record{Event: SessionEnd})
	mustAppend(t, b, &Record{Event: SessionEnd})
	c := openLog(t, Options{Path: path, Session: "c"})
	mustAppend(t, c, &Record{Event: SessionStart})
	_, lastA := a.Last()
	_, lastB := b.Last()
	_, lastC := c.Last()
	want := []Chain{{"a", 2, lastA, true}, {"b", 2, lastB, true}, {"c", 1, lastC, false}}
	if diff := cmp.Diff(want, verifyFile(t, path)); diff != "" {
		t.Errorf("chains (-want +got):\n%s", diff)
	}
}

func TestOpenModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "boundary", "log.jsonl")
	l := openLog(t, Options{Path: path})
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	fd, err := unix.FcntlInt(l.file.Fd(), unix.F_GETFD, 0)
	if err != nil || fd&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: not closed at exec", fd, err)
	}
	status, err := unix.FcntlInt(l.file.Fd(), unix.F_GETFL, 0)
	if err != nil || status&unix.O_APPEND == 0 {
		t.Errorf("status flags %#x, %v: not appending", status, err)
	}
}

func TestOpenFresh(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	if _, err := openAppend(link, true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("open a link as fresh: %v, want %v", err, fs.ErrExist)
	}
	if _, err := os.Lstat(victim); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link was followed: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		want       error
	}{
		{"a FIFO that nobody reads", fifo, errNotFile},
		{"a folder", dir, unix.EISDIR},
		{"below a file", filepath.Join(file, "log.jsonl"), unix.ENOTDIR},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Open(Options{Path: test.path}); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func TestAppendFails(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want error
	}{
		{"no space", Options{Path: "/dev/full"}, unix.ENOSPC},
		{"no disk behind it", Options{Path: "/dev/null", Sync: true}, unix.EINVAL},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := openLog(t, Options{Path: test.o.Path})
			l.sync = test.o.Sync
			for range 3 {
				if err := l.Append(&Record{Event: Connect, Decision: Allow}); !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
			}
			if got := l.Totals().Lost; got != 3 {
				t.Errorf("%d lost, want 3", got)
			}
			l.sync = false // or Close says it again
		})
	}
}

func TestClosed(t *testing.T) {
	for _, sync := range []bool{false, true} {
		l := openLog(t, Options{Sync: sync})
		mustAppend(t, l, &Record{Event: SessionEnd})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(&Record{Event: Connect}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("append: %v, want %v", err, os.ErrClosed)
		}
		if err := l.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("close again: %v, want %v", err, os.ErrClosed)
		}
	}
}

// A session that was killed in the middle of a write leaves a line without an end.
func TestOpenAfterUnfinishedLine(t *testing.T) {
	l := openLog(t, Options{Session: "a"})
	mustAppend(t, l, &Record{Event: SessionStart})
	mustAppend(t, l, &Record{Event: Connect})
	data, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(l.Path(), int64(len(data)-30)); err != nil {
		t.Fatal(err)
	}
	if got := verifyFile(t, l.Path()); got[0].Records != 1 {
		t.Errorf("chains %+v, want one record", got)
	}

	next := openLog(t, Options{Path: l.Path(), Session: "b"})
	first := &Record{Event: SessionStart}
	mustAppend(t, next, first)
	last := &Record{Event: SessionEnd}
	mustAppend(t, next, last)
	torn := uint64(len(data) - 30 - bytes.IndexByte(data, '\n') - 1)
	if first.TornBytes != torn || last.TornBytes != 0 {
		t.Errorf("torn bytes %d, then %d, want %d, then 0", first.TornBytes, last.TornBytes, torn)
	}
	if got := verifyFile(t, l.Path()); len(got) != 2 || got[1].Records != 2 {
		t.Errorf("chains %+v", got)
	}

	// Only as much is excused as was told of.
	data, err = os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Replace(data, []byte("\n"), []byte("\nmore\n"), 1)
	var broken *BrokenError
	if _, err := Verify(bytes.NewReader(data)); !errors.As(err, &broken) || broken.Line != 2 {
		t.Errorf("verify with a line added: %v, want one on line 2", err)
	}
}

func TestDefaultPath(t *testing.T) {
	tests := []struct {
		name string
		uid  int
		env  map[string]string
		want string
	}{
		{"root", 0, map[string]string{"HOME": "/root", "XDG_STATE_HOME": "/x"}, "/var/log/boundary/2026-03-04T05-06-07Z-s.jsonl"},
		{"user", 1000, map[string]string{"HOME": "/home/u"}, "/home/u/.local/state/boundary/2026-03-04T05-06-07Z-s.jsonl"},
		{"state home", 1000, map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/x"}, "/x/boundary/2026-03-04T05-06-07Z-s.jsonl"},
		{"relative", 1000, map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "x"}, "/home/u/.local/state/boundary/2026-03-04T05-06-07Z-s.jsonl"},
		{"nothing", 1000, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := pathAt(testTime, "s", test.uid, func(name string) string { return test.env[name] })
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("path %q, error %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestTotals(t *testing.T) {
	l := openLog(t, Options{})
	ms := 1.0
	for _, r := range []*Record{
		{Event: SessionStart},
		{Event: DNS, Decision: Allow},
		{Event: RequestEvent, Decision: Allow},
		{Event: RequestEvent, Decision: Allow, DurationMS: &ms},
		{Event: Connect, Decision: Deny},
		{Event: Refused, Decision: Deny},
		{Event: RequestEvent, Decision: WouldDeny},
	} {
		mustAppend(t, l, r)
	}
	_, last := l.Last()
	want := Totals{Allowed: 1, Denied: 2, WouldDeny: 1, Path: l.Path(), LastHash: last}
	if diff := cmp.Diff(want, l.Totals()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestIDs(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := NewID()
		if len(id) != 8 || strings.Trim(id, idAlphabet) != "" || seen[id] {
			t.Fatalf("identifier %q", id)
		}
		seen[id] = true
	}
	if s := NewSession(); len(s) != 16 || s == NewSession() {
		t.Errorf("session %q", s)
	}
}

func BenchmarkAppend(b *testing.B) {
	l := openLog(b, Options{})
	r := fullRecord()
	r.Start, r.End, r.Syscall, r.Lost = nil, nil, nil, nil
	b.ReportAllocs()
	for b.Loop() {
		mustAppend(b, l, r)
	}
}
