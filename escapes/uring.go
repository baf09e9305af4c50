package escapes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Operations and flags of io_uring, <linux/io_uring.h>.
const (
	uringSendmsg  = 9
	uringConnect  = 16
	uringWrite    = 23
	uringSend     = 26
	uringSocket   = 45
	uringSendZC   = 47
	uringSetupSQP = 1 << 1
	uringOffSQEs  = 0x10000000
	uringSQESize  = 64
	uringDepth    = 8
)

// uringAttempts go by io_uring, whose operations no filter sees.
func uringAttempts() []Attempt {
	stream := func(g *Ground) (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) }
	datagram := func(g *Ground) (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0) }
	list := []Attempt{
		{Name: "uring/connect", Does: "connect", Try: func(g *Ground) error {
			return g.submit(0, stream, uringConnectTo(g.Denied.AddrPort4()))
		}},
		{Name: "uring/connect-ipv6", Does: "connect by IPv6", Needs: []Need{NeedIPv6}, Try: func(g *Ground) error {
			six := func(*Ground) (int, error) { return unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0) }
			return g.submit(0, six, uringConnectTo(g.Denied.AddrPort6()))
		}},
		{Name: "uring/connect-sqpoll", Does: "connect by the kernel's own thread", Try: func(g *Ground) error {
			return g.submit(uringSetupSQP, stream, uringConnectTo(g.Denied.AddrPort4()))
		}},
		{Name: "uring/socket", Does: "make the socket by the ring too", Try: uringSocketConnect},
		{Name: "uring/sendmsg", Does: "send a datagram", Try: func(g *Ground) error {
			return g.submit(0, datagram, uringSendTo(g, uringSendmsg, 0))
		}},
		{Name: "uring/sendmsg-fastopen", Does: "connect by the first sendmsg", Try: func(g *Ground) error {
			return g.submit(0, stream, uringSendTo(g, uringSendmsg, unix.MSG_FASTOPEN))
		}},
		{Name: "uring/send", Does: "send a datagram with an address", Try: func(g *Ground) error {
			return g.submit(0, datagram, uringSendTo(g, uringSend, 0))
		}},
		{Name: "uring/send-zerocopy", Does: "send a datagram without a copy", Try: func(g *Ground) error {
			return g.submit(0, datagram, uringSendTo(g, uringSendZC, 0))
		}},
		{Name: "uring/write", Does: "write on a connected datagram socket", Try: func(g *Ground) error {
			connected := func(g *Ground) (int, error) {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
				if err != nil {
					return fd, err
				}
				return fd, unix.Connect(fd, &unix.SockaddrInet4{Addr: g.Denied.V4.As4(), Port: int(g.Denied.Port)})
			}
			return g.submit(0, connected, func(m memory, e entry) {
				e.set(uringWrite, uint64(m.put(256, []byte(g.Token))), uint32(len(g.Token)))
			})
		}},
	}
	for i := range list {
		list[i].Needs = append(list[i].Needs, NeedURing)
		list[i].Does = "io_uring: " + list[i].Does
	}
	return list
}

// entry is a submission queue entry, struct io_uring_sqe.
type entry []byte

func (e entry) set(op byte, addr uint64, length uint32) {
	e[0] = op
	binary.NativeEndian.PutUint64(e[16:], addr)
	binary.NativeEndian.PutUint32(e[24:], length)
}

// uringConnectTo fills an entry for a connect.
func uringConnectTo(to netip.AddrPort) func(memory, entry) {
	return func(m memory, e entry) {
		name := sockaddr(to)
		e.set(uringConnect, uint64(m.put(0, name)), 0)
		binary.NativeEndian.PutUint64(e[8:], uint64(len(name)))
	}
}

// uringSendTo fills an entry that sends the token to the denied peer.
func uringSendTo(g *Ground, op byte, flags uint32) func(memory, entry) {
	return func(m memory, e entry) {
		name := sockaddr(g.Denied.AddrPort4())
		to, data := m.put(0, name), m.put(256, []byte(g.Token))
		binary.NativeEndian.PutUint32(e[28:], flags)
		if op != uringSendmsg {
			e.set(op, uint64(data), uint32(len(g.Token)))
			binary.NativeEndian.PutUint64(e[8:], uint64(to))
			binary.NativeEndian.PutUint16(e[44:], uint16(len(name)))
			return
		}
		vector := m.word(512, uint64(data))
		m.word(520, uint64(len(g.Token)))
		m.word(576, uint64(to))
		m.half(584, uint32(len(name)))
		m.word(592, uint64(vector))
		m.word(600, 1)
		e.set(op, uint64(m.at(576)), 1)
	}
}

