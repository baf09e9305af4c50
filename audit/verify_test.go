package audit

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
)

// sampleLog returns the lines of a session of five records.
func sampleLog(t *testing.T) [][]byte {
	t.Helper()
	l := openLog(t, Options{Session: "s"})
	for _, event := range []Event{SessionStart, Connect, RequestEvent, DNS, SessionEnd} {
		mustAppend(t, l, &Record{Event: event, Decision: Allow, Host: "a.example", Process: &Process{PID: 7}})
	}
	data, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bytes.Lines(data))
}

// brokenLine returns the line that Verify names, or 0.
func brokenLine(t *testing.T, data []byte) int {
	t.Helper()
	_, err := Verify(bytes.NewReader(data))
	var broken *BrokenError
	if errors.As(err, &broken) {
		return broken.Line
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func TestVerifyFindsTampering(t *testing.T) {
	lines := sampleLog(t)
	other := sampleLog(t)
	forged := &Record{Time: testTime, Session: "s", Seq: 2, Event: RequestEvent, Decision: Deny, Prev: zeroHash}
	tests := []struct {
		name string
		file [][]byte
		want int
	}{
		{"untouched", lines, 0},
		{"first removed", lines[1:], 1},
		{"removed", slices.Concat(lines[:2], lines[3:]), 3},
		{"repeated", slices.Concat(lines[:3], lines[2:]), 4},
		{"reordered", [][]byte{lines[0], lines[2], lines[1], lines[3], lines[4]}, 2},
		{"added", slices.Concat(lines[:2], [][]byte{encode(forged)}, lines[2:]), 3},
		{"added in another form", slices.Concat(lines[:2], [][]byte{[]byte("{}\n")}, lines[2:]), 3},
		{"changed and hashed anew", slices.Concat(lines[:2], [][]byte{rehash(lines[2])}, lines[3:]), 4},
		{"from another session of that name", slices.Concat(lines[:2], other[2:]), 3},
		{"played again", slices.Concat(lines, lines), 6},
		{"last spoilt", slices.Concat(lines[:4], [][]byte{[]byte("spoilt\n")}), 5},
		{"no record at all", [][]byte{[]byte("hello\n")}, 1},
		// What a chain can't show.
		{"end cut off", lines[:3], 0},
		{"end cut within a line", slices.Concat(lines[:3], [][]byte{lines[3][:40]}), 0},
		{"all cut off", nil, 0},
		{"blank line", slices.Concat(lines[:2], [][]byte{[]byte("\n")}, lines[2:]), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := brokenLine(t, bytes.Join(test.file, nil)); got != test.want {
				t.Errorf("line %d does not hold, want %d", got, test.want)
			}
		})
	}
}

// rehash changes a record and gives it the hash that it then has.
func rehash(line []byte) []byte {
	object := bytes.Replace(line, []byte("a.example"), []byte("b.example"), 1)
	object = append(bytes.Clone(object[:len(object)-len(hashName)-len(zeroHash)-len("\"}\n")]), '}')
	line, _ = seal(object)
	return line
}

// Whichever byte is changed to whatever, the record that it is in is named.
func TestVerifyEachByte(t *testing.T) {
	lines := sampleLog(t)
	data := bytes.Join(lines, nil)
	at := 0
	for i, line := range lines[:len(lines)-1] {
		for j := range line {
			for _, c := range []byte{data[at] ^ 1, data[at] ^ 0x20, '\n', '"', ' '} {
				if c == data[at] {
					continue
				}
				changed := bytes.Clone(data)
				changed[at] = c
				want := i + 1
				if j == 0 && c == '\n' {
					want++ // it is the next line now
				}
				if got := brokenLine(t, changed); got != want {
					t.Errorf("byte %d of line %d changed from %q to %q: line %d does not hold", at, i+1, data[at], c, got)
				}
			}
			at++
		}
	}
}

func TestVerifyReadError(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 3*maxLine)
	if _, err := Verify(bytes.NewReader(long)); !errors.Is(err, errLongLine) {
		t.Errorf("error %v, want %v", err, errLongLine)
	}
}

func FuzzVerify(f *testing.F) {
	line := encode(&Record{Time: testTime, Session: "s", Event: SessionEnd, Prev: zeroHash})
	f.Add(line)
	f.Add(append([]byte(recordStart), line...))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		chains, err := Verify(bytes.NewReader(data))
		if err == nil && bytes.HasSuffix(data, []byte("\n")) && len(bytes.TrimSpace(data)) > 0 && len(chains) == 0 {
			t.Errorf("%q holds, and has no record", data)
		}
	})
}
