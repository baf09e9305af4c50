package escapes

import (
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// nameserver answers every name with the denied peer's address, but for the
// one that a rule allows.
func (r *Referee) nameserver() error {
	at := r.options.Nameserver
	if !at.IsValid() {
		return nil
	}
	if err := r.serveNames(at); err != nil {
		return err
	}
	r.ground.Gives = append(r.ground.Gives, NeedNames)
	return nil
}

// stub listens inside where a machine's own resolver does.
func (r *Referee) stub() error {
	if !r.options.Nameserver.IsValid() {
		return nil
	}
	return r.serveNames(netip.MustParseAddrPort(stubAddress))
}

// serveNames answers by UDP and TCP.
func (r *Referee) serveNames(at netip.AddrPort) error {
	packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	stream, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		packets.Close()
		return err
	}
	handler := dns.HandlerFunc(r.answerName)
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: stream, Handler: handler}} {
		s.DecorateReader = func(inner dns.Reader) dns.Reader { return rawReader{inner, r} }
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }() // its error is that it was shut down
		<-started
		r.closers = append(r.closers, shutdown{s})
	}
	return nil
}

// shutdown is a server as a closer.
type shutdown struct{ *dns.Server }

// Close implements io.Closer.
func (s shutdown) Close() error { return s.Shutdown() }

// answerName answers one query.
func (r *Referee) answerName(w dns.ResponseWriter, q *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(q)
	for _, question := range q.Question {
		if record := r.address(question); record != nil {
			answer.Answer = append(answer.Answer, record)
		}
	}
	_ = w.WriteMsg(answer) // the client may have gone
}

// address is the record for a question, nil for none.
func (r *Referee) address(q dns.Question) dns.RR {
	peer := r.ground.Denied
	if strings.EqualFold(strings.TrimSuffix(q.Name, "."), r.ground.AllowedName) {
		peer = r.ground.Allowed
	}
	head := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 1}
	switch {
	case q.Qtype == dns.TypeA:
		return &dns.A{Hdr: head, A: netIP(peer.V4)}
	case q.Qtype == dns.TypeAAAA && peer.V6.IsValid():
		return &dns.AAAA{Hdr: head, AAAA: netIP(peer.V6)}
	}
	return nil
}

func netIP(a netip.Addr) net.IP { return net.IP(a.AsSlice()) }
