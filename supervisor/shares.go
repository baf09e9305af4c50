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

	mu     sync.Mutex
	out    int         // guarded by mu
	by     map[int]int // guarded by mu, by thread group
	groups map[int]int // guarded by mu: thread groups of threads, lately
}

// nobody stands for no thread group in particular.
const nobody = 0

// newShares has a sixteenth dealt out without a look at who asks, which would
// cost more than most answers do.
func newShares(all int) *shares {
	return &shares{all: all, easy: all / 16, by: map[int]int{}, groups: map[int]int{}}
}

// take gives n to the thread group of tid, and says which that is: it has to be
// given back. The error is EMFILE or ENFILE, as open(2) has them.
func (s *shares) take(tid, n int) (group int, err error) {
	if s.takeEasily(n) {
		return nobody, nil
	}
	group = s.group(tid)
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
	switch left := s.all - s.out - n; {
	case left < 0:
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

// group is the process of a thread; all that can't be told are one. It reads no
// memory of the thread's, so it never waits for it.
func (s *shares) group(tid int) int {
	s.mu.Lock()
	group, known := s.groups[tid]
	s.mu.Unlock()
	if known {
		return group
	}
	group, err := seccomp.ThreadGroup(tid)
	if err != nil {
		const unknown = -1
		return unknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[tid] = group
	return group
}

// sweep forgets which threads are whose: their numbers are used again.
func (s *shares) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.groups)
}

// takeDescriptors takes a share for the caller. What it gave up a moment ago does
// not count: nobody tells the supervisor that a socket is closed.
func (c *call) takeDescriptors(n int) (group int, err error) {
	if group, err = c.s.descriptors.take(c.tid(), n); err == nil {
		return group, nil
	}
	c.s.sweepForRoom()
	return c.s.descriptors.take(c.tid(), n)
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
