package supervisor

import (
	"sync"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// shares deal something out to the thread groups of the session of which the
// supervisor has only so much (descriptors, calls under way).
//
// A group may have as much as is left over. So one that takes all that it can
// gets a half, n of them leave an n-th part for whoever comes, and nobody who
// wants a little is ever refused because of others who want a lot.
type shares struct {
	all  int
	easy int // while less than this is out, nobody asks to whom

	mu  sync.Mutex
	out int         // guarded by mu
	by  map[int]int // guarded by mu, by thread group
}

// nobody stands for no thread group in particular.
const nobody = 0

// newShares has a sixteenth dealt out without a look at who asks, which would
// cost more than most answers do.
func newShares(all int) *shares {
	return &shares{all: all, easy: all / 16, by: map[int]int{}}
}

// take gives n to the thread group of tid, and says which that is: it has to be
// given back. The error is EMFILE or ENFILE, as open(2) has them.
func (s *shares) take(tid, n int) (group int, err error) {
	if s.takeEasily(n) {
		return nobody, nil
	}
	group = threadGroup(tid)
	return group, s.takeFor(group, n)
}

func (s *shares) takeEasily(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out+n > s.easy {
		return false
	}
	s.out += n
	s.by[nobody] += n
	return true
}

func (s *shares) takeFor(group, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch left := s.all - s.out; {
	case n > left:
		return unix.ENFILE
	case s.by[group]+n > left:
		return unix.EMFILE
	}
	s.out += n
	s.by[group] += n
	return nil
}

// give takes back what a group had.
func (s *shares) give(group, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out -= n
	if s.by[group] -= n; s.by[group] <= 0 {
		delete(s.by, group)
	}
}

// threadGroup is the process of a thread. All that can't be told are one. It
// reads no memory of the thread's, so it never waits for it.
func threadGroup(tid int) int {
	const unknown = -1
	group, err := seccomp.ThreadGroup(tid)
	if err != nil {
		return unknown
	}
	return group
}

// descriptorsToDeal is how many descriptors the supervisor may hold for the
// agent: half of what it may have at all (getrlimit(2)). The rest is for the
// connections that it serves. Go has raised the soft limit to the hard one, and
// lowers it again for children (os/rlimit.go).
func descriptorsToDeal() int {
	const (
		least = 1024
		most  = 1 << 16 // each costs memory too
	)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return least / 2
	}
	return int(min(limit.Cur, most)) / 2
}
