package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// sendto is trapped only with an address. It is always made by the
// supervisor, with copies of address and data.
func (c *call) sendto() reply {
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	m := &msghdr{
		name: c.arg(4), nameLen: uint32(c.int(5)),
		iov: []seccomp.Range{{Base: seccomp.Addr(c.arg(1)), Len: c.arg(2)}},
	}
	if sur := c.s.surrogates.byInode(k.ino); sur != nil {
		return c.sendMessage(sur, m)
	}
	return c.sendFor(k, m, int(c.int(3)))
}

// sendDatagram carries one message of a surrogate to addr or, without one, to
// its peer.
func (c *call) sendDatagram(sur *surrogate, m *msghdr, addr sockaddr) reply {
	proc := c.process()
	data, err := c.gather(m, maxDatagram)
	if err != nil {
		return failWith(err)
	}
	sur.mu.Lock()
	sur.proc = proc
	dst := sur.peer
	sur.mu.Unlock()
	if len(addr) > 0 {
		to, errno := surrogateAddr(sur, addr)
		if errno != 0 {
			return fail(errno)
		}
		dst = to
	}
	if errno := sur.send(data, dst); errno != 0 {
		return fail(errno)
	}
	return value(int64(len(data)))
}

// surrogateFor finds the surrogate behind a descriptor, nil for anything else.
func (c *call) surrogateFor(fd int32) *surrogate {
	if c.s.surrogates.none() {
		return nil
	}
	ino, err := inodeOf(c.tid(), fd)
	if err != nil {
		return nil
	}
	return c.s.surrogates.byInode(ino)
}

// sendmsg is made by the supervisor, with copies of all: continued, it could
// be aimed at a datagram socket outside while the kernel reads it anew, by
// another thread that swaps header or descriptor. Where there is none see
// sendsItself.
//
// Where sockets can't be duplicated (see heldFinder) it is continued on all but
// surrogates and unix datagram sockets: no IP datagram socket exists in the
// agent, the filter refuses MSG_FASTOPEN, and an unconnected stream can't send.
// What is left of the race is said by `boundary doctor`.
func (c *call) sendmsg() reply {
	if sur := c.surrogateFor(c.int(0)); sur != nil {
		m, err := c.readMsghdr(c.arg(1))
		if err != nil {
			return failWith(err)
		}
		return c.sendMessage(sur, m)
	}
	if held, ok := c.s.finder.(*heldFinder); ok {
		return c.sendHeld(held, c.arg(1), int(c.int(2)), 1)
	}
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	if c.sendsItself(k) {
		return proceed
	}
	m, err := c.readMsghdr(c.arg(1))
	if err != nil {
		return failWith(err)
	}
	return c.sendFor(k, m, int(c.int(2)))
}

// sendHeld is sendmsg or sendmmsg, of which the first header lies at an
// address, where sockets can't be duplicated. Only unix datagram sockets are
// looked at: a name in a message takes them anywhere. One that the finder does
// not know (it came from outside, or was lost sight of) can't be sent on.
func (c *call) sendHeld(held *heldFinder, at uint64, flags int, count uint32) reply {
	k, err := held.find(c.tid(), c.int(0))
	switch {
	case err == unix.EBADF, err == unix.ENOTSOCK:
		return failWith(err)
	case err != nil:
		if harmless, err := takesNoName(c.tid(), c.int(0)); harmless && err == nil {
			return proceed
		}
		c.s.refusedWith(c, unix.EACCES)
		return fail(unix.EACCES)
	}
	defer k.close()
	if k.domain != unix.AF_UNIX || k.typ != unix.SOCK_DGRAM {
		return proceed
	}
	return c.sendEach(at, count, func(m *msghdr) reply { return c.sendFor(k, m, flags) })
}

func (c *call) sendMessage(sur *surrogate, m *msghdr) reply {
	addr, err := c.readSockaddr(m.name, int32(min(m.nameLen, maxSockaddr+1)))
	if err != nil {
		return failWith(err)
	}
	return c.sendDatagram(sur, m, addr)
}

// sendmmsg is made as sendmsg is.
func (c *call) sendmmsg() reply {
	count := min(uint32(c.arg(2)), maxMmsg)
	flags := int(c.int(3))
	if sur := c.surrogateFor(c.int(0)); sur != nil {
		return c.sendEach(c.arg(1), count, func(m *msghdr) reply { return c.sendMessage(sur, m) })
	}
	if held, ok := c.s.finder.(*heldFinder); ok {
		return c.sendHeld(held, c.arg(1), flags, count)
	}
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	return c.sendEach(c.arg(1), count, func(m *msghdr) reply { return c.sendFor(k, m, flags) })
}

// sendEach sends messages whose headers lie one after the other. Like
// sendmmsg(2) it says how many went out before the first that could not, and
// its error if none.
func (c *call) sendEach(at uint64, count uint32, send func(*msghdr) reply) reply {
	multiple := c.n.Data.Nr == unix.SYS_SENDMMSG
	for i := range count {
		at := at + uint64(i)*mmsghdrSize
		m, err := c.readMsghdr(at)
		r := failWith(err)
		if err == nil {
			r = send(m)
		}
		if !multiple || r.kind == replyContinue {
			return r
		}
		if r.kind == replyErrno {
			if i > 0 {
				return value(int64(i))
			}
			return r
		}
		var n [4]byte
		binary.NativeEndian.PutUint32(n[:], uint32(r.val))
		if err := c.write(at+mmsgLen, n[:]); err != nil {
			return failWith(err)
		}
	}
	return value(int64(count))
}
