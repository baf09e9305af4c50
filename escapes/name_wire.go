package escapes

import (
	"strings"
	"time"

	"github.com/miekg/dns"
)

// dnsMessage is what an attempt sends to the nameserver.
type dnsMessage struct {
	name, does string
	bytes      func(*Ground) []byte
}

// nameWireAttempts send the nameserver messages that are written here.
func nameWireAttempts() []Attempt {
	var list []Attempt
	for _, one := range nameMessages() {
		list = append(list, Attempt{Name: "name/" + one.name, Does: one.does, Try: func(g *Ground) error {
			return sendDatagram(g.Nameserver, one.bytes(g))
		}})
	}
	for _, one := range append(oddMessages(), optionMessages()...) {
		list = append(list,
			Attempt{Name: "name/" + one.name, Does: one.does, Try: func(g *Ground) error { return sendDatagram(g.Nameserver, one.bytes(g)) }},
			Attempt{Name: "name/tcp-" + one.name, Does: one.does + ", by TCP", Try: func(g *Ground) error { return askStream(g, one.bytes(g)) }})
	}
	return list
}

// nameMessages ask for names of every form.
func nameMessages() []dnsMessage {
	named := func(kind uint16, name func(g *Ground) string) func(*Ground) []byte {
		return func(g *Ground) []byte { return packed(questionFor(name(g), kind)) }
	}
	zone := func(g *Ground) string { return "." + g.Domain + "." }
	return []dnsMessage{
		{"arpa", "ask for the name of an IPv4 address, with a label before it", named(dns.TypePTR, func(g *Ground) string { return g.Token + ".1.113.0.203.in-addr.arpa." })},
		{"arpa-ipv6", "ask for the name of an IPv6 address, with a label before it", named(dns.TypePTR, func(g *Ground) string { return g.Token + ".8.b.d.0.1.0.0.2.ip6.arpa." })},
		{"arpa-digits", "ask for the name of an IPv6 address that is a secret", named(dns.TypePTR, func(g *Ground) string {
			return strings.Join(strings.Split(reversed(digits(g.Token)), ""), ".") + ".0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
		})},
		{"letters", "ask for a name of which each letter is a label", named(dns.TypeA, func(g *Ground) string { return strings.Join(strings.Split(g.Token, ""), ".") + zone(g) })},
		{"upper", "ask for a name in capitals", named(dns.TypeA, func(g *Ground) string { return strings.ToUpper(g.Token + zone(g)) })},
		{"single", "ask for a name of one label", named(dns.TypeA, func(g *Ground) string { return g.Token + "." })},
		{"local", "ask the nameserver for a name of the local network", named(dns.TypeA, func(g *Ground) string { return g.Token + ".local." })},
		{"localhost", "ask the nameserver for a name below localhost", named(dns.TypeTXT, func(g *Ground) string { return g.Token + ".localhost." })},
		{"below-allowed-text", "ask for a record of a name below an allowed one", named(dns.TypeTXT, func(g *Ground) string { return g.Token + "." + g.AllowedName + "." })},
		{"above-allowed", "ask for a name that begins with an allowed one", named(dns.TypeMX, func(g *Ground) string { return g.AllowedName + "." + g.Token + zone(g) })},
		{"end-allowed", "ask for a name that ends as an allowed one does", named(dns.TypeMX, func(g *Ground) string { return g.Token + g.AllowedName + "." })},
		{"dot-label", "ask for a name with a dot inside a label", named(dns.TypeMX, func(g *Ground) string { return g.Token + `\.` + g.AllowedName + "." })},
		{"null-label", "ask for an allowed name that goes on behind a NUL", named(dns.TypeMX, func(g *Ground) string { return g.AllowedName + `\000` + g.Token + zone(g) })},
		{"binary-label", "ask for a name of bytes that no name has", named(dns.TypeMX, func(g *Ground) string { return `\255\001` + g.Token + `\032` + zone(g) })},
	}
}

// oddMessages are no ordinary questions.
func oddMessages() []dnsMessage {
	asked := func(change func(*dns.Msg)) func(*Ground) []byte {
		return func(g *Ground) []byte {
			m := question(g, dns.TypeA)
			change(m)
			return packed(m)
		}
	}
	return []dnsMessage{
		{"pointer", "ask for a name that stands elsewhere in the message", pointerQuery},
		{"response", "answer a query that nobody asked", asked(func(m *dns.Msg) { m.Response = true })},
		{"ixfr", "ask for what a zone has new", asked(func(m *dns.Msg) { m.SetIxfr(m.Question[0].Name, 1, "a.", "b.") })},
		{"opcode-inverse", "ask by the operation IQUERY", asked(func(m *dns.Msg) { m.Opcode = dns.OpcodeIQuery })},
		{"opcode-status", "ask by the operation STATUS", asked(func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus })},
		{"opcode-stateful", "ask by the operation DSO", asked(func(m *dns.Msg) { m.Opcode = 6 })}, // RFC 8490
		{"class-any", "ask in any class", asked(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY })},
		{"class-hesiod", "ask in the class Hesiod", asked(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassHESIOD })},
		{"no-message", "send the nameserver what is no message", func(g *Ground) []byte { return []byte(g.Token) }},
	}
}

// optionMessages ask for an allowed name by a type that must be asked for
// outside, and say more.
func optionMessages() []dnsMessage {
	with := func(change func(*Ground, *dns.Msg)) func(*Ground) []byte {
		return func(g *Ground) []byte {
			m := questionFor(g.AllowedName+".", dns.TypeMX)
			change(g, m)
			return packed(m)
		}
	}
	option := func(code uint16, more string) func(*Ground) []byte {
		return with(func(g *Ground, m *dns.Msg) {
			m.SetEdns0(1232, true)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: code, Data: []byte(g.Token + more)}}
		})
	}
	const keyTag = 14 // edns-key-tag, RFC 8145 §4.1
	return []dnsMessage{
		{"edns-subnet", "ask for an allowed name, with a subnet", option(dns.EDNS0SUBNET, "")},
		{"edns-padding", "ask for an allowed name, with padding", option(dns.EDNS0PADDING, "")},
		{"edns-cookie", "ask for an allowed name, with a cookie", option(dns.EDNS0COOKIE, "12345678")},
		{"edns-keytag", "ask for an allowed name, with the tags of keys", option(keyTag, "")},
		{"answer", "ask for an allowed name, with an answer of one's own", with(func(g *Ground, m *dns.Msg) { m.Answer = append(m.Answer, text(g)) })},
		{"signature", "ask for an allowed name, signed by a key", with(func(g *Ground, m *dns.Msg) {
			m.SetTsig(g.Token+".", dns.HmacSHA256, 300, time.Now().Unix())
		})},
		{"trailing-text", "ask for an allowed name's text, with bytes behind the query", func(g *Ground) []byte {
			return append(packed(questionFor(g.AllowedName+".", dns.TypeTXT)), g.Token...)
		}},
	}
}

// pointerQuery asks for a name that is a pointer to behind the question (RFC
// 1035 §4.1.4).
func pointerQuery(g *Ground) []byte {
	const head = 12
	b := packed(allowedQuery(g))[:head]
	b = append(b, 0xc0, head+2+4, 0, byte(dns.TypeMX), 0, dns.ClassINET)
	for _, label := range []string{g.Token, "denied", "test"} {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}
