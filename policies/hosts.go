package policies

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxHostBytes is the longest name that DNS can carry, as text without the
// final dot (RFC 1035 §2.3.4).
const maxHostBytes = 253

// CanonicalHost returns the one spelling under which a host is compared: names
// in lower case, as A-labels (RFC 5890 §2.3.2.1), without a trailing dot;
// addresses as [netip.Addr] prints them, without brackets, an IPv4-mapped one
// as IPv4. It is idempotent.
//
// Malformed names, addresses with a zone, and the spellings that only some
// resolvers read as an IPv4 address ("127.1", "0x7f.0.0.1", "2130706433") are
// errors.
func CanonicalHost(host string) (string, error) {
	if isPlainName(host) {
		return host, nil
	}
	if strings.ContainsAny(host, "[]:%") {
		return canonicalIPv6(host)
	}
	if !utf8.ValidString(host) {
		return "", fmt.Errorf("read host %q: %w", host, errors.New("it is not UTF-8"))
	}
	name := strings.ToLower(host)
	if !isASCII(name) || strings.Contains(name, "xn--") {
		mapped, err := lookupProfile().ToASCII(host)
		if err != nil {
			return "", fmt.Errorf("convert host %q: %w", host, err)
		}
		name = strings.ToLower(mapped)
	}
	name = strings.TrimSuffix(name, ".")
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("read host %q: %w", host, err)
	}
	if !endsInNumber(name) {
		return name, nil
	}
	addr, err := netip.ParseAddr(name)
	if err != nil || strings.TrimSuffix(host, ".") != name {
		return "", fmt.Errorf("read host %q: %w", host, errors.New("an IPv4 address is written as four decimal numbers, and no other name ends in a number"))
	}
	return addr.String(), nil
}

// canonicalIPv6 reads an IPv6 literal with or without its brackets.
func canonicalIPv6(host string) (string, error) {
	text := host
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	addr, err := netip.ParseAddr(text)
	if err == nil && addr.Is4() {
		err = errors.New("an IPv4 address has no brackets")
	} else if err != nil {
		err = errors.New("it is neither a name nor an IPv6 address")
	} else if addr.Zone() != "" {
		err = errors.New("an address is written without its zone")
	}
	if err != nil {
		return "", fmt.Errorf("read host %q: %w", host, err)
	}
	return addr.Unmap().String(), nil
}

// isPlainName says whether a host is canonical already, as most are: so no
// decision allocates for it.
func isPlainName(host string) bool {
	letter := false
	last := byte('.')
	label := 0
	for i := range len(host) {
		c := host[i]
		switch {
		case c == '.':
			if last == '.' {
				return false
			}
			label, letter = 0, false
		case 'a' <= c && c <= 'z':
			letter = true
			label++
		case '0' <= c && c <= '9', c == '-', c == '_':
			label++
		default:
			return false
		}
		if label > 63 {
			return false
		}
		last = c
	}
	// The last label needs a letter and may not look like a hexadecimal
	// number; what does is left to the careful reader above.
	return letter && len(host) <= maxHostBytes && !endsInNumber(host) && !strings.Contains(host, "xn--")
}

// checkName checks an ASCII name in lower case. Underscores, and hyphens
// anywhere, are taken: such names exist and resolve.
func checkName(name string) error {
	if name == "" {
		return errors.New("it is empty")
	}
	if len(name) > maxHostBytes {
		return fmt.Errorf("it is longer than %d bytes", maxHostBytes)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return errors.New("a label is empty")
		}
		if len(label) > 63 {
			return fmt.Errorf("the label %q is longer than 63 bytes", label)
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && c != '_' && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') {
				return fmt.Errorf("the character %q can't stand in a host name", rune(c))
			}
		}
	}
	return nil
}

// endsInNumber says whether resolvers may take a name for an IPv4 address: its
// last label is a decimal or hexadecimal number (WHATWG URL, "ends in a
// number"). inet_aton(3) reads all of these.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	digits := "0123456789"
	if strings.HasPrefix(last, "0x") {
		last, digits = last[2:], "0123456789abcdef"
	} else if last == "" {
		return false
	}
	return strings.Trim(last, digits) == ""
}

// lookupProfile is UTS #46 mapping as for a look-up, but with underscores and
// with hyphens in any place, which checkName judges.
func lookupProfile() *idna.Profile {
	return idna.New(
		idna.MapForLookup(),
		idna.BidiRule(),
		idna.Transitional(false),
		idna.StrictDomainName(false),
		idna.CheckHyphens(false),
		idna.VerifyDNSLength(true),
	)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
