package supervisor

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// overlap says whether two bound addresses of one port meet.
func overlap(a, b netip.Addr) bool {
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// boundTo is the surrogate that receives what is sent to dst. An exact
// address goes before a wildcard.
func (t *surrogates) boundTo(dst netip.AddrPort) *surrogate {
	t.mu.Lock()
	defer t.mu.Unlock()
	var wildcard *surrogate
	for _, b := range t.bound[dst.Port()] {
		switch {
		case !b.sur.takes(dst.Addr()):
		case b.at == dst.Addr():
			return b.sur
		case b.at.IsUnspecified() || dst.Addr().IsUnspecified():
			wildcard = b.sur
		}
	}
	return wildcard
}

// takes says whether the socket can receive from an address, and at it.
func (sur *surrogate) takes(a netip.Addr) bool { return sur.family == unix.AF_INET6 || a.Is4() }

type binding struct {
	at  netip.Addr
	sur *surrogate
}

// bind gives the surrogate a place in the session's own loopback; port 0 means
// any. It is never a port of the machine's. The caller holds sur.mu.
func (t *surrogates) bind(sur *surrogate, at netip.AddrPort, reuse bool) (netip.AddrPort, unix.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.Port() != 0 {
		if !reuse && t.taken(at) {
			return netip.AddrPort{}, unix.EADDRINUSE
		}
		t.bound[at.Port()] = append(t.bound[at.Port()], binding{at.Addr(), sur})
		return at, 0
	}
	const first, last = 32768, 60999 // ip_local_port_range's default
	start := rand.IntN(last - first + 1)
	for i := range last - first + 1 {
		try := netip.AddrPortFrom(at.Addr(), uint16(first+(start+i)%(last-first+1)))
		if !t.taken(try) {
			t.bound[try.Port()] = append(t.bound[try.Port()], binding{at.Addr(), sur})
			return try, 0
		}
	}
	return netip.AddrPort{}, unix.EADDRINUSE
}

// taken is called with mu held.
func (t *surrogates) taken(at netip.AddrPort) bool {
	return slices.ContainsFunc(t.bound[at.Port()], func(b binding) bool { return overlap(b.at, at.Addr()) })
}

// unbind takes the surrogate from its port. It is called with mu held.
func (t *surrogates) unbind(sur *surrogate, port uint16) {
	list := slices.DeleteFunc(t.bound[port], func(b binding) bool { return b.sur == sur })
	if len(list) == 0 {
		delete(t.bound, port)
	} else {
		t.bound[port] = list
	}
}

// autobind gives an unbound socket a port, as the kernel does at the first
// send or connect. The caller holds mu.
func (sur *surrogate) autobind() unix.Errno {
	if sur.local.Port() != 0 {
		return 0
	}
	at, errno := sur.s.surrogates.bind(sur, netip.AddrPortFrom(sur.wildcard(), 0), false)
	if errno == 0 {
		sur.local = at
	}
	return errno
}

func (sur *surrogate) wildcard() netip.Addr {
	if sur.family == unix.AF_INET6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// surrogateAddr reads the address that the agent passed for a surrogate. An
// AF_INET6 socket takes AF_INET addresses too (net/ipv6/datagram.c).
func surrogateAddr(sur *surrogate, addr sockaddr) (netip.AddrPort, unix.Errno) {
	if addr.family() == unix.AF_INET6 && sur.family == unix.AF_INET {
		return netip.AddrPort{}, unix.EAFNOSUPPORT
	}
	ap, err := addr.addrPort()
	if err != nil {
		return ap, errnoOf(err)
	}
	if sur.family == unix.AF_INET && !ap.Addr().Is4() {
		return ap, unix.EAFNOSUPPORT
	}
	return ap, 0
}

func (c *call) surrogateBind(sur *surrogate, addr sockaddr) reply {
	at, errno := surrogateAddr(sur, addr)
	if errno != 0 {
		return fail(errno)
	}
	if !localAddress(at.Addr()) {
		return fail(unix.EADDRNOTAVAIL)
	}
	if at.Port() > 0 && at.Port() < 1024 && c.process().record.UID != 0 {
		return fail(unix.EACCES)
	}
	reuse := c.reuses(sur)
	if !c.valid() {
		return fail(unix.EINTR)
	}
	errno = sur.bindOnce(at, reuse)
	if errno == unix.EADDRINUSE {
		// Whoever has it may have closed it since the last look.
		c.s.sweepSockets(true)
		errno = sur.bindOnce(at, reuse)
	}
	if errno != 0 {
		return fail(errno)
	}
	return value(0)
}

// bindOnce binds a socket that is not bound yet.
func (sur *surrogate) bindOnce(at netip.AddrPort, reuse bool) unix.Errno {
	sur.mu.Lock()
	defer sur.mu.Unlock()
	if sur.local.Port() != 0 {
		return unix.EINVAL
	}
	got, errno := sur.s.surrogates.bind(sur, at, reuse)
	if errno == 0 {
		sur.local = got
	}
	return errno
}

// reuses says whether the agent asked for SO_REUSEADDR, which an AF_UNIX socket
// stores too, or SO_REUSEPORT, which it does not.
func (c *call) reuses(sur *surrogate) bool {
	sur.mu.Lock()
	port := sur.options[sockopt{unix.SOL_SOCKET, unix.SO_REUSEPORT}]
	sur.mu.Unlock()
	if len(port) > 0 && port[0] != 0 {
		return true
	}
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return false
	}
	defer k.close()
	v, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR)
	return err == nil && v != 0
}

