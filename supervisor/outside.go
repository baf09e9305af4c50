package supervisor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// What is asked outside is made here, of a name and a type alone: for the agent
// (see forward.go), and for the connections that the supervisor and the proxy
// make. Go's own resolver would read the machine's files anew at any time.

// recordKey is a question to a name server. Nothing else of the agent's goes
// there.
type recordKey struct {
	name string // canonical, or with a domain of the search list
	typ  uint16
}

// records is what a name server answered. It is shared, and not changed.
type records struct {
	rcode             int
	answer, authority []dns.RR
}

// errNoServer says that no name server has answered.
var errNoServer = errors.New("no name server answers")

// bufferSize is how long an answer by UDP may be: so that it is not cut in
// pieces on its way (RFC 9715 §3).
const bufferSize = 1232

// ask puts a question to one name server after the other until one knows. An
// answer is kept for a while.
func (r *resolver) ask(ctx context.Context, key recordKey) (records, error) {
	return r.records.get(ctx, key, func() (records, error) {
		ctx, cancel := context.WithTimeout(r.s.ctx, lookupTimeout)
		defer cancel()
		config := r.files().config
		last, err := records{}, errNoServer
		for range config.Attempts {
			for _, server := range config.Servers {
				var got records
				timeout := time.Duration(config.Timeout) * time.Second
				if got, err = exchange(ctx, net.JoinHostPort(server, config.Port), timeout, key); err == nil {
					last = got
				}
				if err == nil && got.rcode != dns.RcodeServerFailure && got.rcode != dns.RcodeRefused {
					return got, nil
				}
			}
		}
		return last, err
	})
}

// exchange asks one server, by TCP where the answer is too long for UDP.
func exchange(ctx context.Context, server string, timeout time.Duration, key recordKey) (records, error) {
	query := new(dns.Msg).SetQuestion(dns.Fqdn(key.name), key.typ)
	query.SetEdns0(bufferSize, false)
	got, _, err := (&dns.Client{Timeout: timeout}).ExchangeContext(ctx, query, server)
	if err == nil && got.Truncated {
		got, _, err = (&dns.Client{Net: "tcp", Timeout: timeout}).ExchangeContext(ctx, query, server)
	}
	if err != nil {
		return records{}, err
	}
	if len(got.Question) != 1 || got.Question[0].Qtype != key.typ || !strings.EqualFold(got.Question[0].Name, dns.Fqdn(key.name)) {
		return records{}, errNoServer // an answer to somebody else
	}
	return records{got.Rcode, got.Answer, got.Ns}, nil
}

// find looks up the addresses of a canonical name: by the hosts file, and then
// by the name servers.
func (r *resolver) find(ctx context.Context, name string) ([]netip.Addr, error) {
	files := r.files()
	if addrs := files.hosts[name]; len(addrs) > 0 {
		return addrs, nil
	}
	if isLocalhost(name) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	names := []string{name} // the agent's own resolver has gone through the search list
	if !strings.Contains(name, ".") {
		names = files.config.NameList(name)
	}
	var last error = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	for _, candidate := range names {
		addrs, err := r.findExactly(ctx, candidate)
		if len(addrs) > 0 {
			return addrs, nil
		}
		if err != nil {
			last = &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true}
		}
	}
	return nil, last
}

// findExactly asks for addresses of both families at once. An error is that of
// either, and tells nothing where there are addresses.
func (r *resolver) findExactly(ctx context.Context, name string) (addrs []netip.Addr, failed error) {
	types := [...]uint16{dns.TypeA, dns.TypeAAAA}
	var got [len(types)]chan records
	var errs [len(types)]error
	for i, typ := range types {
		got[i] = make(chan records, 1)
		go func() {
			rs, err := r.ask(ctx, recordKey{name, typ})
			if err == nil && rs.rcode != dns.RcodeSuccess && rs.rcode != dns.RcodeNameError {
				err = errors.New("the name server says " + dns.RcodeToString[rs.rcode])
			}
			errs[i] = err
			got[i] <- rs
		}()
	}
	for i := range types {
		addrs = append(addrs, addressesIn((<-got[i]).answer)...)
		failed = errors.Join(failed, errs[i])
	}
	return addrs, failed
}

func addressesIn(answer []dns.RR) (addrs []netip.Addr) {
	for _, rr := range answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs
}
