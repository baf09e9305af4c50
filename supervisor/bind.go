package supervisor

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
	"boundary/seccomp"
)

// bind makes the bind for the agent, with the copy of the address that was
// looked at. A wildcard address becomes loopback, unless the policy lets the
// port be public.
func (c *call) bind() reply {
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	addr, err := c.readSockaddr(c.arg(1), c.int(2))
	if err != nil {
		return failWith(err)
	}
	if sur := c.s.surrogates.byInode(k.ino); sur != nil {
		return c.surrogateBind(sur, addr)
	}
	switch {
	case k.domain == unix.AF_UNIX:
		return c.bindUnix(k, addr)
	case k.domain == unix.AF_NETLINK:
		return result(0, c.s.unprivileged(func() error { return seccomp.Bind(k.fd, addr) }))
	case (k.domain == unix.AF_INET || k.domain == unix.AF_INET6) && k.proto == unix.IPPROTO_TCP:
		return c.bindTCP(k, addr)
	}
	return fail(unix.EACCES)
}

func (c *call) bindTCP(k *socket, addr sockaddr) reply {
	if k.domain == unix.AF_INET && addr.family() == unix.AF_UNSPEC && len(addr) >= minSockaddrIn {
		// An old habit that the kernel allows for the wildcard address
		// (net/ipv4/af_inet.c, __inet_bind).
		addr[0], addr[1] = inetSockaddr(unix.AF_INET, netip.AddrPort{})[0], 0
	}
	if int(addr.family()) != k.domain {
		return fail(unix.EAFNOSUPPORT)
	}
	want, err := addr.addrPort()
	if err != nil {
		return failWith(err)
	}
	if want.Port() > 0 && want.Port() < 1024 && c.process().record.UID != 0 && c.s.root {
		return fail(unix.EACCES) // the supervisor may, the agent's user may not
	}
	if r, ok := c.s.repeats.again(c, k.ino, want); ok {
		return r
	}
	to := c.s.narrow(k, want)
	err = c.bindTo(k, to)
	if err == unix.EADDRINUSE {
		if held, ok := c.s.finder.(*heldFinder); ok && held.collectPort(to.Port()) {
			err = c.bindTo(k, to)
		}
	}
	if err == nil && want.Addr().IsUnspecified() {
		c.s.listeners.narrow(k.ino, wildcardOf(k))
	}
	r := result(0, err)
	c.s.repeats.note(c, k.ino, want, r)
	return r
}

// wildcardOf is which families the socket serves from the wildcard address.
func wildcardOf(k *socket) wildcard {
	if k.domain == unix.AF_INET {
		return wildcard{v4: true}
	}
	return wildcard{v4: !v6Only(k.fd), v6: true}
}

func (c *call) bindTo(k *socket, to netip.AddrPort) error {
	if !c.valid() {
		return unix.EINTR
	}
	return unix.Bind(k.fd, unixSockaddr(k.domain, to))
}

// narrow turns the wildcard address into loopback. A socket that serves both
// families gets IPv4's, which programs try where ::1 does not answer.
func (s *Session) narrow(k *socket, want netip.AddrPort) netip.AddrPort {
	if !want.Addr().IsUnspecified() || s.public(want.Port()) {
		return want
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if k.domain == unix.AF_INET6 && v6Only(k.fd) {
		loopback = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(loopback, want.Port())
}

func (s *Session) public(port uint16) bool {
	return port != 0 && slices.Contains(s.policy.PublicPorts(), port)
}

// listen makes the listen for the agent, after a look at what the socket is
// really bound to. A socket without an address would get the wildcard, so it
// is bound to loopback first.
func (c *call) listen() reply {
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return failWith(err)
	}
	defer k.close()
	if !c.valid() {
		return fail(unix.EINTR)
	}
	backlog := int(c.int(1))
	if k.domain != unix.AF_INET && k.domain != unix.AF_INET6 {
		// Who connects may ask who listens (unix(7), SO_PEERCRED).
		err := c.s.asAgent(c, func() error { return unix.Listen(k.fd, backlog) })
		if err == nil {
			c.s.finder.settled(k.ino)
		}
		return result(0, err)
	}
	if c.s.surrogates.byInode(k.ino) != nil {
		return fail(unix.EOPNOTSUPP)
	}
	if !idle(k.fd) {
		return fail(unix.EINVAL)
	}
	at, err := c.boundAt(k)
	if err != nil {
		return failWith(err)
	}
	if !at.Addr().IsLoopback() && !c.s.public(at.Port()) {
		return c.denyListen(at)
	}
	r := c.listenRecord(at, audit.Allow, policies.Decision{Reason: "rule"})
	if at.Addr().IsLoopback() {
		r.Reason = "loopback"
	}
	if err := c.s.record(r); err != nil {
		return fail(unix.EACCES)
	}
	if err := unix.Listen(k.fd, backlog); err != nil {
		return failWith(err)
	}
	// Another thread may have dissolved the binding meanwhile (shutdown(2) of
	// a connect that was under way), and the kernel chosen the wildcard.
	if now, err := unix.Getsockname(k.fd); err != nil || fromUnixSockaddr(now) != at {
		_ = unix.Shutdown(k.fd, unix.SHUT_RDWR)
		return c.denyListen(at)
	}
	c.s.listeners.add(k.ino, at)
	c.s.finder.settled(k.ino)
	return value(0)
}

// idle says whether a TCP socket is neither connected nor about to be: such a one
// can't listen, and its address may go away with the connect.
func idle(fd int) bool {
	const closed, listens = 7, 10 // TCP_CLOSE, TCP_LISTEN, <net/tcp_states.h>
	info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
	return err == nil && (info.State == closed || info.State == listens)
}

// boundAt says where the socket is bound, and binds it if it is not.
func (c *call) boundAt(k *socket) (netip.AddrPort, error) {
	local, err := unix.Getsockname(k.fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	at := fromUnixSockaddr(local)
	if at.Port() != 0 {
		return at, nil
	}
	any := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if err := unix.Bind(k.fd, unixSockaddr(k.domain, c.s.narrow(k, any))); err != nil {
		return netip.AddrPort{}, err
	}
	c.s.listeners.narrow(k.ino, wildcardOf(k))
	if local, err = unix.Getsockname(k.fd); err != nil {
		return netip.AddrPort{}, err
	}
	return fromUnixSockaddr(local), nil
}

func (c *call) denyListen(at netip.AddrPort) reply {
	c.s.record(c.listenRecord(at, audit.Deny, policies.Decision{Reason: "default"}))
	return fail(unix.EACCES)
}

func (c *call) listenRecord(at netip.AddrPort, decision audit.Decision, v policies.Decision) *audit.Record {
	return &audit.Record{
		Event: audit.Listen, ID: audit.NewID(), Decision: decision, Reason: v.Reason, Protocol: "tcp",
		Host: at.Addr().String(), Port: at.Port(), Process: &c.process().record,
	}
}
