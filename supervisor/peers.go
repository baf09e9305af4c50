package supervisor

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// peers remembers what is to be said of a socket's peer: which address an agent
// dialled, so that getpeername says that and not the proxy's, or who connected.
// The newest few thousand are kept.
type peers[V any] struct {
	mu    sync.Mutex
	shown map[inode]*list.Element // guarded by mu
	order *list.List              // guarded by mu: of peer[V], the oldest first
}

// peer is one of them.
type peer[V any] struct {
	ino   inode
	value V
}

const maxPeers = 16384

func newPeers[V any]() *peers[V] {
	return &peers[V]{shown: map[inode]*list.Element{}, order: list.New()}
}

func (p *peers[V]) remember(ino inode, value V) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(p.shown[ino])
	if p.order.Len() >= maxPeers {
		p.drop(p.order.Front())
	}
	p.shown[ino] = p.order.PushBack(peer[V]{ino, value})
}

func (p *peers[V]) forget(ino inode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(p.shown[ino])
}

// drop forgets an entry; nil is none.
//
// Preconditions: mu is held.
func (p *peers[V]) drop(e *list.Element) {
	if e != nil {
		delete(p.shown, p.order.Remove(e).(peer[V]).ino)
	}
}

func (p *peers[V]) of(ino inode) (V, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.shown[ino]
	if !ok {
		var none V
		return none, false
	}
	return e.Value.(peer[V]).value, true
}

// repeats recognises a connect or a bind that the kernel runs twice: without
// WAIT_KILLABLE_RECV (before Linux 5.19) a signal, such as Go's preemption,
// interrupts a call that the supervisor has already carried out, and the
// second run would be told EISCONN, EALREADY or EINVAL.
//
// That an answer was taken does not say that it arrived: a signal at the same
// moment wins (kernel/seccomp.c, seccomp_do_user_notification). So each
// connect is remembered for a moment, and the same thread at the same place
// with the same arguments gets the same answer again.
type repeats struct {
	mu   sync.Mutex
	on   bool                  // guarded by mu
	done map[uint32]repeatable // guarded by mu, by thread id
}

// repeatable is a call that was carried out.
type repeatable struct {
	ino      inode
	dialled  netip.AddrPort
	at       seccomp.Data
	answer   reply
	answered bool
	when     time.Time
}

// A repetition comes as soon as the signal was handled, which can take long on
// a busy machine. A program that asks once more by itself is told the same, and
// hardly minds; but one that waits for the end of a connect by asking again and
// again must come to know it.
const (
	repeatWithin   = 200 * time.Millisecond
	progressWithin = 20 * time.Millisecond
)

func newRepeats() *repeats { return &repeats{done: map[uint32]repeatable{}} }

// enable is for kernels without WAIT_KILLABLE_RECV.
func (r *repeats) enable() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = true
}

func (r *repeats) enabled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on
}

// begin notes that a connect is about to be made, and says whether the same one
// began a moment ago: it may have been made since, with its answer yet to be
// noted.
func (r *repeats) begin(c *call, ino inode, dialled netip.AddrPort) (repeated bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.on {
		return false
	}
	old, ok := r.done[c.n.PID]
	if ok && old.same(c, ino, dialled) {
		return true // and its answer, where it has one, stays
	}
	r.put(c, repeatable{ino: ino, dialled: dialled, at: c.n.Data, when: time.Now()})
	return false
}

func (r *repeats) note(c *call, ino inode, dialled netip.AddrPort, answer reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on {
		r.put(c, repeatable{ino: ino, dialled: dialled, at: c.n.Data, answer: answer, answered: true, when: time.Now()})
	}
}

// put is called with the lock held.
func (r *repeats) put(c *call, one repeatable) {
	if len(r.done) >= maxPeers {
		clear(r.done)
	}
	r.done[c.n.PID] = one
}

// same says whether a call is the one that was noted a moment ago.
func (o repeatable) same(c *call, ino inode, dialled netip.AddrPort) bool {
	within := repeatWithin
	if o.answer.errno == unix.EINPROGRESS {
		within = progressWithin
	}
	return o.ino == ino && o.dialled == dialled && o.at == c.n.Data && time.Since(o.when) <= within
}

// again returns the answer that a first run of the same connect may not have
// got.
func (r *repeats) again(c *call, ino inode, dialled netip.AddrPort) (reply, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done, ok := r.done[c.n.PID]
	if !ok || !done.answered || !done.same(c, ino, dialled) {
		return reply{}, false
	}
	done.when = time.Now() // this answer may be lost too
	r.done[c.n.PID] = done
	return done.answer, true
}
