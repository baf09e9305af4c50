package supervisor

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

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
	ino     inode
	dialled netip.AddrPort
	at      seccomp.Data
	answer  reply
	when    time.Time
}

// repeatWithin is longer than a signal takes to be handled, and shorter than
// it takes a program to ask once more by itself.
const repeatWithin = 20 * time.Millisecond

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

func (r *repeats) note(c *call, ino inode, dialled netip.AddrPort, answer reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.on {
		return
	}
	if len(r.done) >= maxPeers {
		clear(r.done)
	}
	r.done[c.n.PID] = repeatable{ino, dialled, c.n.Data, answer, time.Now()}
}

// again returns the answer that a first run of the same connect may not have
// got.
func (r *repeats) again(c *call, ino inode, dialled netip.AddrPort) (reply, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done, ok := r.done[c.n.PID]
	if !ok || done.ino != ino || done.dialled != dialled || done.at != c.n.Data || time.Since(done.when) > repeatWithin {
		return reply{}, false
	}
	done.when = time.Now() // this answer may be lost too
	r.done[c.n.PID] = done
	return done.answer, true
}
