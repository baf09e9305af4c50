package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const (
	sockTypeMask = 0xf // SOCK_TYPE_MASK, <linux/net.h>
	sockFlags    = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
)

// socket decides on socket(2) by its registers alone, so nothing here races.
func (c *call) socket() reply {
	domain, typ, proto := c.int(0), c.int(1)&sockTypeMask, c.int(2)
	flags := c.int(1) &^ sockTypeMask
	if flags&^sockFlags != 0 {
		return fail(unix.EINVAL)
	}
	inet := domain == unix.AF_INET || domain == unix.AF_INET6
	switch {
	case inet && typ == unix.SOCK_DGRAM && (proto == 0 || proto == unix.IPPROTO_UDP):
		return c.makeSurrogate(int(domain), flags)
	case inet && typ == unix.SOCK_STREAM && (proto == 0 || proto == unix.IPPROTO_TCP),
		domain == unix.AF_UNIX, domain == unix.AF_NETLINK && proto == unix.NETLINK_ROUTE:
		return c.makeSocket(int(domain), int(typ), flags, int(proto))
	}
	errno := socketRefusal(domain, typ, proto)
	c.s.refusedWith(c, errno)
	return fail(errno)
}

// makeSocket is for TCP, AF_UNIX and routing sockets. They are trapped only
// where the supervisor must hold a duplicate of each; else they are made
// natively, and whatever is made natively in answer to these registers is one
// of these.
func (c *call) makeSocket(domain, typ int, flags int32, proto int) reply {
	held, ok := c.s.finder.(*heldFinder)
	if !ok {
		return proceed
	}
	group, err := c.takeDescriptors(1)
	if err != nil {
		return failWith(err)
	}
	fd, err := c.s.openSocket(domain, typ|unix.SOCK_CLOEXEC|int(flags&unix.SOCK_NONBLOCK), proto)
	if err != nil {
		c.s.descriptors.give(group, 1)
		return failWith(err)
	}
	return c.giveKept(held, fd, flags, group)
}

// giveKept gives a socket to the agent, and keeps it in the share of a group.
func (c *call) giveKept(held *heldFinder, fd int, flags int32, group int) reply {
	if _, err := held.keep(fd, group, 1); err != nil {
		unix.Close(fd)
		c.s.descriptors.give(group, 1)
		return failWith(err)
	}
	return c.give(fd, flags)
}

// socketpair is trapped where the supervisor must hold a duplicate of each
// socket. Only pairs for datagrams need one: an end of them can send to others
// than the other. The rest is made natively, as its registers say.
func (c *call) socketpair() reply {
	typ, flags := c.int(1)&sockTypeMask, c.int(1)&^sockTypeMask
	held, ok := c.s.finder.(*heldFinder)
	if !ok || typ != unix.SOCK_DGRAM || flags&^sockFlags != 0 {
		return proceed
	}
	group, err := c.takeDescriptors(2)
	if err != nil {
		return failWith(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|int(flags&unix.SOCK_NONBLOCK), int(c.int(2)))
	if err != nil {
		c.s.descriptors.give(group, 2)
		return failWith(err)
	}
	var numbers []byte
	var failed error
	for _, fd := range pair {
		r := c.giveKept(held, fd, flags, group)
		numbers = binary.NativeEndian.AppendUint32(numbers, uint32(r.val))
		if r.kind == replyErrno {
			failed = r.errno
		}
	}
	if failed == nil {
		failed = c.write(c.arg(3), numbers)
	}
	return result(0, failed)
}

// openSocket makes a socket for the agent. What one of netlink may do is told by
// the rights of its maker too.
func (s *Session) openSocket(domain, typ, proto int) (fd int, err error) {
	if domain != unix.AF_NETLINK {
		return unix.Socket(domain, typ, proto)
	}
	err = s.unprivileged(func() (err error) {
		fd, err = unix.Socket(domain, typ, proto)
		return err
	})
	return fd, err
}

// give puts a duplicate of fd into the agent and answers with its number.
func (c *call) give(fd int, flags int32) reply {
	n, err := c.s.listener.AddFD(c.n.ID, fd, flags&unix.SOCK_CLOEXEC != 0)
	return result(n, err)
}

// socketRefusal is what a kernel without that family, type or protocol says,
// so that programs fall back on what they would there.
func socketRefusal(domain, typ, proto int32) unix.Errno {
	switch domain {
	case unix.AF_INET, unix.AF_INET6:
		if typ == unix.SOCK_RAW || typ == unix.SOCK_PACKET {
			return unix.EPERM
		}
		return unix.EPROTONOSUPPORT // SCTP, DCCP, UDP-Lite, MPTCP, SMC, ping
	case unix.AF_PACKET:
		return unix.EPERM
	case unix.AF_NETLINK:
		return unix.EPROTONOSUPPORT
	}
	return unix.EAFNOSUPPORT
}
