package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// msghdr is a copy of an agent's struct msghdr (recvmsg(2)), as it lies in
// the memory of a 64-bit program.
type msghdr struct {
	at         uint64 // where it lies
	name       uint64
	nameLen    uint32
	iov        []seccomp.Range
	control    uint64
	controlLen uint64
}

// Layout of struct msghdr, struct iovec and struct mmsghdr on 64-bit machines.
const (
	msghdrSize     = 56
	msgNameLen     = 8
	msgIov         = 16
	msgIovLen      = 24
	msgControl     = 32
	msgControlLen  = 40
	msgFlags       = 48
	iovecSize      = 16
	mmsghdrSize    = 64
	mmsgLen        = 56
	maxIov         = 1024 // UIO_MAXIOV
	maxMmsg        = 1024 // UIO_MAXIOV: sendmmsg(2) and recvmmsg(2) cap their vector there
	maxControlRoom = 1 << 16
)

// readMsghdr copies a message header and its vector, once.
func (c *call) readMsghdr(at uint64) (*msghdr, error) {
	raw := make([]byte, msghdrSize)
	if err := c.read(at, raw); err != nil {
		return nil, err
	}
	m, iov, count := parseMsghdr(at, raw)
	if count > maxIov {
		return nil, unix.EMSGSIZE
	}
	vector := make([]byte, count*iovecSize)
	if err := c.read(iov, vector); err != nil {
		return nil, err
	}
	m.iov = parseIovec(vector)
	if !c.valid() {
		return nil, unix.EINTR
	}
	return m, nil
}

func parseMsghdr(at uint64, raw []byte) (m *msghdr, iov, count uint64) {
	u64 := binary.NativeEndian.Uint64
	m = &msghdr{
		at: at, name: u64(raw), nameLen: binary.NativeEndian.Uint32(raw[msgNameLen:]),
		control: u64(raw[msgControl:]), controlLen: u64(raw[msgControlLen:]),
	}
	if m.name == 0 {
		m.nameLen = 0
	}
	return m, u64(raw[msgIov:]), u64(raw[msgIovLen:])
}

func parseIovec(raw []byte) []seccomp.Range {
	out := make([]seccomp.Range, 0, len(raw)/iovecSize)
	for ; len(raw) >= iovecSize; raw = raw[iovecSize:] {
		out = append(out, seccomp.Range{
			Base: seccomp.Addr(binary.NativeEndian.Uint64(raw)),
			Len:  binary.NativeEndian.Uint64(raw[8:]),
		})
	}
	return out
}

// size is how much the vector holds, or -1 where that is more than any
// datagram, or overflows.
func (m *msghdr) size() int {
	total := uint64(0)
	for _, r := range m.iov {
		total += r.Len
		if r.Len > 1<<31 || total > 1<<31 {
			return -1
		}
	}
	return int(total)
}

// gather copies the payload of a message to send, of at most limit bytes.
func (c *call) gather(m *msghdr, limit int) ([]byte, error) {
	n := m.size()
	if n < 0 || n > limit {
		return nil, unix.EMSGSIZE
	}
	buf := make([]byte, n)
	var got int
	err := asOwner(c.tid(), func() (err error) {
		got, err = seccomp.ReadRanges(c.tid(), m.iov, buf)
		return err
	})
	if err != nil {
		return nil, c.memoryError(err)
	}
	if !c.valid() {
		return nil, unix.EINTR
	}
	return buf[:got], nil
}

// gatherPart copies n bytes of a payload, from an offset on.
func (c *call) gatherPart(m *msghdr, from, n int) ([]byte, error) {
	part := &msghdr{}
	skip := uint64(from)
	for _, r := range m.iov {
		cut := min(skip, r.Len)
		skip -= cut
		part.iov = append(part.iov, seccomp.Range{Base: r.Base + seccomp.Addr(cut), Len: r.Len - cut})
	}
	buf := make([]byte, n)
	err := asOwner(c.tid(), func() error {
		_, err := seccomp.ReadRanges(c.tid(), part.iov, buf)
		return err
	})
	if err != nil {
		return nil, c.memoryError(err)
	}
	if !c.valid() {
		return nil, unix.EINTR
	}
	return buf, nil
}

// scatter writes a received datagram, and tells how much had room.
func (c *call) scatter(m *msghdr, data []byte) (int, error) {
	n := 0
	err := asOwner(c.tid(), func() (err error) {
		if !c.valid() {
			return unix.EINTR
		}
		n, err = seccomp.WriteRanges(c.tid(), m.iov, data)
		return err
	})
	return n, c.memoryError(err)
}
