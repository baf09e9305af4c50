package policies

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// resolved is where upstream.resolve sends a host.
type resolved struct {
	addr netip.Addr
	port uint16 // 0: the port that was asked for
	rng  hcl.Range
}

// resolveKey is the key of a canonical host; port 0 is any.
type resolveKey struct {
	host string
	port uint16
}

func (p *Policy) resolved(host string, port uint16) (resolved, bool) {
	if len(p.resolve) == 0 {
		return resolved{}, false
	}
	if r, ok := p.resolve[resolveKey{host, port}]; ok {
		return r, true
	}
	r, ok := p.resolve[resolveKey{host, 0}]
	return r, ok
}

// Resolve returns where `upstream.resolve` sends a host and port. Such a host
// needs no look-up, and the address is the operator's word: see
// [Request.AddrByOperator].
func (p *Policy) Resolve(host string, port uint16) (netip.AddrPort, bool) {
	name, err := CanonicalHost(host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	r, ok := p.resolved(name, port)
	if !ok {
		return netip.AddrPort{}, false
	}
	if r.port != 0 {
		port = r.port
	}
	return netip.AddrPortFrom(r.addr, port), true
}

// ResolvesName says whether `upstream.resolve` has a name, for any port.
func (p *Policy) ResolvesName(name string) bool {
	name, err := CanonicalHost(name)
	if err != nil {
		return false
	}
	for key := range p.resolve {
		if key.host == name {
			return true
		}
	}
	return false
}

// resolve checks one element of upstream.resolve.
func (v *validator) resolve(raw rawResolve) {
	host, port, ok := cutPort(raw.key.text)
	name, err := CanonicalHost(host)
	if !ok || err != nil {
		v.diags.errorAt(raw.key.at, "Invalid host", "A key of \"resolve\" is a host, or a host and a port as in \"api.example.com:443\"; found %s.", raw.key.found())
		return
	}
	to, ok := parseTarget(raw.value.text)
	if !ok {
		v.diags.errorAt(raw.value.at, "Invalid address", "A value of \"resolve\" is an address, or an address and a port as in \"127.0.0.1:8443\"; found %s.", raw.value.found())
		return
	}
	key := resolveKey{name, port}
	if first, ok := v.out.resolve[key]; ok && (first.addr != to.addr || first.port != to.port) {
		v.diags.errorAt(raw.key.at, "Duplicate host", "%s has another address at %s already.", capital(raw.key.found()), place(first.rng))
		return
	}
	to.rng = raw.key.at
	v.out.resolve[key] = to
}

// proxy checks upstream.proxy. Its value may hold a password, and so is in no
// diagnostic.
func (v *validator) proxy(raw item) {
	u, err := url.Parse(raw.text)
	if err == nil {
		_, err = CanonicalHost(u.Hostname())
	}
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		v.diags.errorAt(raw.at, "Invalid proxy", "A proxy is written as in \"http://proxy.example.com:3128\" or \"https://USER:PASSWORD@proxy.example.com\".")
	case v.out.proxy != nil && v.out.proxy.String() != u.String():
		v.diags.errorAt(raw.at, "Duplicate proxy", "Another proxy is named already, and there is one for all that goes outside.")
	default:
		v.out.proxy = u
	}
}

// UpstreamProxy returns the proxy that `upstream.proxy` names; nil is none.
func (p *Policy) UpstreamProxy() *url.URL {
	if p.proxy == nil {
		return nil
	}
	u := *p.proxy
	return &u
}

// cutPort splits "host" or "host:port"; port is 0 where there is none.
func cutPort(text string) (host string, port uint16, ok bool) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, 0, true
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 || i < strings.LastIndexByte(text, ']') {
		return text, 0, true
	}
	port, ok = parsePort(text[i+1:])
	return text[:i], port, ok
}

// parseTarget reads "address" or "address:port".
func parseTarget(text string) (resolved, bool) {
	host, port, ok := cutPort(text)
	if !ok {
		return resolved{}, false
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
		return resolved{}, false
	}
	return resolved{addr: addr.Unmap(), port: port}, true
}
