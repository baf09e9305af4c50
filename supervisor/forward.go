package supervisor

import (
	"context"
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

// forward answers for other types (MX, TXT, SRV …) of a name that a rule could
// allow with what the machine's name servers say.
func (r *resolver) forward(ctx context.Context, m *dns.Msg, q dns.Question, name string) {
	if !forwarded(q.Qtype) {
		return
	}
	got, err := r.ask(ctx, recordKey{name, q.Qtype})
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
