package supervisor

import (
	"net/netip"
	"sync"
	"time"

	"boundary/seccomp"
)

// peers remembers which address an agent dialled on a socket, so that
// getpeername says that and not the proxy's. The newest few thousand are kept.
type peers struct {
	mu    sync.Mutex
	shown map[inode]sockaddr // guarded by mu
	order []inode            // guarded by mu: a ring of the keys, oldest at next
	next  int                // guarded by mu
}

const maxPeers = 16384

func newPeers() *peers {
	return &peers{shown: map[inode]sockaddr{}, order: make([]inode, 0, 64)}
}

func (p *peers) remember(ino inode, addr sockaddr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.shown[ino]; again {
		p.shown[ino] = addr
		return
	}
	if len(p.order) < maxPeers {
		p.order = append(p.order, ino)
	} else {
		delete(p.shown, p.order[p.next])
		p.order[p.next] = ino
		p.next = (p.next + 1) % maxPeers
	}
	p.shown[ino] = addr
}

func (p *peers) forget(ino inode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shown, ino)
}

func (p *peers) of(ino inode) (sockaddr, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.shown[ino]
	return a, ok
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
