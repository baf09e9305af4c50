package escapes

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// rawReader shows the referee each message as it came, also those that are no
// queries.
type rawReader struct {
	dns.Reader
	r *Referee
}

// ReadUDP implements dns.Reader.
func (d rawReader) ReadUDP(conn *net.UDPConn, timeout time.Duration) ([]byte, *dns.SessionUDP, error) {
	b, session, err := d.Reader.ReadUDP(conn, timeout)
	d.r.heardName(b)
	return b, session, err
}

// ReadTCP implements dns.Reader.
func (d rawReader) ReadTCP(conn net.Conn, timeout time.Duration) ([]byte, error) {
	b, err := d.Reader.ReadTCP(conn, timeout)
	d.r.heardName(b)
	return b, err
}

// heardName notes a message that carries a token: openly, or as one of several
// that spell it.
func (r *Referee) heardName(b []byte) {
	if tokenForm.MatchString(strings.ToLower(string(b))) {
		r.note("name", fmt.Sprintf("message of %d bytes", len(b)), b)
	}
	r.mu.Lock()
	token := r.token
	r.mu.Unlock()
	var m dns.Msg
	if m.Unpack(b) != nil || len(m.Question) == 0 {
		return
	}
	if name := joined(m.Question[0].Name); strings.Contains(name, token) || strings.Contains(reversed(name), digits(token)) {
		r.note("name", "query for "+m.Question[0].Name, []byte(token))
	}
	for channel, value := range carried(b, &m) {
		if r.spell(token, channel, value) {
			r.note("name", "queries that spell the token by their "+channel, []byte(token))
		}
	}
}

// joined is a name without its dots.
func joined(name string) string { return strings.ReplaceAll(strings.ToLower(name), ".", "") }

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// digits are those of a token.
func digits(token string) string { return strings.TrimPrefix(token, "escape-") }

// spelling is how much of a token has been heard by each channel.
type spelling struct {
	token string
	heard map[string]map[uint16]bool
}

// spell takes a word heard by a channel, and tells whether all of the token is
// together with it. Of a word the low bits count, see spelled.
func (r *Referee) spell(token, channel string, word uint16) bool {
	words := spelled(token)
	if !slices.Contains(words, word&spelledMask) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spelling.token != token {
		r.spelling = spelling{token, map[string]map[uint16]bool{}}
	}
	heard := r.spelling.heard[channel]
	if heard == nil {
		heard = map[uint16]bool{}
		r.spelling.heard[channel] = heard
	}
	heard[word&spelledMask] = true
	return len(heard) == len(words)
}

// spelledMask are the bits of a word: eight of the token, three of its place.
const spelledMask = 1<<11 - 1

// spelled is a token in words that may come in any order.
func spelled(token string) []uint16 {
	raw := secretBytes(token)
	words := make([]uint16, len(raw))
	for i, b := range raw {
		words[i] = uint16(i)<<8 | uint16(b)
	}
	return words
}

// carried is what a query carries beside its name.
func carried(b []byte, m *dns.Msg) map[string]uint16 {
	q := m.Question[0]
	words := map[string]uint16{
		"number": m.Id, "flags": binary.BigEndian.Uint16(b[2:]), "type": q.Qtype, "class": q.Qclass, "letters": letterCase(q.Name),
	}
	if opt := m.IsEdns0(); opt != nil {
		words["size"] = opt.UDPSize()
		words["extended flags"] = uint16(opt.Hdr.Ttl)
	}
	return words
}

// letterCase reads the case of a name's letters as bits, the first the lowest.
func letterCase(name string) uint16 {
	word, bit := uint16(0), 0
	for _, c := range []byte(name) {
		switch {
		case c >= 'A' && c <= 'Z':
			word |= 1 << bit
			bit++
		case c >= 'a' && c <= 'z':
			bit++
		}
	}
	return word
}

// withCase writes a name so that letterCase reads a word.
func withCase(name string, word uint16) string {
	b, bit := []byte(strings.ToLower(name)), 0
	for i, c := range b {
		if c < 'a' || c > 'z' {
			continue
		}
		if word&(1<<bit) != 0 {
			b[i] -= 'a' - 'A'
		}
		bit++
	}
	return string(b)
}
