package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for the sockets of all calls that wait, on one thread, and looks
// for them whether a signal waits too: under WAIT_KILLABLE_RECV the kernel
// interrupts a call that was received for none but a fatal one.
type poller struct {
	mu      sync.Mutex
	epoll   int               // guarded by mu: 0 until somebody waits
	next    int32             // guarded by mu: the last number that a waiter got
	waiters map[int32]*waiter // guarded by mu
	looks   bool              // guarded by mu: a goroutine looks for signals
}

// waiter is a call that waits, for its socket or only for a while.
type waiter struct {
	c      *call
	number int32
	fd     int // -1: none
	said   chan error
}

// waitStep is how often calls that wait are looked at, while they are few.
const waitStep = 20 * time.Millisecond

func newPoller() *poller { return &poller{waiters: map[int32]*waiter{}} }

// add has a call wait for events of a descriptor that nobody else waits for, or
// for none (-1). What comes first is said once: nil for an event, EINTR where
// the caller is gone, errRestart where a signal waits for it.
func (p *poller) add(c *call, fd int, events int16) (*waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoll == 0 {
		epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("make epoll: %w", err)
		}
		p.epoll = epoll
		go p.receive(epoll)
	}
	w := &waiter{c: c, fd: fd, said: make(chan error, 1)}
	for taken := true; taken; _, taken = p.waiters[p.next] {
		p.next++
	}
	w.number = p.next
	if fd >= 0 {
		// The bits of poll(2) and of epoll_ctl(2) are the same.
		event := unix.EpollEvent{Events: uint32(events) | unix.EPOLLONESHOT, Fd: w.number}
		if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return nil, fmt.Errorf("wait for socket: %w", err)
		}
	}
	p.waiters[w.number] = w
	if !p.looks {
		p.looks = true
		go p.look()
	}
	return w, nil
}

// remove ends the wait. Closing the descriptor would not: the open file
// description is the agent's too (epoll(7)).
func (p *poller) remove(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiters, w.number)
	if w.fd >= 0 {
		_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, w.fd, nil)
	}
}

// say tells the waiter the first thing that there is to tell.
func (w *waiter) say(err error) {
	select {
	case w.said <- err:
	default:
	}
}

// receive passes on what the kernel says of the sockets.
func (p *poller) receive(epoll int) {
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return // cannot happen: the descriptor is ours, and stays open
		}
		p.mu.Lock()
		for _, event := range events[:max(n, 0)] {
			if w := p.waiters[event.Fd]; w != nil {
				w.say(nil)
			}
		}
		p.mu.Unlock()
	}
}

// lookStep is how much later the next look comes for each call that waits. A
// look at one costs some 20 µs, most of it for the file in /proc.
const lookStep = 400 * time.Microsecond

// look looks for signals while anybody waits, the less often the more do.
func (p *poller) look() {
	for {
		time.Sleep(p.interval())
		p.mu.Lock()
		all := slices.Collect(maps.Values(p.waiters))
		p.looks = len(all) > 0
		p.mu.Unlock()
		if len(all) == 0 {
			return
		}
		for _, w := range all {
			if err := w.c.interrupted(); err != nil {
				w.say(err)
			}
		}
	}
}

// interval is how often those who wait are looked at now.
func (p *poller) interval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(waitStep, lookStep*time.Duration(len(p.waiters)))
}

// interrupted says whether the call is to be given up: EINTR where the caller is
// gone, errRestart where a signal waits for it.
func (c *call) interrupted() error {
	switch {
	case !c.valid():
		return unix.EINTR
	case signalPending(c.tid()):
		return errRestart
	}
	return nil
}
