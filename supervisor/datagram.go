package supervisor

import (
	"context"
	"hash/maphash"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
)

// routeKind is which way a datagram goes.
type routeKind uint8

const (
	routeNone    routeKind = iota // no destination
	routeDNS                      // the resolver
	routeSession                  // another socket of the session
	routeRelay                    // a real socket of the supervisor's
	routeDenied
)

type datagramRoute struct {
	kind    routeKind
	to      *surrogate
	verdict policies.Decision
}

// route decides where a datagram to dst goes. It is called with sur.mu held.
func (sur *surrogate) route(dst netip.AddrPort) datagramRoute {
	s := sur.s
	switch {
	case !dst.IsValid():
		return datagramRoute{}
	case dst.Port() == portDNS:
		return datagramRoute{kind: routeDNS}
	}
	if dst.Addr().IsLoopback() || dst.Addr().IsUnspecified() {
		if to := s.surrogates.boundTo(dst); to != nil {
			return datagramRoute{kind: routeSession, to: to}
		}
	}
	d := s.destination(dst)
	v := s.policy.Decide(policies.Request{
		Protocol: policies.UDP, Host: d.host, Port: dst.Port(), Process: sur.proc.policy,
	})
	if !v.Allowed {
		return datagramRoute{kind: routeDenied, verdict: v}
	}
	return datagramRoute{kind: routeRelay, verdict: v}
}

func (sur *surrogate) connectRecord(dst netip.AddrPort, v policies.Decision, proc *process) *audit.Record {
	d := sur.s.destination(dst)
	decision := audit.Deny
	if v.Allowed {
		decision = audit.Allow
	}
	return &audit.Record{
		Event: audit.Connect, ID: audit.NewID(), Decision: decision, Rule: v.Rule, RuleAt: v.RuleAt, Reason: v.Reason,
		Protocol: "udp", Host: d.host, Port: dst.Port(), Process: &proc.record,
	}
}

// send carries one datagram. EACCES says that it was refused, and recorded.
func (sur *surrogate) send(data []byte, dst netip.AddrPort) unix.Errno {
	if len(data) > maxDatagram {
		return unix.EMSGSIZE
	}
	sur.mu.Lock()
	if errno := sur.autobind(); errno != 0 {
		sur.mu.Unlock()
		return errno
	}
	r, from, proc := sur.route(dst), sur.sourceTo(dst), sur.proc
	sur.mu.Unlock()
	switch r.kind {
	case routeNone:
		return unix.EDESTADDRREQ
	case routeDNS:
		go sur.ask(data, dst, proc)
	case routeSession:
		r.to.deliver(data, from)
	case routeRelay:
		return sur.relayTo(data, dst, proc)
	default:
		sur.s.record(sur.connectRecord(dst, r.verdict, proc))
		return unix.EACCES
	}
	return 0
}

// ask puts a DNS query to the resolver and delivers its answer.
func (sur *surrogate) ask(query []byte, server netip.AddrPort, proc *process) {
	ctx, cancel := context.WithTimeout(sur.s.ctx, lookupTimeout)
	defer cancel()
	if answer := sur.s.resolver.answer(ctx, query, proc, false); answer != nil {
		sur.deliver(answer, server)
	}
}

