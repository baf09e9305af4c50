package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Chain is what [Verify] found of one session.
type Chain struct {
	Session string
	// Records is how many there are, and Last the hash of the last one.
	Records uint64
	Last    string
	// Ended tells whether the last one is the end of the session. If not, the session still runs, was killed, or its
	// end was cut off.
	Ended bool
}

// BrokenError says which record of a log is the first that does not hold.
type BrokenError struct {
	// Line is its number, from 1.
	Line int
	// Session and Seq are what the line itself says, and empty where it is no record.
	Session string
	Seq     uint64
	// Reason says what does not hold.
	Reason string
}

// Error implements error.
func (e *BrokenError) Error() string {
	if e.Session == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d: record %d of session %s: %s", e.Line, e.Seq, e.Session, e.Reason)
}

// Verify checks the chain of each session in a log, as doc.go says, and returns the sessions in the order in which they
// start. An error that is a [*BrokenError] says which record does not hold; another one that r could not be read.
//
// What a chain can't show is that its end, or all of it, was cut off; Chain.Last and Chain.Ended are for that. The
// unfinished line that a crash or a full disk left is no error where it is the last of the file, or a later record tells
// of it.
func Verify(r io.Reader) ([]Chain, error) {
	v := verifier{index: make(map[string]int)}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return v.chains, fmt.Errorf("read audit log: line %d: %w", v.line+1, err)
		}
		v.line++
		ended := err == nil
		if broken := v.check(bytes.TrimSuffix(line, []byte{'\n'}), ended); broken != nil {
			return v.chains, broken
		}
		if !ended {
			break
		}
	}
	if v.torn > v.told {
		return v.chains, v.firstTorn
	}
	return v.chains, nil
}

// errLongLine says that a line is longer than any that a log holds.
var errLongLine = errors.New("longer than a record can be")

// readLine returns the next line with its newline, and at the end of the input what is left with [io.EOF].
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > 2*maxLine {
			return nil, errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// verifier follows the chains of a log.
type verifier struct {
	line   int
	chains []Chain
	index  map[string]int // session to its place in chains

	torn      uint64       // bytes of unfinished lines that were met
	told      uint64       // bytes of unfinished lines that records tell of
	firstTorn *BrokenError // the first that no record has told of yet
}

// recordStart is how each record begins. It stands nowhere else in one, as quotes within a text are escaped.
const recordStart = `{"time":"`

// check checks a line. Behind an unfinished line of one session, another may have written on the same line, so each
// start of a record is looked at.
func (v *verifier) check(line []byte, ended bool) *BrokenError {
	for len(line) > 0 {
		part := line
		if n := bytes.Index(line[1:], []byte(recordStart)); n >= 0 {
			part = line[:n+1]
		}
		line = line[len(part):]
		h, ok := parseHead(part)
		if !ok {
			if len(line) == 0 && !ended {
				return nil // the end of the file, as a crash leaves it
			}
			v.meetTorn(part)
			continue
		}
		if broken := v.follow(part, h); broken != nil {
			if v.torn > v.told {
				return v.firstTorn
			}
			return broken
		}
	}
	return nil
}

func (v *verifier) meetTorn(part []byte) {
	if v.torn <= v.told {
		v.firstTorn = &BrokenError{Line: v.line, Reason: "not a record"}
	}
	v.torn += uint64(len(part))
}

// head is what of a record matters to the chain.
type head struct {
	Session   string `json:"session"`
	Seq       uint64 `json:"seq"`
	Event     Event  `json:"event"`
	TornBytes uint64 `json:"torn_bytes"`
	Prev      string `json:"prev"`
	Hash      string `json:"hash"`
}

func parseHead(part []byte) (head, bool) {
	var h head
	err := json.Unmarshal(part, &h)
	return h, err == nil && h.Session != ""
}

// follow checks that a record holds, and is the next one of its session.
func (v *verifier) follow(part []byte, h head) *BrokenError {
	broken := func(reason string) *BrokenError {
		return &BrokenError{Line: v.line, Session: h.Session, Seq: h.Seq, Reason: reason}
	}
	if !sealed(part, h.Hash) {
		return broken("its hash is not that of its content")
	}
	at, known := v.index[h.Session]
	if !known {
		if h.Seq != 0 || h.Prev != zeroHash {
			return broken("the records before it are missing")
		}
		at = len(v.chains)
		v.index[h.Session] = at
		v.chains = append(v.chains, Chain{Session: h.Session, Last: zeroHash})
	}
	c := &v.chains[at]
	switch {
	case h.Seq != c.Records:
		return broken(fmt.Sprintf("record %d should stand here", c.Records))
	case h.Prev != c.Last:
		return broken("it does not follow from the record before it")
	}
	c.Records++
	c.Last = h.Hash
	c.Ended = h.Event == SessionEnd
	v.told += h.TornBytes
	return nil
}

// sealed tells whether a record ends with that hash, and it is the hash of what stands before it.
func sealed(part []byte, hash string) bool {
	object, ok := bytes.CutSuffix(part, []byte(hashName+hash+`"}`))
	if !ok {
		return false
	}
	h := sha256.New()
	h.Write(object)
	h.Write([]byte{'}'})
	return hash == hex.EncodeToString(h.Sum(nil))
}
