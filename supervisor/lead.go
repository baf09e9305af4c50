package supervisor

import (
	"sync/atomic"
	"time"
)

// lead is held by the goroutine that receives notifications, and answers them
// itself: there is one at a time. It is passed on before what may take long
// and, by a timer, where something does all the same: an agent has ways to
// make the kernel wait in a call that should not (memory behind a userfaultfd
// or FUSE, a network namespace that drops what is sent to loopback). Others of
// the session must not wait with it: see caution.
type lead struct {
	s     *Session
	state atomic.Int32
	timer *time.Timer
	began time.Time
}

// States of a lead.
const (
	leadWaits  = iota // for a notification
	leadBusy          // with an answer
	leadPassed        // another goroutine receives
)

// tooLong is how long one answer may hold up the others.
const tooLong = 20 * time.Millisecond

func newLead(s *Session) *lead {
	l := &lead{s: s}
	l.timer = time.AfterFunc(time.Hour, func() {
		if l.pass() {
			l.s.caution.begin()
		}
	})
	l.timer.Stop()
	return l
}

// begin is called with a notification in hand.
func (l *lead) begin() {
	l.began = time.Now()
	l.state.Store(leadBusy)
	l.timer.Reset(tooLong)
}

// end is called when that was answered. False: another goroutine leads.
func (l *lead) end() bool {
	l.timer.Stop()
	if !l.state.CompareAndSwap(leadBusy, leadWaits) {
		return false
	}
	l.s.caution.took(l.began, time.Now())
	return true
}

// pass lets another goroutine lead. False: one does already.
func (l *lead) pass() bool {
	if !l.state.CompareAndSwap(leadBusy, leadPassed) {
		return false
	}
	go l.s.receive()
	return true
}

// caution says when no call is answered by whoever leads: for a while after one
// was held up, or after many that took longer than they should. An agent that
// can hold up one can hold up a thousand, in as many processes, and each would
// cost the others its time. Then the lead is passed on before each call, which
// has a turn among those of its thread group.
//
// The zero value is without caution.
type caution struct {
	until atomic.Int64 // Unix time in nanoseconds

	// Of the goroutine that leads, or of the one before:
	window atomic.Int64 // when the time that is counted began
	slow   atomic.Int64 // how much of it slow answers took, in nanoseconds
}

const (
	// cautionFor is how long caution lasts: it costs those something who do
	// no harm, and without it one call that is held up costs them tooLong.
	cautionFor = 2 * time.Second
	// slowAnswer is longer than an answer takes that nobody delays.
	slowAnswer = time.Millisecond
	// slowMost is how much time slow answers may take of each slowWindow.
	slowMost   = 300 * time.Millisecond
	slowWindow = time.Second
)

func (k *caution) begin() { k.until.Store(time.Now().Add(cautionFor).UnixNano()) }

func (k *caution) on() bool {
	until := k.until.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// took counts the time of an answer.
func (k *caution) took(began, ended time.Time) {
	took := ended.Sub(began)
	if took < slowAnswer {
		return
	}
	if ended.UnixNano()-k.window.Load() > int64(slowWindow) {
		k.window.Store(ended.UnixNano())
		k.slow.Store(0)
	}
	if k.slow.Add(int64(took)) > int64(slowMost) {
		k.begin()
	}
}