// sourceTo is the address that the receiver of a datagram to dst sees.
func (sur *surrogate) sourceTo(dst netip.AddrPort) netip.AddrPort {
	if sur.local.Addr().IsValid() && !sur.local.Addr().IsUnspecified() {
		return sur.local
	}
	addr := dst.Addr()
	if addr.IsUnspecified() {
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(addr, sur.local.Port())
}

// deliver puts a datagram into the agent's queue, or drops it where that is
// full or the socket is connected to somebody else.
func (sur *surrogate) deliver(data []byte, from netip.AddrPort) {
	sur.mu.Lock()
	defer sur.mu.Unlock()
	if sur.closed || !sur.takes(from.Addr()) || sur.peer.IsValid() && sur.peer != from {
		return
	}
	raw, err := sur.end.SyscallConn()
	if err != nil {
		return
	}
	// The source stands in the queue before the datagram can be read.
	sur.sources = append(sur.sources, datagram{len(data), hashOf(data), from})
	if len(sur.sources) > maxSources {
		sur.sources = append(sur.sources[:0], sur.sources[len(sur.sources)-maxSources:]...)
	}
	sent := false
	_ = raw.Write(func(fd uintptr) bool {
		sent = unix.Send(int(fd), data, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) == nil
		return true
	})
	if !sent {
		sur.sources = sur.sources[:len(sur.sources)-1]
	}
}

// maxSources is more than a queue of datagrams holds; those that the agent
// reads natively are never taken out one by one.
const maxSources = 1024

var hashSeed = maphash.MakeSeed()

func hashOf(data []byte) uint64 { return maphash.Bytes(hashSeed, data) }

// sourceOf says whence a datagram that was drained came. What was read
// natively before it is forgotten with it.
func (sur *surrogate) sourceOf(data []byte, peek bool) netip.AddrPort {
	sur.mu.Lock()
	defer sur.mu.Unlock()
	hash := hashOf(data)
	for i, d := range sur.sources {
		if d.length == len(data) && d.hash == hash {
			if !peek {
				sur.sources = append(sur.sources[:0], sur.sources[i+1:]...)
			}
			return d.from
		}
	}
	return sur.peer
}

// relay is a real UDP socket behind a surrogate, for one peer that a rule
// allows.
type relay struct{ conn *net.UDPConn }

const relayIdle = 2 * time.Minute

// relayTo sends on the relay for dst, or opens one.
func (sur *surrogate) relayTo(data []byte, dst netip.AddrPort, proc *process) unix.Errno {
	sur.mu.Lock()
	r := sur.relays[dst]
	sur.mu.Unlock()
	if r == nil {
		// The look-up can take long, and nobody waits for a datagram.
		go sur.openRelay(data, dst, proc)
		return 0
	}
	_ = r.conn.SetReadDeadline(time.Now().Add(relayIdle))
	if _, err := r.conn.Write(data); err != nil {
		return errnoOf(err)
	}
	return 0
}

// openRelay finds the real peer, records, and sends the first datagram.
func (sur *surrogate) openRelay(first []byte, dst netip.AddrPort, proc *process) {
	s := sur.s
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	defer cancel()
	d := s.destination(dst)
	addrs, byOperator, err := s.resolver.addresses(ctx, d.host, dst.Port())
	if err != nil {
		return
	}
	q := policies.Request{
		Protocol: policies.UDP, Host: d.host, Port: dst.Port(), Process: proc.policy, AddrByOperator: byOperator,
	}
	var v policies.Decision
	for _, to := range addrs {
		q.Addr = to.Addr()
		if v = s.policy.Decide(q); !v.Allowed {
			continue
		}
		rec := sur.connectRecord(dst, v, proc)
		rec.Upstream = to.String()
		if s.record(rec) != nil {
			return
		}
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			continue
		}
		sur.startRelay(conn, first, dst)
		return
	}
	if !v.Allowed {
		s.record(sur.connectRecord(dst, v, proc))
	}
}

func (sur *surrogate) startRelay(conn *net.UDPConn, first []byte, dst netip.AddrPort) {
	sur.mu.Lock()
	if sur.closed {
		sur.mu.Unlock()
		conn.Close()
		return
	}
	if old := sur.relays[dst]; old != nil {
		sur.mu.Unlock()
		_, _ = old.conn.Write(first)
		conn.Close()
		return
	}
	if sur.relays == nil {
		sur.relays = map[netip.AddrPort]*relay{}
	}
	sur.relays[dst] = &relay{conn}
	sur.mu.Unlock()
	_ = conn.SetReadDeadline(time.Now().Add(relayIdle))
	_, _ = conn.Write(first)
	go sur.pump(conn, dst)
}

// pump brings back what the peer answers.
func (sur *surrogate) pump(conn *net.UDPConn, dst netip.AddrPort) {
	defer conn.Close()
	buf := make([]byte, maxDatagram+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		sur.deliver(buf[:n], dst)
	}
	sur.mu.Lock()
	defer sur.mu.Unlock()
	if r := sur.relays[dst]; r != nil && r.conn == conn {
		delete(sur.relays, dst)
	}
}
