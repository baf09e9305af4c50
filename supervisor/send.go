package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// maxStreamChunk is how much one sendto with an address, on a socket to which
// an address means nothing, is made to carry: a partial send is allowed there.
const maxStreamChunk = 64 << 10

// sendto is trapped only with an address. It is always made by the
// supervisor, with copies of address and data.
func (c *call) sendto() reply {
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	addr, err := c.readSockaddr(c.arg(4), c.int(5))
	if err != nil {
		return failWith(err)
	}
	length := c.arg(2)
	if sur := c.s.surrogates.byInode(k.ino); sur != nil {
		if length > maxDatagram {
			return fail(unix.EMSGSIZE)
		}
		m := &msghdr{iov: []seccomp.Range{{Base: seccomp.Addr(c.arg(1)), Len: length}}}
		return c.sendDatagram(sur, m, addr)
	}
	data := make([]byte, min(length, maxStreamChunk))
	if length > maxStreamChunk && k.typ != unix.SOCK_STREAM {
		return fail(unix.EMSGSIZE)
	}
	if err := c.read(c.arg(1), data); err != nil {
		return failWith(err)
	}
	return c.sendOn(k, data, int(c.int(3)), addr)
}

// sendOn sends for the agent on a socket that is no surrogate.
func (c *call) sendOn(k *socket, data []byte, flags int, addr sockaddr) reply {
	// Only flags that can do the supervisor no harm: with MSG_ZEROCOPY the
	// kernel would go on reading memory that is ours and used again.
	flags &= unix.MSG_DONTWAIT | unix.MSG_MORE | unix.MSG_OOB | unix.MSG_EOR | unix.MSG_DONTROUTE
	flags |= unix.MSG_NOSIGNAL // the signal would be the supervisor's
	if !k.nonblocking() && flags&unix.MSG_DONTWAIT == 0 {
		c.mayBlock()
	}
	switch {
	case k.domain == unix.AF_UNIX && k.typ == unix.SOCK_DGRAM && len(addr) > 0:
		target, r := c.allowedUnix(k, addr)
		if target == nil {
			return r
		}
		defer target.close()
		n := 0
		err := c.s.asAgent(c, func() (err error) {
			n, err = seccomp.SendTo(k.fd, data, flags, target.addr)
			return err
		})
		return result(n, err)
	case k.domain == unix.AF_NETLINK:
		// The routing family; it reaches the kernel only. What it may change
		// is decided by the credentials of the socket's maker too.
		if !c.valid() {
			return fail(unix.EINTR)
		}
		n, err := seccomp.SendTo(k.fd, data, flags, addr)
		return result(n, err)
	}
	// A connected stream ignores the address, and one that is not can't send.
	if !c.valid() {
		return fail(unix.EINTR)
	}
	n, err := seccomp.SendTo(k.fd, data, flags, nil)
	return result(n, err)
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

// sendmsg is continued on anything but a surrogate or a unix datagram socket
// with an address: what is left has a fixed peer, or none. No IP datagram
// socket exists in the agent, the filter refuses MSG_FASTOPEN, and an
// unconnected stream can't send.
func (c *call) sendmsg() reply {
	sur := c.surrogateFor(c.int(0))
	if sur != nil {
		m, err := c.readMsghdr(c.arg(1))
		if err != nil {
			return failWith(err)
		}
		return c.sendMessage(sur, m)
	}
	var raw [msghdrSize]byte
	if err := c.read(c.arg(1), raw[:]); err != nil {
		return failWith(err)
	}
	if binary.NativeEndian.Uint64(raw[:]) == 0 {
		return proceed
	}
	return c.sendNamed()
}

// sendNamed is sendmsg with an address on a socket that is no surrogate.
func (c *call) sendNamed() reply {
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	if k.domain != unix.AF_UNIX || k.typ != unix.SOCK_DGRAM {
		return proceed // see sendmsg
	}
	m, err := c.readMsghdr(c.arg(1))
	if err != nil {
		return failWith(err)
	}
	if m.controlLen != 0 {
		// Descriptors and credentials can't be passed on another's behalf.
		c.s.refusedWith(c, unix.EACCES)
		return fail(unix.EACCES)
	}
	addr, err := c.readSockaddr(m.name, int32(m.nameLen))
	if err != nil {
		return failWith(err)
	}
	data, err := c.gather(m, maxStreamChunk)
	if err != nil {
		return failWith(err)
	}
	return c.sendOn(k, data, int(c.int(2)), addr)
}

func (c *call) sendMessage(sur *surrogate, m *msghdr) reply {
	addr, err := c.readSockaddr(m.name, int32(min(m.nameLen, maxSockaddr+1)))
	if err != nil {
		return failWith(err)
	}
	return c.sendDatagram(sur, m, addr)
}

// sendmmsg is continued as sendmsg is. For a surrogate it says how many
// messages went out before the first that could not, and its error if none.
func (c *call) sendmmsg() reply {
	sur := c.surrogateFor(c.int(0))
	if sur == nil {
		return c.sendmmsgElsewhere()
	}
	count := min(uint32(c.arg(2)), maxMmsg)
	for i := range count {
		at := c.arg(1) + uint64(i)*mmsghdrSize
		m, err := c.readMsghdr(at)
		r := failWith(err)
		if err == nil {
			r = c.sendMessage(sur, m)
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

// sendmmsgElsewhere refuses what sendNamed would have to make: several
// messages with addresses on a unix datagram socket.
func (c *call) sendmmsgElsewhere() reply {
	var raw [msghdrSize]byte
	if err := c.read(c.arg(1), raw[:]); err != nil {
		return failWith(err)
	}
	if binary.NativeEndian.Uint64(raw[:]) == 0 {
		return proceed
	}
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	if k.domain == unix.AF_UNIX && k.typ == unix.SOCK_DGRAM {
		c.s.refusedWith(c, unix.EACCES)
		return fail(unix.EACCES)
	}
	return proceed
}
