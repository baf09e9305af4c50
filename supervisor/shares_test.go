package supervisor

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShares(t *testing.T) {
	type step struct {
		group, n int // n < 0: given back
		err      error
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"one takes a half", []step{{1, 50, nil}, {1, 1, unix.EMFILE}}},
		{"and no more at once", []step{{1, 51, unix.EMFILE}}},
		{"another has room then", []step{{1, 50, nil}, {2, 25, nil}, {2, 1, unix.EMFILE}, {3, 12, nil}}},
		{"what was given back is there again", []step{{1, 50, nil}, {1, -1, nil}, {1, 1, nil}, {1, 1, unix.EMFILE}}},
		{"nobody can have more than there is", []step{{1, 50, nil}, {2, 51, unix.ENFILE}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShares(100)
			for i, step := range tt.steps {
				if step.n < 0 {
					s.give(step.group, -step.n)
				} else if err := s.takeFor(step.group, step.n); err != step.err {
					t.Errorf("step %d: %v, want %v", i, err, step.err)
				}
			}
		})
	}
}

// TestSharesEasy: while little is out nobody is asked for, and later each thread
// is counted for its process.
func TestSharesEasy(t *testing.T) {
	s := newShares(160)
	for range 10 {
		if group, err := s.take(os.Getpid(), 1); group != nobody || err != nil {
			t.Fatalf("one of the first: %d, %v", group, err)
		}
	}
	if group, err := s.take(os.Getpid(), 1); group != os.Getpid() || err != nil {
		t.Errorf("the next: %d, %v", group, err)
	}
	if group := s.group(unix.Gettid()); group != os.Getpid() {
		t.Errorf("a thread is of process %d", group)
	}
	s.sweep()
	s.give(os.Getpid(), 1)
	s.give(nobody, 10)
	if s.out != 0 || len(s.by) != 0 || len(s.groups) != 0 {
		t.Errorf("left behind: %d, %v, %v", s.out, s.by, s.groups)
	}
}
