package supervisor

import (
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
		domain == unix.AF_UNIX:
		return c.makeSocket(int(domain), int(typ), flags, int(proto))
	}
	errno := socketRefusal(domain, typ, proto)
	c.s.refusedWith(c, errno)
	return fail(errno)
}

// makeSocket is for TCP and AF_UNIX sockets. They are trapped only where the
// supervisor must hold a duplicate of each; else they are made natively, and
// whatever is made natively in answer to these registers is TCP or AF_UNIX.
func (c *call) makeSocket(domain, typ int, flags int32, proto int) reply {
	held, ok := c.s.finder.(*heldFinder)
	if !ok {
		return proceed
	}
	fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC|int(flags&unix.SOCK_NONBLOCK), proto)
	if err != nil {
		return failWith(err)
	}
	if _, err := held.keep(fd); err != nil {
		unix.Close(fd)
		return failWith(err)
	}
	return c.give(fd, flags)
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