// ring is an io_uring of its own.
type ring struct {
	fd      int
	params  memory
	queue   []byte // both rings: IORING_FEAT_SINGLE_MMAP
	entries []byte
}

func newRing(flags uint32) (*ring, error) {
	params, err := newMemory(4096)
	if err != nil {
		return nil, err
	}
	params.half(8, flags)
	params.half(16, 100) // milliseconds before the kernel's thread sleeps
	fd, err := call(unix.SYS_IO_URING_SETUP, uringDepth, params.at(0))
	if err != nil {
		return nil, fmt.Errorf("io_uring_setup: %w", err)
	}
	return openRing(int(fd), params)
}

// openRing maps a ring that the kernel has described in params.
func openRing(fd int, params memory) (*ring, error) {
	r := &ring{fd: fd, params: params}
	u32 := func(at int) int { return int(binary.NativeEndian.Uint32(params[at:])) }
	size := max(u32(40+24)+u32(0)*4, u32(80+20)+u32(4)*16)
	var err error
	if r.queue, err = unix.Mmap(r.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map rings: %w", err)
	}
	r.entries, err = unix.Mmap(r.fd, uringOffSQEs, u32(0)*uringSQESize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map entries: %w", err)
	}
	return r, nil
}

// run submits one entry and waits for its end. It returns the result.
func (r *ring) run(fd int, sqpoll bool, fill func(entry)) (int32, error) {
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(r.params[at:]) }
	word := func(at uint32) *uint32 { return wordAt(r.queue, int(at)) }
	tail := word(u32(40 + 4))
	slot := atomic.LoadUint32(tail) & binary.NativeEndian.Uint32(r.queue[u32(40+8):])
	e := entry(r.entries[slot*uringSQESize : (slot+1)*uringSQESize])
	clear(e)
	binary.NativeEndian.PutUint32(e[4:], uint32(fd))
	fill(e)
	*word(u32(40+24) + slot*4) = slot
	cqTail := word(u32(80 + 4))
	before := atomic.LoadUint32(cqTail)
	atomic.AddUint32(tail, 1)
	if !sqpoll {
		if _, err := call(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 0, 0, 0, 0); err != nil {
			return 0, fmt.Errorf("io_uring_enter: %w", err)
		}
	}
	for end := time.Now().Add(time.Second); atomic.LoadUint32(cqTail) == before; time.Sleep(time.Millisecond) {
		if sqpoll {
			const wakeUp = 1 << 1 // IORING_ENTER_SQ_WAKEUP
			if _, err := call(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 0, 0, wakeUp, 0, 0); err != nil {
				return 0, fmt.Errorf("wake the kernel's thread: %w", err)
			}
		}
		if time.Now().After(end) {
			return 0, unix.ETIMEDOUT
		}
	}
	mask := binary.NativeEndian.Uint32(r.queue[u32(80+8):])
	return int32(binary.NativeEndian.Uint32(r.queue[u32(80+20)+(before&mask)*16+8:])), nil
}

// submit makes a ring and a socket, and has one operation done.
func (g *Ground) submit(flags uint32, open func(*Ground) (int, error), fill func(memory, entry)) error {
	r, err := newRing(flags)
	if err != nil {
		return err
	}
	fd, err := open(g)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	result, err := r.run(fd, flags&uringSetupSQP != 0, func(e entry) { fill(m, e) })
	if err == nil && result < 0 {
		err = unix.Errno(-result)
	}
	return err
}

// uringSocketConnect lets the ring make the socket.
func uringSocketConnect(g *Ground) error {
	r, err := newRing(0)
	if err != nil {
		return err
	}
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	fd, err := r.run(unix.AF_INET, false, func(e entry) {
		e[0] = uringSocket
		binary.NativeEndian.PutUint64(e[8:], unix.SOCK_STREAM)
	})
	if err != nil || fd < 0 {
		return fmt.Errorf("socket: %d: %w", fd, err)
	}
	result, err := r.run(int(fd), false, func(e entry) { uringConnectTo(g.Denied.AddrPort4())(m, e) })
	if err == nil && result < 0 {
		err = unix.Errno(-result)
	}
	return err
}
