package supervisor

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// recvfrom is trapped only where it asks for an address. On anything but a
// surrogate it is continued: it only writes to the agent's own memory.
func (c *call) recvfrom() reply {
	sur := c.surrogateFor(c.int(0))
	if sur == nil {
		return proceed
	}
	length := min(c.arg(2), maxDatagram+1)
	data, from, flags, r := c.drain(sur, int(c.int(3)), true)
	if data == nil {
		return r
	}
	n := min(len(data), int(length))
	if err := c.write(c.arg(1), data[:n]); err != nil {
		return failWith(err)
	}
	if err := c.writeSockaddr(c.arg(4), c.arg(5), inetSockaddr(sur.family, from)); err != nil {
		return failWith(err)
	}
	if flags&unix.MSG_TRUNC != 0 {
		n = len(data)
	}
	return value(int64(n))
}

// recvmsg on anything but a surrogate is continued, as recvfrom is.
func (c *call) recvmsg() reply {
	sur := c.surrogateFor(c.int(0))
	if sur == nil {
		return proceed
	}
	n, r := c.receiveMessage(sur, c.arg(1), int(c.int(2)), true)
	if r.kind == replyErrno {
		return r
	}
	return value(int64(n))
}

// recvmmsg waits for the first message only, as with MSG_WAITFORONE: to return
// fewer than asked for is always allowed.
func (c *call) recvmmsg() reply {
	sur := c.surrogateFor(c.int(0))
	if sur == nil {
		return proceed
	}
	count := min(uint32(c.arg(2)), maxMmsg)
	for i := range count {
		at := c.arg(1) + uint64(i)*mmsghdrSize
		n, r := c.receiveMessage(sur, at, int(c.int(3)), i == 0)
		if r.kind == replyErrno {
			if i > 0 {
				return value(int64(i))
			}
			return r
		}
		var size [4]byte
		binary.NativeEndian.PutUint32(size[:], uint32(n))
		if err := c.write(at+mmsgLen, size[:]); err != nil {
			return failWith(err)
		}
	}
	return value(int64(count))
}

// receiveMessage fills one msghdr: data, name, control messages and flags.
func (c *call) receiveMessage(sur *surrogate, at uint64, flags int, wait bool) (int, reply) {
	m, err := c.readMsghdr(at)
	if err != nil {
		return 0, failWith(err)
	}
	data, from, _, r := c.drain(sur, flags, wait)
	if data == nil {
		return 0, r
	}
	n, err := c.scatter(m, data)
	if err != nil {
		return 0, failWith(err)
	}
	outFlags := uint32(0)
	if n < len(data) {
		outFlags |= unix.MSG_TRUNC
	}
	control := sur.control(from)
	if uint64(len(control)) > m.controlLen {
		if len(control) > 0 {
			outFlags |= unix.MSG_CTRUNC
		}
		control = nil
	}
	if err := c.finishMessage(m, inetSockaddr(sur.family, from), control, outFlags); err != nil {
		return 0, failWith(err)
	}
	if flags&unix.MSG_TRUNC != 0 {
		n = len(data)
	}
	return n, value(int64(n))
}

// finishMessage writes what recvmsg(2) returns beside the data.
func (c *call) finishMessage(m *msghdr, from sockaddr, control []byte, flags uint32) error {
	var u32 [4]byte
	var u64 [8]byte
	if m.name != 0 {
		room := min(int(min(m.nameLen, maxSockaddr)), len(from))
		if err := c.write(m.name, from[:room]); err != nil {
			return err
		}
		binary.NativeEndian.PutUint32(u32[:], uint32(len(from)))
		if err := c.write(m.at+msgNameLen, u32[:]); err != nil {
			return err
		}
	}
	if len(control) > 0 {
		if err := c.write(m.control, control); err != nil {
			return err
		}
	}
	binary.NativeEndian.PutUint64(u64[:], uint64(len(control)))
	if err := c.write(m.at+msgControlLen, u64[:]); err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(u32[:], flags)
	return c.write(m.at+msgFlags, u32[:])
}

// drain takes one datagram out of the agent's own end. Without one the data is
// nil and the reply stands.
func (c *call) drain(sur *surrogate, flags int, wait bool) ([]byte, netip.AddrPort, int, reply) {
	none := netip.AddrPort{}
	if flags&unix.MSG_ERRQUEUE != 0 {
		return nil, none, 0, fail(unix.EAGAIN) // there are no queued errors
	}
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return nil, none, 0, failWith(err)
	}
	defer k.close()
	if k.ino != sur.ino || !c.valid() {
		return nil, none, 0, fail(unix.EINTR)
	}
	peek := flags & unix.MSG_PEEK
	data, from, err := sur.drainNow(k.fd, peek)
	if err == unix.EAGAIN && wait && flags&unix.MSG_DONTWAIT == 0 && !k.nonblocking() {
		data, from, err = c.awaitDatagram(sur, k.fd, peek)
	}
	if err == unix.ECONNRESET {
		err = unix.ECONNREFUSED // what UDP says of an unreachable port
	}
	if err != nil {
		return nil, none, 0, failWith(err)
	}
	return data, from, flags, reply{}
}

// drainNow takes a datagram that is there, and says whence it came. Both are one
// step: several threads may receive at once.
func (sur *surrogate) drainNow(fd, flags int) ([]byte, netip.AddrPort, error) {
	buf := datagramBuffers.Get().(*[]byte)
	defer datagramBuffers.Put(buf)
	sur.drainMu.Lock()
	defer sur.drainMu.Unlock()
	for {
		n, _, err := unix.Recvfrom(fd, *buf, flags|unix.MSG_DONTWAIT)
		switch err {
		case unix.EINTR:
		case nil:
			data := append([]byte{}, (*buf)[:n]...) // not nil where it is empty
			return data, sur.sourceOf(data, flags&unix.MSG_PEEK != 0), nil
		default:
			return nil, netip.AddrPort{}, err
		}
	}
}

// awaitDatagram waits for as long as the agent's own SO_RCVTIMEO says.
func (c *call) awaitDatagram(sur *surrogate, fd, flags int) ([]byte, netip.AddrPort, error) {
	w, err := c.newPatience(fd, unix.SO_RCVTIMEO)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	for {
		if err := w.wait(unix.POLLIN); err != nil {
			return nil, netip.AddrPort{}, err
		}
		data, from, err := sur.drainNow(fd, flags)
		if err != unix.EAGAIN {
			return data, from, err
		}
	}
}

// signalPending says whether a signal waits for the thread that it does not
// block or ignore (proc_pid_status(5)).
func signalPending(tid int) bool {
	status, err := readStatus(tid)
	if err != nil {
		return true
	}
	pending := statusMask(status, "SigPnd") | statusMask(status, "ShdPnd")
	return pending&^statusMask(status, "SigBlk")&^statusMask(status, "SigIgn") != 0
}
