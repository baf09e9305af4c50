package supervisor

import (
	"os"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// outbound is a message that the supervisor sends for the agent, on the agent's
// own socket.
type outbound struct {
	k       *socket
	m       *msghdr
	to      sockaddr // copied; empty without one
	control []byte   // copied, with descriptors that are the supervisor's
	flags   int
	raise   bool // SIGPIPE is wanted
}

const (
	// sendPiece is how much of a stream's message is copied at once.
	sendPiece = 256 << 10
	// maxDatagramUnix bounds a datagram that is copied: more than any send
	// buffer that an ordinary user can have.
	maxDatagramUnix = 8 << 20
	// sendFlags are those that are carried over. With MSG_ZEROCOPY the kernel
	// would go on reading memory that is ours and used again.
	sendFlags = unix.MSG_DONTWAIT | unix.MSG_MORE | unix.MSG_OOB | unix.MSG_EOR | unix.MSG_DONTROUTE
)

// sendFor sends one message on a socket that is no surrogate.
func (c *call) sendFor(k *socket, m *msghdr, flags int) reply {
	o := &outbound{k: k, m: m, flags: flags & sendFlags}
	o.raise = flags&unix.MSG_NOSIGNAL == 0 && k.typ == unix.SOCK_STREAM
	to, err := c.readSockaddr(m.name, int32(m.nameLen))
	if err != nil {
		return failWith(err)
	}
	target, r := c.addressee(o, to)
	if r.kind == replyErrno {
		return r
	}
	if target != nil {
		defer target.close()
	}
	files, err := c.copyControl(o)
	defer closeAll(files)
	if err != nil {
		return failWith(err)
	}
	if !c.valid() {
		return fail(unix.EINTR)
	}
	return result(c.transmit(o))
}

// addressee decides where the message may go, and sets o.to. A target is closed
// by the caller.
func (c *call) addressee(o *outbound, to sockaddr) (*unixTarget, reply) {
	inet := o.k.domain == unix.AF_INET || o.k.domain == unix.AF_INET6
	switch {
	case len(to) == 0:
		return nil, reply{}
	case inet && o.k.typ == unix.SOCK_STREAM:
		// A connected stream ignores the address, and one that is not can't
		// send.
		return nil, reply{}
	case o.k.domain == unix.AF_NETLINK:
		// The routing family; it reaches the kernel only.
		o.to = to
		return nil, reply{}
	case o.k.domain == unix.AF_UNIX && o.k.typ == unix.SOCK_DGRAM:
		target, r := c.allowedUnix(o.k, to)
		if target == nil {
			return nil, r
		}
		o.to = target.addr
		return target, reply{}
	case o.k.domain == unix.AF_UNIX:
		if _, err := unix.Getpeername(o.k.fd); err != nil {
			return nil, fail(unix.EOPNOTSUPP)
		}
		return nil, fail(unix.EISCONN)
	}
	c.s.refusedWith(c, unix.EACCES)
	return nil, fail(unix.EACCES)
}

// copyControl copies the control messages, and takes duplicates of what they
// pass; those are the caller's to close.
func (c *call) copyControl(o *outbound) (files []int, err error) {
	if o.m.controlLen == 0 {
		return nil, nil
	}
	if o.m.controlLen > maxControlRoom {
		return nil, unix.ENOBUFS
	}
	raw := make([]byte, o.m.controlLen)
	if err := c.read(o.m.control, raw); err != nil {
		return nil, err
	}
	if o.k.domain != unix.AF_UNIX {
		o.control = raw
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(raw)
	if err != nil {
		return nil, unix.EINVAL
	}
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch messages[i].Header.Type {
		case unix.SCM_RIGHTS:
			if files, err = c.copyRights(&messages[i], files); err != nil {
				return files, err
			}
		case unix.SCM_CREDENTIALS:
			// The kernel tells those of who sends; others can't be claimed.
		default:
			return files, unix.EINVAL
		}
	}
	if len(files) > 0 {
		o.control = unix.UnixRights(files...)
	}
	return files, nil
}

// maxRights is SCM_MAX_FD, <net/scm.h>: so many descriptors a message holds.
const maxRights = 253

// copyRights duplicates the descriptors that a message passes.
func (c *call) copyRights(message *unix.SocketControlMessage, files []int) ([]int, error) {
	fds, err := unix.ParseUnixRights(message)
	if err != nil || len(files)+len(fds) > maxRights {
		return files, unix.EINVAL
	}
	getfd, ok := c.s.finder.(*getfdFinder)
	if !ok {
		return files, unix.EACCES
	}
	for _, fd := range fds {
		dup, err := getfd.duplicate(c.tid(), int32(fd))
		if err != nil {
			return files, err
		}
		files = append(files, dup)
	}
	return files, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// transmit sends the message as the kernel would: a datagram at once, a stream
// piece by piece, waiting where the socket waits.
func (c *call) transmit(o *outbound) (int, error) {
	total := o.m.size()
	stream := o.k.typ == unix.SOCK_STREAM
	if total < 0 || !stream && total > maxDatagramUnix {
		return 0, unix.EMSGSIZE
	}
	sent := 0
	for {
		n, err := c.transmitPiece(o, sent, min(total-sent, sendPiece), total, stream)
		sent += n
		switch {
		case err == nil && (!stream || sent >= total):
			return sent, nil
		case err == nil:
			o.control = nil // it went with the first piece
		case sent > 0:
			return sent, nil
		default:
			if err == unix.EPIPE && o.raise {
				c.raise(unix.SIGPIPE)
			}
			return 0, err
		}
	}
}

// transmitPiece copies and sends a part of the message; a datagram is one.
func (c *call) transmitPiece(o *outbound, from, size, total int, stream bool) (int, error) {
	if !stream {
		size = total
	}
	data, err := c.gatherPart(o.m, from, size)
	if err != nil {
		return 0, err
	}
	var w *patience
	for {
		n, err := c.sendPiece(o, data)
		if err != unix.EAGAIN || o.flags&unix.MSG_DONTWAIT != 0 || o.k.nonblocking() {
			return n, err
		}
		if w == nil {
			w = c.newPatience(o.k.fd, unix.SO_SNDTIMEO)
		}
		if err := w.wait(unix.POLLOUT); err != nil {
			return 0, err
		}
	}
}

// sendPiece sends data with the rights of who calls, and tells a peer that asks
// (unix(7), SO_PASSCRED) who that is.
func (c *call) sendPiece(o *outbound, data []byte) (n int, err error) {
	control := o.control
	send := func() (err error) {
		n, err = seccomp.SendMessage(o.k.fd, data, control, o.flags|unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, o.to)
		return err
	}
	switch {
	case o.k.domain == unix.AF_NETLINK:
		err = c.s.unprivileged(send)
	case o.k.domain == unix.AF_UNIX && c.s.root:
		err = c.asCaller(func(who ids) error {
			return c.sendAs(who, func(credentials []byte) error {
				control = append(credentials, o.control...)
				return send()
			})
		})
	default:
		err = send()
	}
	return n, err
}

// sendAs has a message sent with the caller's credentials. Unasked the kernel
// would tell the supervisor's process and, of a thread that took on another
// user, the real user, who is root (net/core/scm.c, scm_send). Another
// process's number may be told by CAP_SYS_ADMIN alone.
func (c *call) sendAs(who ids, send func(credentials []byte) error) error {
	pid := c.process().record.PID
	err := send(unix.UnixCredentials(&unix.Ucred{Pid: int32(pid), Uid: uint32(who.uid), Gid: uint32(who.gid)}))
	if err != unix.EPERM {
		return err
	}
	return send(unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(who.uid), Gid: uint32(who.gid)}))
}

// raise sends the caller a signal that its own call would have raised.
func (c *call) raise(sig unix.Signal) {
	if tgid, err := seccomp.ThreadGroup(c.tid()); err == nil && c.valid() {
		_ = unix.Tgkill(tgid, c.tid(), sig) // it may have ended
	}
}
