package supervisor

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"boundary/audit"
)

const resolverPolicy = `
allow "known" {
  hosts = ["known.test", "gone.test", "fixed.test"]
}
upstream {
  resolve = { "fixed.test:443" = "127.0.0.1:1" }
}
`

// testResolver is a resolver whose outside is a name server of the test's, on
// loopback. It returns the names and types that the server was asked for.
func testResolver(tb testing.TB) (r *resolver, asked func() []string) {
	tb.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	names := make(chan string, 1024)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		names <- q.Question[0].Name + " " + dns.Type(q.Question[0].Qtype).String()
		m := new(dns.Msg).SetReply(q)
		switch {
		case q.Question[0].Name != "known.test.":
			m.Rcode = dns.RcodeNameError
		case q.Question[0].Qtype == dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: header("known.test.", dns.TypeA), A: net.IPv4(192, 0, 2, 1)})
		case q.Question[0].Qtype == dns.TypeTXT:
			m.Answer = append(m.Answer, &dns.TXT{Hdr: header("known.test.", dns.TypeTXT), Txt: []string{"text"}})
		case q.Question[0].Qtype == dns.TypeMX:
			m.Answer = append(m.Answer,
				&dns.CNAME{Hdr: header("known.test.", dns.TypeCNAME), Target: "mail.test."},
				&dns.MX{Hdr: header("mail.test.", dns.TypeMX), Mx: "mx.test."})
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }()
	tb.Cleanup(func() { conn.Close() })
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		tb.Fatal(err)
	}
	r = testSession(tb, resolverPolicy).resolver
	files := &nameFiles{config: &dns.ClientConfig{
		Servers: []string{"127.0.0.1"}, Port: port, Search: []string{"corp.test."}, Attempts: 1, Timeout: 5, Ndots: 1,
	}}
	r.files = func() *nameFiles { return files }
	return r, func() (out []string) {
		for len(names) > 0 {
			out = append(out, <-names)
		}
		return out
	}
}