// localAddress says whether the machine has the address.
func localAddress(a netip.Addr) bool {
	if a.IsUnspecified() || a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(n net.Addr) bool {
		ip, ok := n.(*net.IPNet)
		return ok && ip.IP.Equal(a.AsSlice())
	})
}

// surrogateConnect sets the peer. Nothing is sent by it, so nothing is
// decided: resolvers connect to every candidate address to see which source
// address it would have (RFC 6724), and never send.
func (c *call) surrogateConnect(sur *surrogate, addr sockaddr) reply {
	proc := c.process()
	if !c.valid() {
		return fail(unix.EINTR)
	}
	if addr.family() == unix.AF_UNSPEC && len(addr) >= 2 {
		sur.disconnect(proc)
		return value(0)
	}
	dst, errno := surrogateAddr(sur, addr)
	if errno != 0 {
		return fail(errno)
	}
	source, errno := c.s.sourceFor(dst)
	if errno != 0 {
		return fail(errno)
	}
	sur.mu.Lock()
	defer sur.mu.Unlock()
	if errno := sur.autobind(); errno != 0 {
		return fail(errno)
	}
	sur.drainTo(sur.peer)
	sur.proc, sur.peer = proc, dst
	if sur.local.Addr().IsUnspecified() {
		sur.local = netip.AddrPortFrom(source, sur.local.Port())
	}
	return value(0)
}

func (sur *surrogate) disconnect(proc *process) {
	sur.mu.Lock()
	defer sur.mu.Unlock()
	sur.drainTo(sur.peer)
	sur.proc, sur.peer = proc, netip.AddrPort{}
}

// drainTo sends what the agent wrote natively before the peer changes. The
// caller holds mu; what is refused is dropped.
func (sur *surrogate) drainTo(peer netip.AddrPort) {
	if !peer.IsValid() {
		return
	}
	raw, err := sur.end.SyscallConn()
	if err != nil {
		return
	}
	buf := datagramBuffers.Get().(*[]byte)
	defer datagramBuffers.Put(buf)
	_ = raw.Control(func(fd uintptr) {
		for range maxSources {
			n, _, err := unix.Recvfrom(int(fd), *buf, unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			go sur.send(append([]byte(nil), (*buf)[:n]...), peer)
		}
	})
}

// sources remembers for a moment from which address the machine would send.
type sources struct {
	mu    sync.Mutex
	known map[netip.Addr]source // guarded by mu
}

type source struct {
	addr  netip.Addr
	errno unix.Errno
	until time.Time
}

// sourceCache is how long a route is taken to stay as it was.
const sourceCache = 2 * time.Second

func newSources() *sources { return &sources{known: map[netip.Addr]source{}} }

// to is the address from which the machine would send to dst. No packet is
// sent to find out.
func (s *sources) to(dst netip.Addr) (netip.Addr, unix.Errno) {
	now := time.Now()
	s.mu.Lock()
	known, ok := s.known[dst]
	s.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.addr, known.errno
	}
	known = source{until: now.Add(sourceCache)}
	known.addr, known.errno = routeTo(dst)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxPeers {
		clear(s.known)
	}
	s.known[dst] = known
	return known.addr, known.errno
}

// routeTo asks the kernel, by connecting a UDP socket of our own.
func routeTo(dst netip.Addr) (netip.Addr, unix.Errno) {
	const anyPort = 1
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, anyPort)))
	if err != nil {
		return netip.Addr{}, errnoOf(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), 0
}

// sourceFor is the local address that a surrogate shows once it is connected
// to dst. Names and name servers are always reachable: the supervisor answers
// for them.
func (s *Session) sourceFor(dst netip.AddrPort) (netip.Addr, unix.Errno) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch {
	case dst.Addr().IsLoopback():
		return dst.Addr(), 0
	case dst.Addr().IsUnspecified():
		return loopback, 0
	case dst.Addr().Is6():
		loopback = netip.IPv6Loopback()
	}
	addr, errno := s.sources.to(dst.Addr())
	if errno != 0 && (synthetic(dst.Addr()) || dst.Port() == portDNS) {
		return loopback, 0
	}
	return addr, errno
}
