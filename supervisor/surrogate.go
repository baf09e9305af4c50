package supervisor

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// surrogate is what the agent gets for a UDP socket: one end of an AF_UNIX
// datagram pair. What the agent writes natively arrives at the other end, and
// what is written there the agent reads. Calls that carry an address are
// answered from the addresses kept here.
type surrogate struct {
	s      *Session
	ino    inode
	group  int // whose share its descriptors are of
	share  int // and how many they are
	family int
	agent  sockaddr      // abstract name of the agent's end
	end    *net.UnixConn // the supervisor's end; safe for concurrent use

	drainMu sync.Mutex // one receive at a time, with its source

	mu      sync.Mutex
	proc    *process                  // guarded by mu: the last that used it
	local   netip.AddrPort            // guarded by mu: zero while unbound
	peer    netip.AddrPort            // guarded by mu: zero while unconnected
	options map[sockopt][]byte        // guarded by mu
	sources []datagram                // guarded by mu: what was written to the agent's end, oldest first
	relays  map[netip.AddrPort]*relay // guarded by mu
	closed  bool                      // guarded by mu
}

// datagram tells whence a datagram came that is in the agent's queue.
type datagram struct {
	length int
	hash   uint64
	from   netip.AddrPort
}

// maxDatagram is the largest UDP payload over IPv4.
const maxDatagram = 65507

// surrogates are those of the session, and its own little loopback: which of
// them is bound to which port.
type surrogates struct {
	mu    sync.Mutex
	byIno map[inode]*surrogate // guarded by mu
	bound map[uint16][]binding // guarded by mu
}

func newSurrogates() *surrogates {
	return &surrogates{byIno: map[inode]*surrogate{}, bound: map[uint16][]binding{}}
}

func (t *surrogates) byInode(ino inode) *surrogate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byIno[ino]
}

func (t *surrogates) none() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byIno) == 0
}

func (t *surrogates) all() []*surrogate {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*surrogate, 0, len(t.byIno))
	for _, sur := range t.byIno {
		out = append(out, sur)
	}
	return out
}

// makeSurrogate answers socket(AF_INET*, SOCK_DGRAM).
func (c *call) makeSurrogate(family int, flags int32) reply {
	t := c.s.surrogates
	share := 1
	held, keeps := c.s.finder.(*heldFinder)
	if keeps {
		share = 2
	}
	group, err := c.takeDescriptors(share)
	if err != nil {
		return failWith(err)
	}
	sur, agentFD, err := newSurrogate(c.s, family, flags&unix.SOCK_NONBLOCK != 0)
	if err != nil {
		c.s.descriptors.give(group, share)
		c.s.log.WithError(err).Warn("surrogate not made")
		return fail(unix.ENOBUFS)
	}
	sur.proc, sur.group, sur.share = c.process(), group, share
	t.mu.Lock()
	t.byIno[sur.ino] = sur
	t.mu.Unlock()
	r := c.give(agentFD, flags)
	if keeps {
		if _, err := held.keep(agentFD, group, 0); err != nil {
			unix.Close(agentFD)
		}
	} else {
		unix.Close(agentFD)
	}
	go sur.serve()
	return r
}

// newSurrogate makes the pair; the caller owns the agent's end.
func newSurrogate(s *Session, family int, nonblock bool) (*surrogate, int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("make socket pair: %w", err)
	}
	ours, theirs := pair[0], pair[1]
	sur := &surrogate{s: s, family: family, options: map[sockopt][]byte{}}
	if err := sur.set(ours, theirs, nonblock); err != nil {
		unix.Close(ours)
		unix.Close(theirs)
		return nil, -1, err
	}
	return sur, theirs, nil
}

func (sur *surrogate) set(ours, theirs int, nonblock bool) error {
	// An autobound abstract name tells later whether the agent still has its
	// end open: a datagram socket's peer is not told of a close (unix(7)).
	if err := unix.Bind(theirs, &unix.SockaddrUnix{}); err != nil {
		return fmt.Errorf("name socket pair: %w", err)
	}
	name, err := unix.Getsockname(theirs)
	if err != nil {
		return fmt.Errorf("read name of socket pair: %w", err)
	}
	sur.agent = abstractSockaddr(name.(*unix.SockaddrUnix).Name)
	var st unix.Stat_t
	if err := unix.Fstat(theirs, &st); err != nil {
		return fmt.Errorf("fstat socket pair: %w", err)
	}
	sur.ino = inode(st.Ino)
	if nonblock {
		if err := unix.SetNonblock(theirs, true); err != nil {
			return fmt.Errorf("set O_NONBLOCK: %w", err)
		}
	}
	// ENOPROTOOPT before 6.16: then descriptors that an agent sends are
	// closed by the read, in this surrogate's own goroutine.
	_ = unix.SetsockoptInt(ours, unix.SOL_SOCKET, soPassRights, 0)
	f := os.NewFile(uintptr(ours), "surrogate")
	conn, err := net.FileConn(f) // has a duplicate of its own
	f.Close()
	if err != nil {
		return fmt.Errorf("poll socket pair: %w", err)
	}
	sur.end = conn.(*net.UnixConn)
	return nil
}

