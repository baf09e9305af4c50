package supervisor

import (
	"time"

	"golang.org/x/sys/unix"
)

// patience waits for a socket as the agent's own blocking call would: until its
// time is over, a signal comes, or the caller is gone. The supervisor's own
// calls never block, since nothing could end them.
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

// newPatience reads how long the agent would wait: the option is SO_SNDTIMEO or
// SO_RCVTIMEO.
func (c *call) newPatience(fd, option int) *patience {
	c.mayBlock()
	w := &patience{c: c, fd: fd, step: time.Millisecond}
	if tv, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, option); err == nil && tv.Nano() > 0 {
		w.deadline = time.Now().Add(time.Duration(tv.Nano()))
	}
	return w
}

// wait waits a step, or until the socket is ready. EAGAIN says that the time was
// over before; errRestart and EINTR that a signal waits.
func (w *patience) wait(events int16) error {
	step := w.step
	w.step = min(2*w.step, waitStep)
	if !w.deadline.IsZero() {
		step = min(step, max(time.Until(w.deadline), 0))
	}
	p := []unix.PollFd{{Fd: int32(w.fd), Events: events}}
	if _, err := unix.Poll(p, int(step/time.Millisecond)+1); err != nil && err != unix.EINTR {
		return err
	}
	// A socket may say that it is ready and yet not be: the peer that is
	// named has no room.
	if p[0].Revents != 0 && w.ready {
		time.Sleep(step)
	}
	w.ready = p[0].Revents != 0
	return w.check()
}

// check says whether there is a reason to give up.
func (w *patience) check() error {
	switch {
	case !w.deadline.IsZero() && !time.Now().Before(w.deadline):
		return unix.EAGAIN
	case !w.c.valid():
		return unix.EINTR
	case !signalPending(w.c.tid()):
		return nil
	case w.deadline.IsZero():
		return errRestart
	}
	return unix.EINTR
}

// connectPatiently connects a blocking socket by do, which is called again while
// the connect is under way. The supervisor's own call is cut short by
// SO_SNDTIMEO, which connect(2) obeys (socket(7)) and which is put back.
func (c *call) connectPatiently(k *socket, do func() error) error {
	if k.nonblocking() {
		return do()
	}
	w := c.newPatience(k.fd, unix.SO_SNDTIMEO)
	own, err := unix.GetsockoptTimeval(k.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO)
	if err != nil {
		return err
	}
	short := unix.NsecToTimeval(int64(waitStep))
	if *own == short {
		return do() // another thread waits for the same socket
	}
	if err := unix.SetsockoptTimeval(k.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &short); err != nil {
		return err
	}
	defer func() { _ = unix.SetsockoptTimeval(k.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, own) }()
	first := unix.Errno(0)
	for {
		err := do()
		// EINPROGRESS and then EALREADY for TCP; EAGAIN for a unix socket
		// whose peer's backlog is full.
		errno, ok := err.(unix.Errno)
		if !ok || errno != unix.EINPROGRESS && errno != unix.EALREADY && errno != unix.EAGAIN {
			return err
		}
		if first == 0 {
			first = errno
		}
		switch err := w.check(); err {
		case nil:
		case unix.EAGAIN:
			return first // what the kernel says when the agent's own time is over
		default:
			return err
		}
	}
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
	w := c.newPatience(k.fd, unix.SO_SNDTIMEO)
	for {
		err := w.wait(unix.POLLOUT)
		switch {
		case w.ready:
			code, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err == nil && code != 0 {
				err = unix.Errno(code)
			}
			if err != nil {
				return failWith(err)
			}
			c.s.finder.settled(k.ino)
			return value(0)
		case err == unix.EAGAIN:
			return fail(unix.EALREADY)
		case err != nil:
			return failWith(err)
		}
	}
}
