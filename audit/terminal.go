package audit

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxQueue is how many denials wait for a slow terminal; those beyond are counted.
	maxQueue = 256
	// flushLimit is how long the end of a session waits for a slow terminal.
	flushLimit = 500 * time.Millisecond
)

// Terminal shows a person what was denied, one line each, with repeats folded. It never keeps its callers waiting for
// the writer: one goroutine writes, and ends with [Terminal.Close]. A nil Terminal shows nothing.
type Terminal struct {
	w       io.Writer
	color   bool
	queue   chan entry
	dropped atomic.Uint64
	closing chan struct{}
	closed  sync.Once
	done    chan struct{}
}

// entry is a denial, or with totals the line at the end.
type entry struct {
	denial denial
	totals *Totals
}

// NewTerminal returns a Terminal that writes to w, coloured if color is set. Each line is written whole; errors of w are
// not reported, as there is nowhere to. w is not closed.
func NewTerminal(w io.Writer, color bool) *Terminal {
	t := &Terminal{
		w:       w,
		color:   color,
		queue:   make(chan entry, maxQueue),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	go t.run()
	return t
}

// Denied shows a denial, or in monitor mode what would have been one. It reads r and keeps nothing of it. After Close it
// does nothing.
func (t *Terminal) Denied(r *Record) {
	if t == nil {
		return
	}
	select {
	case t.queue <- entry{denial: newDenial(r)}:
	default:
		t.dropped.Add(1)
	}
}

// Totals shows what was folded and not yet shown, and then the line of totals. It waits up to half a second for a slow
// terminal, and then gives up.
func (t *Terminal) Totals(totals Totals) {
	if t == nil {
		return
	}
	timer := time.NewTimer(flushLimit)
	defer timer.Stop()
	select {
	case t.queue <- entry{totals: &totals}:
	case <-t.closing:
	case <-timer.C:
	}
}

// Close shows what is left, for up to half a second. If that does not do, it returns an error that wraps
// [os.ErrDeadlineExceeded], and the goroutine ends when the write that holds it up does.
func (t *Terminal) Close() error {
	if t == nil {
		return nil
	}
	t.closed.Do(func() { close(t.closing) })
	timer := time.NewTimer(flushLimit)
	defer timer.Stop()
	select {
	case <-t.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("write denials to the terminal: %w", os.ErrDeadlineExceeded)
	}
}

// run writes what is queued, and when their time has come the counts of repeats.
func (t *Terminal) run() {
	defer close(t.done)
	f := newFolder(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case e := <-t.queue:
			t.show(f, e)
		case <-timer.C:
			t.print(f.due(time.Now()))
		case <-t.closing:
			t.drain(f)
			return
		}
		if at, ok := f.next(); ok {
			timer.Reset(time.Until(at))
		} else {
			timer.Stop()
		}
	}
}

// drain shows all that is queued, and what was folded.
func (t *Terminal) drain(f *folder) {
	for {
		select {
		case e := <-t.queue:
			t.show(f, e)
		default:
			t.hideDropped(f)
			t.print(f.flush())
			return
		}
	}
}

func (t *Terminal) show(f *folder, e entry) {
	t.hideDropped(f)
	if e.totals != nil {
		t.print(append(f.flush(), e.totals.line()))
		return
	}
	if line := f.add(time.Now(), e.denial); line != "" {
		t.print([]string{line})
	}
}

// hideDropped takes over the count of what the queue had no room for.
func (t *Terminal) hideDropped(f *folder) {
	if n := t.dropped.Swap(0); n > 0 {
		f.hide(time.Now(), n)
	}
}

// print writes the lines in one go.
func (t *Terminal) print(lines []string) {
	if len(lines) == 0 {
		return
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(t.paint(line))
		b.WriteByte('\n')
	}
	_, _ = io.WriteString(t.w, b.String()) // there is nowhere to tell
}

// Control sequences (ECMA-48 §8.3.117).
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	plain  = "\x1b[0m"
)

// paint puts boundary's name before a line, and colours it.
func (t *Terminal) paint(line string) string {
	const name = "boundary:"
	if !t.color {
		return name + " " + line
	}
	for _, verb := range [...]struct{ text, color string }{{"denied", red}, {"would deny", yellow}} {
		if rest, ok := strings.CutPrefix(line, verb.text); ok {
			return dim + name + plain + " " + verb.color + verb.text + plain + rest
		}
	}
	return dim + name + " " + line + plain
}

// line returns the totals in one line.
func (t *Totals) line() string {
	var b strings.Builder
	write := func(n uint64, what string) {
		b.WriteString(strconv.FormatUint(n, 10))
		b.WriteString(what)
	}
	write(t.Allowed, " allowed, ")
	write(t.Denied, " denied")
	if t.WouldDeny > 0 {
		b.WriteString(", ")
		write(t.WouldDeny, " would be denied")
	}
	if t.Lost > 0 {
		b.WriteString(", ")
		write(t.Lost, " denied for want of a record")
	}
	b.WriteString("; audit log " + clean(t.Path, maxFile) + ", last hash " + t.LastHash)
	return b.String()
}
