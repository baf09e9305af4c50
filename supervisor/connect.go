package supervisor

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
	"boundary/seccomp"
)

const (
	portDNS        = 53
	portDNSOverTLS = 853
	portHTTP       = 80
	portHTTPS      = 443
)

// destination is where the agent wants to go.
type destination struct {
	dialled netip.AddrPort
	name    string // the host for which dialled stands, or ""
	host    string // name, or the address as a literal
}

func (s *Session) destination(dialled netip.AddrPort) destination {
	d := destination{dialled: dialled, host: dialled.Addr().String()}
	if name, ok := s.names.name(dialled.Addr()); ok {
		d.name, d.host = name, name
	}
	return d
}

func (d destination) port() uint16 { return d.dialled.Port() }

// connect makes the connection for the agent, on its own socket. The address
// is copied once, and the copy is what is connected to.
func (c *call) connect() reply {
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		if r, ok := c.letGo(err); ok {
			return r
		}
		return c.notFound(err)
	}
	defer k.close()
	addr, err := c.readSockaddr(c.arg(1), c.int(2))
	if err != nil {
		return failWith(err)
	}
	if sur := c.s.surrogates.byInode(k.ino); sur != nil {
		return c.surrogateConnect(sur, addr)
	}
	switch {
	case k.domain == unix.AF_UNIX:
		return c.connectUnix(k, addr)
	case k.domain == unix.AF_NETLINK:
		// The routing family is all that the filter lets exist.
		return result(0, c.s.unprivileged(func() error { return seccomp.Connect(k.fd, addr) }))
	case (k.domain == unix.AF_INET || k.domain == unix.AF_INET6) && k.proto == unix.IPPROTO_TCP:
		return c.connectTCP(k, addr)
	}
	c.s.refusedWith(c, unix.EACCES)
	return fail(unix.EACCES)
}

// letGo answers a connect on a socket that was not found since it was connected
// before, where sockets can't be duplicated: by a first run of the same connect
// (see repeats), or by the program itself.
func (c *call) letGo(err error) (reply, bool) {
	ino, inoErr := inodeOf(c.tid(), c.int(0))
	if inoErr != nil {
		return reply{}, false
	}
	if errors.Is(err, unix.EACCES) && c.s.repeats.enabled() {
		if r, ok := c.connectedBefore(ino); ok {
			return r, true
		}
	}
	return c.connectAgain(ino)
}

// connectedBefore is for a connect that the kernel runs twice.
func (c *call) connectedBefore(ino inode) (reply, bool) {
	addr, err := c.readSockaddr(c.arg(1), c.int(2))
	if err != nil {
		return reply{}, false
	}
	dialled, _ := addr.addrPort() // none for a unix socket's
	return c.s.repeats.again(c, ino, dialled)
}

// notFound answers for a descriptor behind which no socket was found to act on.
func (c *call) notFound(err error) reply {
	if !c.valid() {
		return fail(unix.EINTR) // it was looked for in somebody else's table
	}
	if errors.Is(err, unix.EACCES) {
		c.s.refusedWith(c, unix.EACCES)
	}
	return failWith(err)
}

func (c *call) connectTCP(k *socket, addr sockaddr) reply {
	if addr.family() == unix.AF_UNSPEC && len(addr) >= 2 {
		// Dissolves a connection; afterwards the socket can be connected
		// anew, which is trapped again.
		return result(0, seccomp.Connect(k.fd, addr))
	}
	if int(addr.family()) != k.domain {
		return fail(unix.EAFNOSUPPORT)
	}
	dialled, err := addr.addrPort()
	if err != nil {
		return failWith(err)
	}
	if r, ok := c.s.repeats.again(c, k.ino, dialled); ok {
		return r
	}
	if !k.nonblocking() && connecting(k.fd) {
		return c.awaitConnected(k)
	}
	c.s.peers.remember(k.ino, inetSockaddr(k.domain, dialled))
	repeated := c.s.repeats.begin(c, k.ino, dialled)
	r := c.routeTCP(k, dialled)
	if repeated && r.errno == unix.EISCONN {
		r = value(0) // by its first run
	}
	if r.kind == replyErrno && !underWay(r.errno) {
		c.s.peers.forget(k.ino)
	} else if r.kind == replyValue || r.errno == unix.EINPROGRESS {
		c.s.repeats.note(c, k.ino, dialled, r)
		c.s.finder.settled(k.ino)
	}
	return r
}

// underWay says whether a connect that failed so has left its socket connecting
// or connected.
func underWay(errno unix.Errno) bool {
	switch errno {
	case unix.EINPROGRESS, unix.EISCONN, unix.EALREADY, unix.EINTR, errRestart:
		return true
	}
	return false
}

// routeTCP decides which way a connect goes, in the order of DESIGN.md.
func (c *call) routeTCP(k *socket, dialled netip.AddrPort) reply {
	s := c.s
	if dialled.Addr().IsUnspecified() {
		// The kernel takes the wildcard address for loopback (connect(2)).
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if dialled.Addr().Is6() {
			loopback = netip.IPv6Loopback()
		}
		dialled = netip.AddrPortFrom(loopback, dialled.Port())
	}
	d := s.destination(dialled)
	if dialled.Addr().IsLoopback() {
		if to, ok := s.listeners.find(dialled); ok {
			return c.connectListener(k, to)
		}
	}
	switch d.port() {
	case portDNS:
		return c.connectFlow(k, &flow{dialled: dialled, name: d.name, proc: c.process(), dns: true})
	case portDNSOverTLS:
		return c.denyConnect(d, policies.Decision{Reason: "dns-over-tls"})
	}
	q := policies.Request{Protocol: policies.TCP, Host: d.host, Port: d.port(), Process: c.process().policy}
	verdict := s.policy.Decide(q)
	if verdict.Allowed {
		return c.connectPeer(k, d, q)
	}
	toProxy := s.agentProxies.dialled(d)
	if toProxy || s.isProxied(d.host, d.port()) {
		return c.connectFlow(k, &flow{dialled: dialled, name: d.name, proc: c.process(), toProxy: toProxy})
	}
	return c.denyConnect(d, verdict)
}

