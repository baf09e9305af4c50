package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// screen keeps what is written to it.
type screen struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// take returns what was written since it was last called.
func (s *screen) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

func denied(host string) *Record {
	return &Record{Event: RequestEvent, Decision: Deny, Reason: "default", Protocol: "https", Method: "GET", Host: host, Port: 443, Path: "/"}
}

func wantScreen(t *testing.T, s *screen, want string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, s.take()); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

func TestTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		term := NewTerminal(&s, false)
		wantScreen(t, &s, "")
		term.Denied(denied("a"))
		term.Denied(denied("a"))
		wantScreen(t, &s, "boundary: denied GET https://a/ by default\n")
		time.Sleep(firstWindow)
		wantScreen(t, &s, "boundary: denied GET https://a/ by default … 1 more time\n")
		time.Sleep(time.Hour)
		wantScreen(t, &s, "")
		term.Denied(denied("a"))
		term.Denied(denied("a"))
		term.Totals(Totals{Allowed: 3, Denied: 4, Path: "/log", LastHash: zeroHash})
		wantScreen(t, &s, "boundary: denied GET https://a/ by default\n"+
			"boundary: denied GET https://a/ by default … 1 more time\n"+
			"boundary: 3 allowed, 4 denied; audit log /log, last hash "+zeroHash+"\n")
		term.Denied(denied("b"))
		term.Denied(denied("b"))
		if err := term.Close(); err != nil {
			t.Error(err)
		}
		wantScreen(t, &s, "boundary: denied GET https://b/ by default\nboundary: denied GET https://b/ by default … 1 more time\n")
		if err := term.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
		term.Denied(denied("c"))
		term.Totals(Totals{})
		wantScreen(t, &s, "")
	})
}

func TestTerminalColor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		term := NewTerminal(&s, true)
		term.Denied(denied("a"))
		would := denied("b")
		would.Decision = WouldDeny
		term.Denied(would)
		term.Totals(Totals{WouldDeny: 1, Lost: 2, Path: "/l\x1bog", LastHash: "ff"})
		if err := term.Close(); err != nil {
			t.Error(err)
		}
		wantScreen(t, &s, "\x1b[2mboundary:\x1b[0m \x1b[31mdenied\x1b[0m GET https://a/ by default\n"+
			"\x1b[2mboundary:\x1b[0m \x1b[33mwould deny\x1b[0m GET https://b/ by default\n"+
			"\x1b[2mboundary: 0 allowed, 0 denied, 1 would be denied, 2 denied for want of a record; audit log /l?og, last hash ff\x1b[0m\n")
	})
}

// A terminal that is not read holds nobody up, and what it could not show is counted.
func TestTerminalStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		term := NewTerminal(w, false)
		start := time.Now()
		const many = 3 * maxQueue
		for i := range many {
			term.Denied(denied(fmt.Sprint("h", i)))
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("callers waited %v", waited)
		}
		synctest.Wait()
		term.Totals(Totals{})
		if err := term.Close(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("close: %v, want %v", err, os.ErrDeadlineExceeded)
		}
		if waited := time.Since(start); waited > 2*flushLimit {
			t.Errorf("the end took %v", waited)
		}

		// It is read after all.
		done := make(chan string)
		go func() {
			data, _ := io.ReadAll(r)
			done <- string(data)
		}()
		if err := term.Close(); err != nil {
			t.Error(err)
		}
		w.Close()
		shown, counted := 0, 0
		for line := range strings.Lines(<-done) {
			var n int
			if _, err := fmt.Sscanf(line, "boundary: denied %d more, not shown", &n); err == nil {
				counted += n
			} else if strings.HasPrefix(line, "boundary: denied GET") {
				shown++
			}
		}
		if shown+counted != many || shown > burst+2 {
			t.Errorf("%d shown and %d counted, want %d together", shown, counted, many)
		}
	})
}

func TestTerminalConcurrently(t *testing.T) {
	var s screen
	term := NewTerminal(&s, false)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 100 {
				term.Denied(denied(fmt.Sprint("h", i)))
			}
		})
	}
	wg.Wait()
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(s.take()) {
		if !strings.HasPrefix(line, "boundary: denied ") || !strings.HasSuffix(line, "\n") {
			t.Errorf("line %q", line)
		}
	}
}

func TestNilTerminal(t *testing.T) {
	var term *Terminal
	term.Denied(denied("a"))
	term.Totals(Totals{})
	if err := term.Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkDenied(b *testing.B) {
	term := NewTerminal(io.Discard, false)
	defer func() { _ = term.Close() }()
	r := denied("a.example")
	r.Process = &Process{PID: 1, Exe: "/usr/bin/curl"}
	b.ReportAllocs()
	for b.Loop() {
		term.Denied(r)
	}
}
