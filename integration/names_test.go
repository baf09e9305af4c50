package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// resolver is a program that looks a name up.
type resolver struct {
	name    string
	command func(t testing.TB, name string) []string
}

// resolvers returns one program for each resolver that must work.
func resolvers() []resolver {
	return []resolver{
		{"glibc getaddrinfo", func(t testing.TB, name string) []string {
			return []string{shop.glibcClient(t), "resolve", name}
		}},
		{"musl getaddrinfo", func(t testing.TB, name string) []string {
			return []string{shop.muslClient(t), "resolve", name}
		}},
		{"python getaddrinfo", func(t testing.TB, name string) []string {
			return python(t, "resolve.py", "getaddrinfo", name)
		}},
		{"dnspython", func(t testing.TB, name string) []string {
			return python(t, "resolve.py", "dnspython", name)
		}},
		{"node lookup", func(t testing.TB, name string) []string {
			return node(t, "resolve.mjs", "lookup", name)
		}},
		{"node c-ares", func(t testing.TB, name string) []string {
			return node(t, "resolve.mjs", "resolve", name)
		}},
		{"Go", func(t testing.TB, name string) []string {
			return []string{shop.agent(t), "resolve", name}
		}},
		{"Java", func(t testing.TB, name string) []string {
			return java(t, "resolve", name)
		}},
		{"dig", func(t testing.TB, name string) []string {
			return []string{program(t, "dig"), "+short", "+timeout=5", "+tries=1", name}
		}},
		{"dig tcp", func(t testing.TB, name string) []string {
			return []string{program(t, "dig"), "+tcp", "+short", "+timeout=5", "+tries=1", name}
		}},
	}
}

// label returns the resolver's name as a part of a host name.
func (r resolver) label() string { return strings.ToLower(strings.ReplaceAll(r.name, " ", "-")) }

// TestNames looks names up with every resolver, beside a nameserver that
// keeps what it is asked. A name that a rule allows is asked for outside; no
// query leaves for any other, and yet it has an address, so that the request
// for it can be answered with an explanation.
func TestNames(t *testing.T) {
	outside := newWorld(t, origin.Options{})
	policy := `allow "team" {
  hosts   = ["*.allowed.test"]
  private = true
}
`
	for _, r := range resolvers() {
		t.Run(r.name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				allowed := fmt.Sprintf("%s-%s.allowed.test", r.label(), as)
				denied := fmt.Sprintf("%s-%s.secret.test", r.label(), as)

				end := session{as: as, world: outside, policy: policy, command: r.command(t, allowed)}.run(t)
				checkSynthetic(t, end)
				if len(outside.names.queries(allowed)) == 0 {
					t.Errorf("the nameserver was not asked for the allowed name")
				}

				end = session{as: as, world: outside, policy: policy, command: r.command(t, denied)}.run(t)
				checkSynthetic(t, end)
				if leaked := outside.names.queries("secret"); len(leaked) > 0 {
					t.Errorf("queries left the machine: %q", leaked)
				}
				if len(end.records.of("dns", denied).decided("deny")) == 0 {
					t.Errorf("no record of the query for the denied name")
				}
			})
		})
	}
}

// TestSearchDomain looks for a name below the machine's search domain that no
// rule allows: it does not exist, and nobody is asked.
func TestSearchDomain(t *testing.T) {
	outside := newWorld(t, origin.Options{})
	policy := `allow "team" {
  hosts = ["*.allowed.test"]
}
`
	eachMode(t, func(t *testing.T, as mode) {
		dig := []string{program(t, "dig"), "+timeout=5", "+tries=1", "wiki.corp.test"}
		end := session{as: as, world: outside, policy: policy, command: dig}.run(t)
		if !strings.Contains(end.stdout, "status: NXDOMAIN") {
			t.Errorf("the name exists")
		}
		if leaked := outside.names.queries("corp.test"); len(leaked) > 0 {
			t.Errorf("queries left the machine: %q", leaked)
		}
	})
}

// TestUpstreamByName reads a page of a host that the policy does not resolve,
// so that the nameserver is asked for it; a public name with an inward
// address is refused unless the rule says private.
func TestUpstreamByName(t *testing.T) {
	outside := newWorld(t, origin.Options{})
	upstream := fmt.Sprintf("upstream {\n  ca_file = %q\n}\n", caFile(t, outside.origin))
	eachMode(t, func(t *testing.T, as mode) {
		for _, private := range []bool{true, false} {
			t.Run(fmt.Sprintf("private=%t", private), func(t *testing.T) {
				host := fmt.Sprintf("%s-%t.page.test", as, private)
				policy := fmt.Sprintf("allow \"page\" {\n  hosts = [\"*.page.test\"]\n  private = %t\n}\n", private) + upstream
				end := session{as: as, world: outside, policy: policy, command: curl(t, "GET", "https://"+host+"/json")}.run(t)
				if got := strings.Contains(end.stdout, marker); got != private {
					t.Errorf("the page was read: %t, want %t", got, private)
				}
				if reached := len(outside.origin.Requests(host)) > 0; reached != private {
					t.Errorf("the origin was reached: %t, want %t", reached, private)
				}
				if !private && !strings.Contains(end.stdout, "private-address") {
					t.Errorf("the client was not told why")
				}
			})
		}
	})
}

// checkSynthetic checks that a resolver found addresses, and only such as
// stand for a name within the session.
func checkSynthetic(t *testing.T, end result) {
	t.Helper()
	synthetic := netip.MustParsePrefix("198.18.0.0/15")
	found := strings.Fields(end.stdout)
	if end.status != 0 || len(found) == 0 {
		t.Errorf("the resolver ended with %d and no address", end.status)
	}
	for _, text := range found {
		address, err := netip.ParseAddr(text)
		if err != nil || !synthetic.Contains(address.Unmap()) {
			t.Errorf("the resolver found %q, which is not in %s", text, synthetic)
		}
	}
}
