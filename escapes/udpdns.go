package escapes

import (
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// udpDNSAttempts send what looks like DNS, but not where or as a resolver does;
// what resolvers do is nameAttempts'.
func udpDNSAttempts() []Attempt {
	const port = 53
	outer, names := []Need{NeedOuter}, []Need{NeedNames}
	elsewhere := func(g *Ground) netip.AddrPort { return netip.AddrPortFrom(g.Denied.V4, port) }
	allowed := func(g *Ground) netip.AddrPort { return netip.AddrPortFrom(g.Allowed.V4, port) }
	own := func(g *Ground) netip.AddrPort { return g.Nameserver }
	return []Attempt{
		{Name: "udp/dns-elsewhere", Does: "ask a server that is not the machine's", Needs: outer,
			Try: asking(elsewhere, func(g *Ground, q *dns.Msg) { q.SetQuestion(g.Token+".denied.test.", dns.TypeA) })},
		{Name: "udp/dns-elsewhere-option", Does: "ask another server for the allowed name, with an option", Needs: outer,
			Try: asking(elsewhere, func(g *Ground, q *dns.Msg) {
				q.SetEdns0(dns.DefaultMsgSize, false)
				opt := q.IsEdns0()
				opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: dns.EDNS0LOCALSTART, Data: []byte(g.Token)})
			})},
		{Name: "udp/dns-elsewhere-trailing", Does: "ask another server for the allowed name, with bytes behind", Needs: outer,
			Try: sending(elsewhere, func(s *sock, g *Ground, to []byte) error {
				return s.sendto(append(packed(allowedQuery(g)), g.Token...), 0, to)
			})},
		{Name: "udp/dns-allowed-peer", Does: "ask the allowed peer as if it were a server", Needs: outer,
			Try: asking(allowed, func(g *Ground, q *dns.Msg) { q.SetQuestion(g.Token+".denied.test.", dns.TypeA) })},
		{Name: "udp/dns-connected", Does: "connect to another server, and write a question", Needs: outer,
			Try: sending(elsewhere, func(s *sock, g *Ground, to []byte) error {
				if err := s.connect(to); err != nil {
					return err
				}
				return s.write(packed(questionFor(g.Token+".denied.test.", dns.TypeNULL)))
			})},
		{Name: "udp/dns-raw", Does: "send what is no question to another server's port", Needs: outer, Try: sending(elsewhere, flagged(0))},
		{Name: "udp/dns-raw-own", Does: "send what is no question to the machine's name server", Needs: names, Try: sending(own, flagged(0))},
		{Name: "udp/dns-cookie", Does: "ask for the allowed name, with a cookie", Needs: names, Try: asking(own, func(g *Ground, q *dns.Msg) {
			q.SetEdns0(dns.DefaultMsgSize, false)
			opt := q.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString([]byte(g.Token))})
		})},
		{Name: "udp/dns-answer", Does: "send an answer that nobody asked for", Needs: names, Try: asking(own, func(g *Ground, q *dns.Msg) {
			q.Response = true
			q.Answer = append(q.Answer, text(g))
		})},
	}
}

// asking sends a question for the allowed name, changed as it is told, and
// waits for an answer.
func asking(server func(*Ground) netip.AddrPort, change func(*Ground, *dns.Msg)) func(*Ground) error {
	return sending(server, func(s *sock, g *Ground, to []byte) error {
		q := allowedQuery(g)
		change(g, q)
		b, err := q.Pack()
		if err != nil {
			return fmt.Errorf("write question: %w", err)
		}
		if err := s.sendto(b, 0, to); err != nil {
			return err
		}
		return s.readable(attemptTime / 4)
	})
}
