package supervisor

import (
	"time"

	"golang.org/x/sys/unix"
)

// patience waits for a socket as the agent's own blocking call would: until its
// time is over, a signal comes, or the caller is gone. The supervisor's own
// calls never block for long, since nothing could end them.
type patience struct {
	c        *call
	fd       int
	deadline time.Time // zero: none
	step     time.Duration
	ready    bool // the last wait said so
}

// errRestart is ERESTARTSYS, <linux/errno.h>: the kernel runs the call again
// once the signal is handled, or makes EINTR of it, as sigaction(2) says.
const errRestart = unix.Errno(512)

const (
	// leastStep is the shortest pause before a socket is tried again that
	// was said to be ready and was not.
	leastStep = time.Millisecond
	// forever is longer than any session lives.
	forever = 100 * 365 * 24 * time.Hour
)

// newPatience reads how long the agent would wait: the option is SO_SNDTIMEO or
// SO_RCVTIMEO.
func (c *call) newPatience(fd, option int) (*patience, error) {
	if err := c.mayBlock(); err != nil {
		return nil, err
	}
	w := &patience{c: c, fd: fd, step: leastStep}
	if tv, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, option); err == nil && tv.Nano() > 0 {
		w.deadline = time.Now().Add(time.Duration(tv.Nano()))
	}
	return w, nil
}

// wait waits until the socket is ready. EAGAIN says that the time was over
// before; errRestart and EINTR that a signal waits.
func (w *patience) wait(events int16) error {
	// A socket may say that it is ready and yet not be: the peer that is
	// named has no room, or another thread was faster.
	if w.ready {
		w.ready = false
		if err := w.pause(-1, 0, w.step); err != nil {
			return err
		}
		w.step = min(2*w.step, w.c.s.poller.interval())
	}
	began := time.Now()
	err := w.pause(w.fd, events, forever)
	if time.Since(began) > waitStep {
		w.step = leastStep
	}
	w.ready = err == nil
	return err
}

// pause waits for events of fd or, where that is -1, for a time. It holds no
// thread meanwhile.
func (w *patience) pause(fd int, events int16, limit time.Duration) error {
	waiter, err := w.c.s.poller.add(w.c, fd, events)
	if err != nil {
		return err
	}
	if !w.deadline.IsZero() {
		limit = min(limit, time.Until(w.deadline))
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	w.c.rest(func() {
		select {
		case err = <-waiter.said:
		case <-timer.C:
			err = w.over()
		}
		w.c.s.poller.remove(waiter)
	})
	return w.asKernel(err)
}

// over is EAGAIN when the agent's time is.
func (w *patience) over() error {
	if !w.deadline.IsZero() && !time.Now().Before(w.deadline) {
		return unix.EAGAIN
	}
	return nil
}

// asKernel makes EINTR of errRestart where the agent's own time was limited, as
// the kernel does (include/net/sock.h, sock_intr_errno).
func (w *patience) asKernel(err error) error {
	if err == errRestart && !w.deadline.IsZero() {
		return unix.EINTR
	}
	return err
}

// check says whether there is a reason to give up.
func (w *patience) check() error {
	if err := w.over(); err != nil {
		return err
	}
	return w.asKernel(w.c.interrupted())
}

// connecting says whether a TCP connection of the socket's is under way.
func connecting(fd int) bool {
	const synSent = 2 // TCP_SYN_SENT, <net/tcp_states.h>
	info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
	return err == nil && info.State == synSent
}

// awaitConnected is a blocking connect on a socket whose connect is under way:
// one that a signal has interrupted, and that the kernel runs again. What it
// connects to was judged then, and no address is looked at now.
func (c *call) awaitConnected(k *socket) reply {
	w, err := c.newPatience(k.fd, unix.SO_SNDTIMEO)
	if err != nil {
		return failWith(err)
	}
	switch err := w.wait(unix.POLLOUT); {
	case err == unix.EAGAIN:
		return fail(unix.EALREADY)
	case err != nil:
		return failWith(err)
	}
	code, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		return failWith(err)
	}
	c.s.finder.settled(k.ino)
	return value(0)
}
