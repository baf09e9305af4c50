package supervisor

import (
	"slices"
	"sync"
)

// turns are taken by calls that are answered apart from the lead: each may hold
// a thread of the supervisor for as long as the agent likes, and a Go program
// has 10,000 of them before it ends (debug.SetMaxThreads). So a thread group has
// a few turns; the rest of its calls wait, without a thread, for their own kind.
type turns struct {
	each int  // how many calls of one group may be under way at once
	one  bool // a group makes one call at a time: of those that wait, one at most still has its caller

	mu     sync.Mutex
	groups map[int]*turnQueue // guarded by mu: those with turns under way
}

type turnQueue struct {
	running int
	waiting []queued
}

// queued is a call that waits for its turn. It hears false when its caller is
// gone.
type queued struct {
	c     *call // nil: one that was under way, and must end in any case
	grant chan bool
}

// turnsEach is how many turns a thread group has. They are short where nobody
// holds them up.
const turnsEach = 4

func newTurns(each int) *turns { return &turns{each: each, groups: map[int]*turnQueue{}} }

// newThreadTurns are for the calls of threads, each a group of its own: where a
// thread makes a second, its first was interrupted.
func newThreadTurns() *turns {
	t := newTurns(1)
	t.one = true
	return t
}

// take waits for a turn of the group's. False: the caller of c has gone before,
// and no turn was taken.
func (t *turns) take(group int, c *call) bool {
	if group == nobody {
		return true // few, see shares
	}
	t.mu.Lock()
	q := t.groups[group]
	if q == nil {
		q = &turnQueue{}
		t.groups[group] = q
	}
	if q.running < t.each {
		q.running++
		t.mu.Unlock()
		return true
	}
	if t.one {
		q.drop() // not simply those before: they may have come in another order
	}
	grant := make(chan bool, 1)
	q.waiting = append(q.waiting, queued{c, grant})
	t.mu.Unlock()
	return <-grant
}

// give ends a turn: the next in the queue has it.
func (t *turns) give(group int) {
	if group == nobody {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.groups[group]
	if len(q.waiting) > 0 {
		q.waiting[0].grant <- true
		q.waiting = q.waiting[1:]
		return
	}
	if q.running--; q.running == 0 {
		delete(t.groups, group)
	}
}

// sweep lets go of those whose caller was killed while they waited: what holds
// up the turns of its group may live on.
func (t *turns) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.groups {
		q.drop()
	}
}

// drop lets go of those whose caller is gone.
func (q *turnQueue) drop() {
	q.waiting = slices.DeleteFunc(q.waiting, func(w queued) bool {
		if w.c == nil || w.c.valid() {
			return false
		}
		w.grant <- false
		return true
	})
}
