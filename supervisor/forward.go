package supervisor

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// forwardedTypes are the types, beside addresses, that programs ask for. A type
// is a number of sixteen bits: any other would tell the name's server what the
// agent likes, and is answered as one of which the name has no record.
var forwardedTypes = [...]uint16{
	dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypePTR, dns.TypeMX, dns.TypeTXT, dns.TypeLOC, dns.TypeSRV, dns.TypeNAPTR,
	dns.TypeDS, dns.TypeSSHFP, dns.TypeDNSKEY, dns.TypeTLSA, dns.TypeURI, dns.TypeCAA,
}

func forwarded(typ uint16) bool { return slices.Contains(forwardedTypes[:], typ) }

// answerable says whether records of a type are given for a name that a rule
// could allow.
func answerable(typ uint16) bool {
	switch typ {
	case dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeHTTPS, dns.TypeSVCB:
		return true
	}
	return forwarded(typ)
}

// recordKey is what is asked outside: nothing else of the agent's query goes
// there.
type recordKey struct {
	name string // canonical
	typ  uint16
}

// records is what a name server answered. It is shared, and not changed.
type records struct {
	rcode             int
	answer, authority []dns.RR
}

// errNoServer says that no name server has answered.
var errNoServer = errors.New("no name server answers")

// forward answers for other types (MX, TXT, SRV …) of a name that a rule could
// allow with what the machine's name servers say.
func (r *resolver) forward(ctx context.Context, m *dns.Msg, q dns.Question, name string) {
	if !forwarded(q.Qtype) {
		return
	}
	asked := recordKey{name, q.Qtype}
	got, err := r.records.get(ctx, asked, func() (records, error) { return r.fetchRecords(asked) })
	if err != nil {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	m.Rcode = got.rcode
	m.Answer, m.Ns = spelledAs(got.answer, name, q.Name), spelledAs(got.authority, name, q.Name)
}

// spelledAs copies records, and writes a name as the agent did: some resolvers
// mix upper and lower case and want it back.
func spelledAs(list []dns.RR, name, spelling string) []dns.RR {
	out := make([]dns.RR, len(list))
	for i, rr := range list {
		out[i] = dns.Copy(rr)
		if head := out[i].Header(); strings.EqualFold(head.Name, dns.Fqdn(name)) {
			head.Name = spelling
		}
	}
	return out
}

// fetchRecords asks one name server after the other.
func (r *resolver) fetchRecords(asked recordKey) (records, error) {
	ctx, cancel := context.WithTimeout(r.s.ctx, lookupTimeout)
	defer cancel()
	ask := new(dns.Msg).SetQuestion(dns.Fqdn(asked.name), asked.typ)
	ask.SetEdns0(dns.DefaultMsgSize, false)
	config := r.config()
	for _, server := range config.Servers {
		addr := net.JoinHostPort(server, config.Port)
		got, _, err := (&dns.Client{}).ExchangeContext(ctx, ask, addr)
		if err == nil && got.Truncated {
			got, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, ask, addr)
		}
		if err == nil {
			return records{got.Rcode, got.Answer, got.Ns}, nil
		}
	}
	return records{}, errNoServer
}