// isProxied says whether a connection is read by the proxy, which judges what it
// is for and can explain a denial.
func (s *Session) isProxied(host string, port uint16) bool {
	return port == portHTTP || port == portHTTPS || s.policy.NamesProxied(host, port)
}

// denyConnect records a denial, and answers at once rather than by a timeout.
func (c *call) denyConnect(d destination, verdict policies.Decision) reply {
	c.s.record(c.connectRecord(d, audit.Deny, verdict))
	return fail(unix.EACCES)
}

func (c *call) connectRecord(d destination, decision audit.Decision, v policies.Decision) *audit.Record {
	return &audit.Record{
		Event: audit.Connect, ID: audit.NewID(), Decision: decision, Rule: v.Rule, RuleAt: v.RuleAt, Reason: v.Reason,
		Protocol: "tcp", Host: d.host, Port: d.port(), Process: &c.process().record,
	}
}

// connectFlow leads the agent's socket to our own listener. On loopback a
// connect never waits for anybody.
func (c *call) connectFlow(k *socket, fl *flow) reply {
	if !c.valid() {
		return fail(unix.EINTR)
	}
	group, err := c.takeDescriptors(1)
	if err != nil {
		return failWith(c.overloaded())
	}
	fl.back = sync.OnceFunc(func() { c.s.descriptors.give(group, 1) })
	if k.domain == unix.AF_INET6 && v6Only(k.fd) {
		return result(0, c.s.flows.connectV6(fl, k.fd))
	}
	to, err := c.s.flows.announce(fl)
	if err != nil {
		fl.release()
		return failWith(err)
	}
	source, err := connectFrom(k, to)
	if source.IsValid() {
		c.s.flows.connected(fl, source)
	} else {
		c.s.flows.cancel(fl)
	}
	return result(0, err)
}

// connectFrom connects and says from which address, where a connection is
// there or under way.
func connectFrom(k *socket, to netip.AddrPort) (netip.AddrPort, error) {
	err := unix.Connect(k.fd, unixSockaddr(k.domain, to))
	if err != nil && err != unix.EINPROGRESS {
		return netip.AddrPort{}, err
	}
	local, nameErr := unix.Getsockname(k.fd)
	if nameErr != nil {
		return netip.AddrPort{}, nameErr
	}
	return fromUnixSockaddr(local), err
}

func v6Only(fd int) bool {
	v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return err != nil || v != 0
}

// connectListener connects to a listener of the session's own, which may be
// slow to accept.
func (c *call) connectListener(k *socket, to netip.AddrPort) reply {
	if k.domain == unix.AF_INET && !to.Addr().Is4() || k.domain == unix.AF_INET6 && to.Addr().Is4() && v6Only(k.fd) {
		return fail(unix.ECONNREFUSED)
	}
	if !c.valid() {
		return fail(unix.EINTR)
	}
	return result(0, c.connectPatiently(k, func() error { return unix.Connect(k.fd, unixSockaddr(k.domain, to)) }))
}

// connectPeer connects to the real peer of a tcp rule. From here on nothing
// of boundary is in the way.
func (c *call) connectPeer(k *socket, d destination, q policies.Request) reply {
	if err := c.mayBlock(); err != nil { // in the look-up, and in a blocking connect
		return failWith(err)
	}
	ctx, cancel := context.WithTimeout(c.s.ctx, lookupTimeout)
	defer cancel()
	var addrs []netip.AddrPort
	var byOperator bool
	var err error
	c.rest(func() { addrs, byOperator, err = c.s.resolver.addresses(ctx, d.host, d.port()) })
	if err != nil || len(addrs) == 0 {
		return c.lookupFailed(d, err)
	}
	q.AddrByOperator = byOperator
	var verdict policies.Decision
	var last error
	for _, to := range addrs {
		if k.domain == unix.AF_INET && !to.Addr().Is4() || k.domain == unix.AF_INET6 && to.Addr().Is4() && v6Only(k.fd) {
			last = unix.ENETUNREACH
			continue
		}
		q.Addr = to.Addr()
		if verdict = c.s.policy.Decide(q); !verdict.Allowed {
			last = nil
			continue
		}
		last = c.dialPeer(k, d, verdict, to)
		if errno, ok := last.(unix.Errno); last == nil || ok && underWay(errno) {
			return result(0, last)
		}
	}
	if last != nil {
		return failWith(last)
	}
	return c.denyConnect(d, verdict)
}

func (c *call) dialPeer(k *socket, d destination, v policies.Decision, to netip.AddrPort) error {
	r := c.connectRecord(d, audit.Allow, v)
	r.Upstream = to.String()
	if err := c.s.record(r); err != nil {
		return unix.EACCES
	}
	if !c.valid() {
		return unix.EINTR
	}
	return c.connectPatiently(k, func() error { return unix.Connect(k.fd, unixSockaddr(k.domain, to)) })
}

// lookupFailed is for a name that the policy allows and nobody knows.
func (c *call) lookupFailed(d destination, err error) reply {
	r := c.connectRecord(d, audit.Allow, policies.Decision{Reason: "lookup-failed"})
	if err != nil {
		r.Message = err.Error()
	}
	c.s.record(r)
	return fail(unix.EHOSTUNREACH)
}
