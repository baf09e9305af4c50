package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// hashName starts the member that the hash does not cover.
const hashName = `,"hash":"`

// zeroHash is the prev of a session's first record.
var zeroHash = strings.Repeat("0", hex.EncodedLen(sha256.Size))

// Log is the log of one session. It is made by [Open], and ended by [Log.Close].
type Log struct {
	path    string
	session string
	sync    bool

	mu     sync.Mutex
	file   *appendFile // guarded by mu
	buf    []byte      // guarded by mu; reused for each line
	next   uint64      // guarded by mu; seq of the next record
	prev   string      // guarded by mu; hash of the last record
	lost   Lost        // guarded by mu; records that failed since one was last written
	totals Totals      // guarded by mu
	closed bool        // guarded by mu

	// syncMu is taken before mu.
	syncMu sync.Mutex
	synced uint64 // guarded by syncMu; records before this seq are on the disk
}

// Options say where a log is kept.
type Options struct {
	// Path is the file. It is made if it is not there, with mode 0600, and else appended to; folders above it that are
	// not there are made with mode 0700. Empty means [DefaultPath], which must not be there yet.
	Path string
	// Session is the identifier of the session; empty means a new one, see [NewSession].
	Session string
	// Sync makes [Log.Append] wait until the record is on the disk (fsync(2)). Records that wait at the same time share
	// one.
	Sync bool
}

// Open opens the log of a session. The file is closed at exec, so a child does not have it.
func Open(o Options) (*Log, error) {
	if o.Session == "" {
		o.Session = NewSession()
	}
	fresh := o.Path == ""
	if fresh {
		path, err := DefaultPath(o.Session, os.Geteuid(), os.Getenv)
		if err != nil {
			return nil, err
		}
		o.Path = path
	}
	file, err := openAppend(o.Path, fresh)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return &Log{path: o.Path, session: o.Session, sync: o.Sync, file: file, prev: zeroHash}, nil
}

// Path returns the path of the file.
func (l *Log) Path() string { return l.path }

// Session returns the identifier of the session.
func (l *Log) Session() string { return l.session }

// Last returns the number and the hash of the last record; 0 and 64 zeros while there is none.
func (l *Log) Last() (seq uint64, hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == 0 {
		return 0, l.prev
	}
	return l.next - 1, l.prev
}

// Append gives r its place in the chain and hands it to the kernel as one line. When it returns nil the record is
// written, and r's Time, Session, Seq, TornBytes, Prev and Hash are set. When it returns an error there is no record,
// and the caller must deny what r is about. With [Options.Sync] an error may also mean that the record is in the file
// but perhaps not on the disk. After [Log.Close] the error is [os.ErrClosed].
//
// r must not be used by another goroutine meanwhile; what it points to is only read.
func (l *Log) Append(r *Record) error {
	if err := l.write(r); err != nil {
		return fmt.Errorf("record %s: %w", r.Event, err)
	}
	if !l.sync {
		return nil
	}
	if err := l.flush(r.Seq); err != nil {
		l.mu.Lock()
		l.noteLoss(err)
		l.mu.Unlock()
		return fmt.Errorf("record %s: %w", r.Event, err)
	}
	return nil
}

func (l *Log) write(r *Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	if l.lost.Records > 0 {
		if err := l.recordLoss(); err != nil {
			l.noteLoss(err)
			return err
		}
	}
	if err := l.chain(r); err != nil {
		l.noteLoss(err)
		return err
	}
	l.totals.count(r)
	return nil
}

// chain writes r as the next record.
//
// Preconditions: mu is held.
func (l *Log) chain(r *Record) error {
	r.Time = time.Now().UTC().Round(0) // without the monotonic reading, which a line can't hold
	r.Session = l.session
	r.Seq = l.next
	r.TornBytes = l.file.torn
	r.Prev = l.prev

	line, hash := seal(appendRecord(l.buf[:0], r))
	l.buf = line
	if err := l.file.writeLine(line); err != nil {
		return err
	}
	r.Hash = hash
	l.prev = hash
	l.next++
	return nil
}

// seal adds the hash to an object that lacks it, and the newline.
func seal(object []byte) (line []byte, hash string) {
	sum := sha256.Sum256(object)
	line = append(object[:len(object)-1], hashName...)
	at := len(line)
	line = hex.AppendEncode(line, sum[:])
	hash = string(line[at:])
	return append(line, "\"}\n"...), hash
}

// recordLoss records how many records were lost.
//
// Preconditions: mu is held.
func (l *Log) recordLoss() error {
	lost := l.lost
	err := l.chain(&Record{Event: Error, Reason: "not-recorded", Lost: &lost})
	if err == nil {
		l.lost = Lost{}
	}
	return err
}

// noteLoss counts a record that there is none of.
//
// Preconditions: mu is held.
func (l *Log) noteLoss(cause error) {
	if l.lost.Records == 0 {
		l.lost.Since = time.Now().UTC()
	}
	l.lost.Records++
	l.lost.Cause = cause.Error()
	l.totals.Lost++
}

// flush returns when the record of that seq is on the disk. Of the callers that wait, the first one's fsync serves all
// whose record was written before it began.
func (l *Log) flush(seq uint64) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if seq < l.synced {
		return nil
	}
	l.mu.Lock()
	written, closed := l.next, l.closed
	l.mu.Unlock()
	if closed {
		// Close has synced what was written.
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.synced = written
	return nil
}

// Close closes the file, after an fsync(2) where [Options.Sync] asks for it. It writes no record. A second Close returns
// [os.ErrClosed].
func (l *Log) Close() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("close audit log: %w", os.ErrClosed)
	}
	l.closed = true
	var syncErr error
	if l.sync {
		syncErr = l.file.Sync()
	}
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("close audit log: %w", err)
	}
	if syncErr != nil {
		return fmt.Errorf("close audit log: %w", syncErr)
	}
	return nil
}