func query(tb testing.TB, name string, typ uint16) []byte {
	tb.Helper()
	b, err := new(dns.Msg).SetQuestion(name, typ).Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestResolverAnswers(t *testing.T) {
	r, asked := testResolver(t)
	for _, tt := range []struct {
		name    string
		typ     uint16
		rcode   int
		answers []string // the data of each
		outside bool
	}{
		{"known.test.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.1"}, true},
		{"KNOWN.test.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.1"}, false},
		{"known.test.", dns.TypeAAAA, dns.RcodeSuccess, nil, false},
		{"known.test.", dns.TypeTXT, dns.RcodeSuccess, []string{`"text"`}, true},
		{"known.test.", dns.TypeHTTPS, dns.RcodeSuccess, nil, false},
		{"known.test.", dns.TypeSVCB, dns.RcodeSuccess, nil, false},
		{"gone.test.", dns.TypeA, dns.RcodeNameError, nil, true},
		{"fixed.test.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.2"}, false},
		{"denied.test.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.3"}, false},
		{"c2VjcmV0.denied.test.", dns.TypeTXT, dns.RcodeSuccess, nil, false},
		{"known.test.corp.test.", dns.TypeA, dns.RcodeNameError, nil, false},
		{"localhost.", dns.TypeA, dns.RcodeSuccess, []string{"127.0.0.1"}, false},
		{"x.localhost.", dns.TypeAAAA, dns.RcodeSuccess, []string{"::1"}, false},
		{"3.0.18.198.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, []string{"denied.test."}, false},
		{"1.0.0.127.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, []string{"localhost."}, false},
		{"9.9.18.198.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, nil, false},
		{"a b.test.", dns.TypeA, dns.RcodeNameError, nil, false},
	} {
		t.Run(tt.name+dns.TypeToString[tt.typ], func(t *testing.T) {
			raw := r.answer(t.Context(), query(t, tt.name, tt.typ), unknownProcess(1), false)
			var m dns.Msg
			if err := m.Unpack(raw); err != nil {
				t.Fatal(err)
			}
			var answers []string
			for _, rr := range m.Answer {
				answers = append(answers, rr.String()[len(rr.Header().String()):])
			}
			if diff := cmp.Diff(tt.answers, answers); diff != "" || m.Rcode != tt.rcode {
				t.Errorf("%s, want %s (-want +got)\n%s", dns.RcodeToString[m.Rcode], dns.RcodeToString[tt.rcode], diff)
			}
			if out := asked(); (len(out) > 0) != tt.outside {
				t.Errorf("asked outside for %q", out)
			}
		})
	}
}

// TestResolverForwards: of a query for a record of an allowed name nothing leads
// outside but that name and a usual type, and that once.
func TestResolverForwards(t *testing.T) {
	r, asked := testResolver(t)
	ask := func(name string, typ uint16) *dns.Msg {
		t.Helper()
		var m dns.Msg
		if err := m.Unpack(r.answer(t.Context(), query(t, name, typ), unknownProcess(1), true)); err != nil {
			t.Fatal(err)
		}
		return &m
	}
	for _, name := range []string{"kNoWn.TeSt.", "known.test.", "KNOWN.TEST."} {
		m := ask(name, dns.TypeMX)
		if len(m.Answer) != 2 || m.Question[0].Name != name {
			t.Fatalf("asked for %s, answered %v", name, m)
		}
		owners := []string{m.Answer[0].Header().Name, m.Answer[1].Header().Name}
		if diff := cmp.Diff([]string{name, "mail.test."}, owners); diff != "" {
			t.Errorf("owners of the answer (-want +got)\n%s", diff)
		}
	}
	for _, typ := range []uint16{0, dns.TypeNULL, dns.TypeHINFO, dns.TypeRRSIG, dns.TypeAXFR, dns.TypeIXFR, 0x4001, 0xffff} {
		if m := ask("known.test.", typ); m.Rcode != dns.RcodeSuccess || len(m.Answer)+len(m.Ns) > 0 {
			t.Errorf("%s was answered with %v", dns.Type(typ), m)
		}
	}
	if diff := cmp.Diff([]string{"known.test. MX"}, asked()); diff != "" {
		t.Errorf("asked outside (-want +got)\n%s", diff)
	}
	if m := ask("gone.test.", dns.TypeSRV); m.Rcode != dns.RcodeNameError {
		t.Errorf("a name that is not there was answered with %v", m)
	}
}

func TestResolverRefuses(t *testing.T) {
	r, asked := testResolver(t)
	ask := func(change func(*dns.Msg)) *dns.Msg {
		t.Helper()
		m := new(dns.Msg).SetQuestion("known.test.", dns.TypeA)
		change(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		raw := r.answer(t.Context(), b, unknownProcess(1), true)
		if raw == nil {
			return nil
		}
		var got dns.Msg
		if err := got.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		return &got
	}
	for _, tt := range []struct {
		name   string
		change func(*dns.Msg)
		rcode  int
	}{
		{"update", func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		{"no question", func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		{"class CHAOS", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
	} {
		if got := ask(tt.change); got == nil || got.Rcode != tt.rcode || len(got.Answer) > 0 {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if got := ask(func(m *dns.Msg) { m.Response = true }); got != nil {
		t.Errorf("a response was answered: %v", got)
	}
	if out := asked(); len(out) > 0 {
		t.Errorf("asked outside for %q", out)
	}
}

// TestResolverWithoutLog: a name that can't be recorded is not answered.
func TestResolverWithoutLog(t *testing.T) {
	r, asked := testResolver(t)
	if err := r.s.audit.Close(); err != nil {
		t.Fatal(err)
	}
	var m dns.Msg
	if err := m.Unpack(r.answer(t.Context(), query(t, "known.test.", dns.TypeA), unknownProcess(1), false)); err != nil {
		t.Fatal(err)
	}
	if out := asked(); m.Rcode != dns.RcodeServerFailure || len(m.Answer) > 0 || len(out) > 0 {
		t.Errorf("answered %v, asked outside for %q", &m, out)
	}
}

// TestResolverAtEnd: a query that the agent has left behind is not recorded after
// the end of the session, and so not answered.
func TestResolverAtEnd(t *testing.T) {
	r, asked := testResolver(t)
	r.s.recordEnd(&audit.End{})
	var m dns.Msg
	if err := m.Unpack(r.answer(t.Context(), query(t, "known.test.", dns.TypeTXT), unknownProcess(1), false)); err != nil {
		t.Fatal(err)
	}
	if seq, _ := r.s.audit.Last(); seq != 0 || m.Rcode != dns.RcodeServerFailure || len(asked()) > 0 {
		t.Errorf("%d records after the last, answered %v", seq, &m)
	}
}

func FuzzResolverAnswer(f *testing.F) {
	for _, q := range []struct {
		name string
		typ  uint16
	}{{"denied.test.", dns.TypeA}, {"x.corp.test.", dns.TypeAAAA}, {"localhost.", dns.TypeANY}, {".", dns.TypeNS},
		{"1.0.0.127.in-addr.arpa.", dns.TypePTR}, {"1.2.3.4.5.in-addr.arpa.", dns.TypePTR}, {`a\000\.b\255.test.`, dns.TypeHTTPS}} {
		f.Add(query(f, q.name, q.typ), false)
		f.Add(query(f, q.name, q.typ), true)
	}
	edns := new(dns.Msg).SetQuestion("denied.test.", dns.TypeA).SetEdns0(1, true)
	b, err := edns.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, false)
	f.Add(append(b, "trailing"...), false)
	f.Add(b[:len(b)-3], false)
	f.Add(b[:12], true)
	f.Add([]byte{}, false)
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, false) // a name that points to itself
	r, asked := testResolver(f)
	r.s.policy = testSession(f, "").policy // denies all: no query may leave
	r.files = func() *nameFiles { return &nameFiles{config: &dns.ClientConfig{Search: []string{"corp.test"}}} }
	f.Fuzz(func(t *testing.T, b []byte, tcp bool) {
		raw := r.answer(t.Context(), b, unknownProcess(1), tcp)
		var q, m dns.Msg
		err := q.Unpack(b)
		if raw == nil {
			if err == nil && !q.Response {
				t.Fatalf("no answer to %v", &q)
			}
			return
		}
		if err != nil || q.Response {
			t.Fatalf("%x was answered with %x", b, raw)
		}
		if err := m.Unpack(raw); err != nil {
			t.Fatalf("answer %x to %v: %v", raw, &q, err)
		}
		limit := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			limit = max(limit, int(opt.UDPSize()))
		}
		if m.Id != q.Id || !m.Response || !tcp && len(raw) > limit {
			t.Fatalf("%d bytes: %v\nto %v", len(raw), &m, &q)
		}
		if out := asked(); len(out) > 0 {
			t.Fatalf("asked outside for %q", out)
		}
	})
}
