package supervisor

import (
	"time"

	"golang.org/x/sys/unix"

	"boundary/audit"
)

// maxApart bounds the calls that are answered apart from the lead. Each costs
// memory and, for a moment or for long, a thread and a descriptor, and the kernel
// looks through all of them each time that it is asked about one
// (kernel/seccomp.c, find_notification).
const maxApart = 2048

// mayBlock is called before anything that can wait for somebody else. It lets
// another goroutine receive notifications; this one ends with its answer. An
// error says that too much is under way.
func (c *call) mayBlock() error {
	if c.apart {
		return nil
	}
	c.lead.pass()
	group, err := c.s.apart.take(c.tid(), 1)
	if group != nobody {
		c.s.caution.begin() // there are many: the next are refused, or not, before they cost more
	}
	if err != nil {
		return c.overloaded()
	}
	c.apart, c.group = true, group
	c.s.turns.take(group, nil)
	return nil
}

// refuseAfter is how long a call waits to hear that it is refused: a thread that
// asks again at once shall not use up the time of those who lead.
const refuseAfter = time.Second

// answerApart answers a call while another goroutine receives.
func (s *Session) answerApart(c *call) {
	group := s.apart.group(c.tid())
	if err := s.apart.takeFor(group, 1); err != nil {
		r := failWith(c.overloaded())
		time.AfterFunc(refuseAfter, func() { s.answer(c, r) })
		return
	}
	defer s.apart.give(group, 1)
	// A call that the kernel runs again must not overtake its first run, or
	// that would not be recognised.
	if s.repeats.enabled() {
		if !s.threads.take(c.tid(), c) {
			return
		}
		defer s.threads.give(c.tid())
	}
	if !s.turns.take(group, c) {
		return
	}
	defer s.turns.give(group)
	c.apart, c.group = true, group
	s.answer(c, s.dispatch(c))
}

// finish gives back what a call had that was apart.
func (c *call) finish() {
	if c.apart {
		c.s.turns.give(c.group)
		c.s.apart.give(c.group, 1)
	}
}

// rest does something that can take long and holds no thread: the turn is
// another's meanwhile.
//
// Preconditions: mayBlock was called.
func (c *call) rest(job func()) {
	c.s.turns.give(c.group)
	defer c.s.turns.take(c.group, nil)
	job()
}

// overloaded is what a call is told for which there is no room. EAGAIN is
// connect's own word for that, ENOMEM that of the others.
func (c *call) overloaded() error {
	c.s.sayOverloaded()
	if c.n.Data.Nr == unix.SYS_CONNECT {
		return unix.EAGAIN
	}
	return unix.ENOMEM
}

// sayOverloaded records that calls are refused which nobody has judged, but not
// each of them: there is no end to them.
func (s *Session) sayOverloaded() {
	const every = 10 * time.Second
	now := time.Now()
	last := s.overloadedAt.Load()
	if last != 0 && now.UnixNano()-last < int64(every) || !s.overloadedAt.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	const what = "more calls at once than are carried: some are refused"
	s.log.Warn(what)
	_ = s.record(&audit.Record{Event: audit.Error, Reason: "overload", Message: what})
}
