package supervisor

import "golang.org/x/sys/unix"

// connectPatiently connects a blocking socket by do, which is called again while
// the connect is under way. The supervisor's own call is cut short by
// SO_SNDTIMEO, which connect(2) obeys (socket(7)) and which is put back.
func (c *call) connectPatiently(k *socket, do func() error) error {
	if k.nonblocking() {
		return do()
	}
	w, err := c.newPatience(k.fd, unix.SO_SNDTIMEO)
	if err != nil {
		return err
	}
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
	return w.connect(do)
}

// connect calls do until it is connected, or there is a reason to give up.
func (w *patience) connect(do func() error) error {
	first := unix.Errno(0)
	for {
		err := do()
		if err == unix.EINTR {
			// A signal of the supervisor's own (Go sends some). Called again, it
			// goes on with what is under way.
			if err := w.check(); err != nil {
				return err
			}
			continue
		}
		errno, ok := err.(unix.Errno)
		if !ok || errno != unix.EINPROGRESS && errno != unix.EALREADY && errno != unix.EAGAIN {
			return err
		}
		if first == 0 {
			first = errno
		}
		switch err := w.again(errno); err {
		case nil:
		case unix.EAGAIN:
			return first // what the kernel says when the agent's own time is over
		default:
			return err
		}
	}
}

// again waits for when a connect that was cut short should be called again. One
// of TCP is under way then (EINPROGRESS, and EALREADY after), and the socket says
// when it is done. One to a unix socket whose peer's backlog is full (EAGAIN) has
// not begun, and only the call itself waits for the peer; others of the same
// process may go first.
func (w *patience) again(errno unix.Errno) error {
	if errno != unix.EAGAIN {
		return w.wait(unix.POLLOUT)
	}
	w.c.rest(func() {})
	return w.check()
}
