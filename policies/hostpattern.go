package policies

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// hostKind says how a host pattern is compared.
type hostKind uint8

const (
	hostAny       hostKind = iota + 1 // "*"
	hostExact                         // "api.github.com"
	hostBelow                         // "*.github.com": any depth below, not the name itself
	hostAddr                          // "10.1.2.3"
	hostNet                           // "10.0.0.0/8"
	hostLocalhost                     // "localhost", 127.0.0.0/8 and ::1
)

// hostPattern is one element of `hosts`.
type hostPattern struct {
	kind hostKind
	name string     // hostExact; hostBelow, without the "*."
	addr netip.Addr // hostAddr, unmapped
	net  netip.Prefix
}

// localhost is the name that stands for the loopback addresses.
const localhost = "localhost"

// parseHostPattern reads one element of `hosts`. Its errors are sentences for
// the detail of a diagnostic.
func parseHostPattern(text string) (hostPattern, error) {
	switch {
	case text == "*":
		return hostPattern{kind: hostAny}, nil
	case strings.Contains(text, "://"):
		return hostPattern{}, errors.New("write the host alone, without scheme and path")
	case strings.Contains(text, "/"):
		return parseHostNet(text)
	case strings.HasPrefix(text, "*."):
		return parseHostBelow(text)
	case strings.Contains(text, "*"):
		return hostPattern{}, errors.New("a star stands alone, or as the whole first label, as in \"*.example.com\"")
	}
	name, err := CanonicalHost(text)
	if err != nil {
		if host, port, ok := cutPort(text); ok && port != 0 && host != "" {
			return hostPattern{}, fmt.Errorf("write the host alone: the port goes into ports = [%d]", port)
		}
		return hostPattern{}, err
	}
	if name == localhost {
		return hostPattern{kind: hostLocalhost}, nil
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return hostPattern{kind: hostAddr, addr: addr}, nil
	}
	return hostPattern{kind: hostExact, name: name}, nil
}

func parseHostBelow(text string) (hostPattern, error) {
	name, err := CanonicalHost(text[len("*."):])
	if err != nil {
		return hostPattern{}, err
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return hostPattern{}, errors.New("nothing is below an address; a network is written as in \"10.0.0.0/8\"")
	}
	return hostPattern{kind: hostBelow, name: name}, nil
}

// parseHostNet reads a CIDR. One that holds a single address names that
// address.
func parseHostNet(text string) (hostPattern, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return hostPattern{}, errors.New("a network is written as in \"10.0.0.0/8\" or \"fd00::/8\"; paths go into their own attribute")
	}
	if prefix.Addr().Is4In6() {
		return hostPattern{}, errors.New("write an IPv4 network as such, as in \"10.0.0.0/8\"")
	}
	if prefix.IsSingleIP() {
		return hostPattern{kind: hostAddr, addr: prefix.Addr()}, nil
	}
	if masked := prefix.Masked(); masked != prefix {
		return hostPattern{}, fmt.Errorf("its address has bits set below the prefix; the network is %q", masked)
	}
	return hostPattern{kind: hostNet, net: prefix}, nil
}