const soPassRights = 83 // SO_PASSRIGHTS, <asm-generic/socket.h>

// abstractSockaddr undoes what x/sys does to an abstract name: its leading NUL
// is written "@".
func abstractSockaddr(name string) sockaddr {
	a := make(sockaddr, sunPath, sunPath+len(name))
	a[0] = unix.AF_UNIX
	a = append(a, name...)
	a[sunPath] = 0
	return a
}

// serve takes what the agent writes natively, to the address that the socket
// is connected to.
func (sur *surrogate) serve() {
	raw, err := sur.end.SyscallConn()
	if err != nil {
		sur.close()
		return
	}
	for {
		var o outgoing
		err := raw.Read(func(fd uintptr) bool {
			o = sur.take(int(fd))
			return o.err != unix.EAGAIN
		})
		if err != nil || o.err != 0 && o.err != unix.ECONNRESET {
			sur.close()
			return
		}
		if o.err == 0 && o.peer.IsValid() {
			sur.send(o.data, o.peer)
		}
	}
}

// outgoing is a datagram that the agent wrote natively.
type outgoing struct {
	data []byte
	peer netip.AddrPort // invalid: there is none, or it was refused
	err  unix.Errno
}

// take reads one datagram, with the peer that the socket had then.
func (sur *surrogate) take(fd int) outgoing {
	buf := datagramBuffers.Get().(*[]byte)
	defer datagramBuffers.Put(buf)
	sur.mu.Lock()
	defer sur.mu.Unlock()
	flags := unix.MSG_DONTWAIT
	r := sur.route(sur.peer)
	if r.kind == routeDenied {
		flags |= unix.MSG_PEEK
	}
	n, _, err := unix.Recvfrom(fd, *buf, flags)
	if err != nil {
		return outgoing{err: errnoOf(err)}
	}
	if r.kind == routeDenied {
		sur.s.record(sur.connectRecord(sur.peer, r.verdict, sur.proc))
		sur.reject(fd)
		return outgoing{}
	}
	return outgoing{data: append([]byte(nil), (*buf)[:n]...), peer: sur.peer}
}

var datagramBuffers = sync.Pool{New: func() any {
	b := make([]byte, maxDatagram+1)
	return &b
}}

// reject makes the agent's next call fail, as an ICMP error does. The refused
// datagram still lies in our queue: when our end is disconnected then, the
// agent's end gets ECONNRESET (net/unix/af_unix.c, unix_dgram_disconnected).
func (sur *surrogate) reject(fd int) {
	if err := seccomp.Connect(fd, make(sockaddr, 2)); err != nil { // AF_UNSPEC
		return
	}
	_ = seccomp.Connect(fd, sur.agent) // ECONNREFUSED: closed meanwhile
}

// alive says whether some process still has the agent's end open: a connect to
// its name is EPERM while it lives, since it has a peer, and ECONNREFUSED after.
func (sur *surrogate) alive(probe int) bool {
	return seccomp.Connect(probe, sur.agent) != unix.ECONNREFUSED
}

func (sur *surrogate) close() {
	sur.mu.Lock()
	relays, port, already := sur.relays, sur.local.Port(), sur.closed
	sur.closed, sur.relays = true, nil
	sur.mu.Unlock()
	if already {
		return
	}
	t := sur.s.surrogates
	t.mu.Lock()
	delete(t.byIno, sur.ino)
	t.unbind(sur, port)
	t.mu.Unlock()
	for _, r := range relays {
		r.conn.Close()
	}
	sur.end.Close()
	sur.s.descriptors.give(sur.group, sur.share)
}

// sweep closes the surrogates whose agent's end is closed.
func (t *surrogates) sweep() {
	list := t.all()
	if len(list) == 0 {
		return
	}
	probe, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(probe)
	for _, sur := range list {
		if !sur.alive(probe) {
			sur.close()
		}
	}
}
