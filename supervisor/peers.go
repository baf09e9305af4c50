package supervisor

import (
	"net/netip"
	"sync"
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

// repeats recognises a connect that the kernel runs twice: without
// WAIT_KILLABLE_RECV (before Linux 5.19) a signal, such as Go's preemption,
// interrupts a call that the supervisor has already carried out, and the
// second run would be told EISCONN or EALREADY.
type repeats struct {
	mu   sync.Mutex
	done map[inode]repeat // guarded by mu
}

type repeat struct {
	dialled netip.AddrPort
	reply   reply
}

func newRepeats() *repeats { return &repeats{done: map[inode]repeat{}} }

func (r *repeats) note(ino inode, dialled netip.AddrPort, answer reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.done) >= maxPeers {
		clear(r.done)
	}
	r.done[ino] = repeat{dialled, answer}
}

// take returns the answer that a first run of the same connect did not get.
func (r *repeats) take(ino inode, dialled netip.AddrPort) (reply, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done, ok := r.done[ino]
	delete(r.done, ino)
	return done.reply, ok && done.dialled == dialled
}

// connecting is what a call has connected, should its answer not arrive.
type connecting struct {
	ino     inode
	dialled netip.AddrPort
}

// interrupted is called when an answer found nobody waiting.
func (s *Session) interrupted(c *call, r reply) {
	if c.connecting != nil {
		s.repeats.note(c.connecting.ino, c.connecting.dialled, r)
	}
}
