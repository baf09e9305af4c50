package policies

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// slowDecide is the decision written down a second time, rule by rule as the
// language says it, without an index and without regard to cost. It takes the
// patterns as they were written.
func slowDecide(rules []slowRule, r Request) string {
	host, err := CanonicalHost(r.Host)
	if err != nil {
		return "deny"
	}
	var all []string
	if r.Protocol == HTTP {
		if all, err = readings(r.Path); err != nil {
			return "deny"
		}
	}
	methods := append([]string{r.Method}, r.Overrides...)
	for _, rule := range rules {
		if rule.deny && rule.aboutHost(host, r.Addr) && rule.aboutPort(r.Port) && rule.aboutProcess(r.Process) {
			covers := rule.protocol == "" || rule.protocol == string(r.Protocol)
			if covers && rule.matchesAny(all, methods, r.Protocol) || rule.protocol == "http" && r.Protocol != HTTP {
				return "deny"
			}
		}
	}
	for _, method := range methods {
		if !slices.ContainsFunc(rules, func(rule slowRule) bool {
			return !rule.deny && rule.protocol == string(r.Protocol) && rule.aboutHost(host, netip.Addr{}) && rule.aboutPort(r.Port) &&
				rule.aboutProcess(r.Process) && rule.matchesAll(all, method, r.Protocol) && rule.addrFine(host, r.Addr)
		}) {
			return "deny"
		}
	}
	return "allow"
}

// slowRule is a rule as it is written.
type slowRule struct {
	deny                                 bool
	protocol                             string
	hosts, methods, paths, process, port []string
	private                              bool
}

func (s slowRule) hcl(name string) string {
	var b strings.Builder
	kind := "allow"
	if s.deny {
		kind = "deny"
	}
	fmt.Fprintf(&b, "%s %q {\n  hosts = %s\n", kind, name, quoteList(s.hosts))
	for _, list := range []argument{{"methods", quoteList(s.methods)}, {"paths", quoteList(s.paths)}, {"process", quoteList(s.process)}, {"ports", quoteList(s.port)}} {
		if list.value != "[]" {
			fmt.Fprintf(&b, "  %s = %s\n", list.name, list.value)
		}
	}
	if s.protocol != "" {
		fmt.Fprintf(&b, "  protocol = %q\n", s.protocol)
	}
	if s.private {
		b.WriteString("  private = true\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func (s slowRule) aboutHost(host string, addr netip.Addr) bool {
	var about []netip.Addr
	literal, err := netip.ParseAddr(host)
	if err == nil {
		about = append(about, literal)
	}
	if s.deny && addr.IsValid() {
		about = append(about, addr.Unmap())
	}
	for _, pattern := range s.hosts {
		below, isBelow := strings.CutPrefix(pattern, "*")
		switch {
		case pattern == "*", pattern == host, isBelow && err != nil && strings.HasSuffix(host, below):
			return true
		}
		for _, a := range about {
			net, netErr := netip.ParsePrefix(pattern)
			if netErr == nil && net.Contains(a) || pattern == a.String() || pattern == "localhost" && a.IsLoopback() {
				return true
			}
		}
	}
	return false
}

func (s slowRule) aboutPort(port uint16) bool {
	return s.port == nil && (s.deny || port == 80 || port == 443) || slices.Contains(s.port, fmt.Sprint(port))
}

func (s slowRule) aboutProcess(p Process) bool {
	return s.process == nil || s.deny && p.Exe == "" ||
		slices.ContainsFunc(s.process, func(exe string) bool { return p.Exe != "" && strings.HasSuffix(p.Exe, "/"+exe) })
}

func (s slowRule) matchesPath(reading string) bool {
	return s.paths == nil || slices.ContainsFunc(s.paths, func(p string) bool { return pathRegexp(p).MatchString(reading) })
}

func (s slowRule) matchesAny(all, methods []string, protocol Protocol) bool {
	if protocol != HTTP {
		return true
	}
	return slices.ContainsFunc(all, s.matchesPath) &&
		(s.methods == nil || slices.ContainsFunc(methods, func(m string) bool { return slices.Contains(s.methods, m) }))
}

func (s slowRule) matchesAll(all []string, method string, protocol Protocol) bool {
	if protocol != HTTP {
		return true
	}
	for _, reading := range all {
		if !s.matchesPath(reading) {
			return false
		}
	}
	return s.methods == nil || slices.Contains(s.methods, method)
}

// addrFine knows only the few addresses that the test draws.
func (s slowRule) addrFine(host string, addr netip.Addr) bool {
	for _, a := range []string{host, addr.String()} {
		switch a {
		case "localhost", "127.0.0.1", "10.0.0.1":
			if !s.private {
				return false
			}
		case "169.254.169.254":
			if !slices.Contains(s.hosts, a) {
				return false
			}
		}
	}
	return true
}

// pathRegexp translates a pattern of `paths`; %2f is its only escape here.
func pathRegexp(pattern string) *regexp.Regexp {
	text := regexp.QuoteMeta(strings.ReplaceAll(pattern, "%2f", "%2F"))
	text = strings.ReplaceAll(text, `/\*\*/`, `/(?:.*/)?`)
	text = strings.ReplaceAll(text, `\*\*`, `.*`)
	text = strings.ReplaceAll(text, `\*`, `[^/]*`)
	return regexp.MustCompile(`(?s)^` + text + `$`)
}

// drawRules and drawRequest draw from few values, so that they often meet.
func drawRules(r *rand.Rand) []slowRule {
	hosts := []string{"a.example", "b.a.example", "*.a.example", "*.example", "*", "10.0.0.1", "10.0.0.0/8", "127.0.0.1", "localhost", "169.254.169.254", "192.0.2.1"}
	paths := []string{"/", "/a", "/a/*", "/a/**", "/**/b", "/a%2fb", "/*/b", "/**"}
	rules := make([]slowRule, 1+r.IntN(5))
	for i := range rules {
		s := slowRule{deny: r.IntN(3) == 0, hosts: draw(r, hosts)}
		switch r.IntN(4) {
		case 0:
			s.protocol = []string{"tcp", "udp"}[r.IntN(2)]
		case 1:
			s.protocol = "http"
		}
		if r.IntN(2) == 0 || s.protocol == "tcp" || s.protocol == "udp" {
			s.port = draw(r, []string{"80", "443", "22"})
		}
		if s.protocol == "http" && r.IntN(2) == 0 {
			s.methods = draw(r, []string{"GET", "POST", "PUT"})
		}
		if s.protocol == "http" && r.IntN(2) == 0 {
			s.paths = draw(r, paths)
		}
		if s.protocol == "" && !s.deny {
			s.protocol = "http"
		}
		if r.IntN(4) == 0 {
			s.process = draw(r, []string{"git", "curl"})
		}
		s.private = !s.deny && r.IntN(2) == 0
		rules[i] = s
	}
	return rules
}

func draw(r *rand.Rand, from []string) []string {
	var drawn []string
	for range 1 + r.IntN(2) {
		drawn = append(drawn, from[r.IntN(len(from))])
	}
	return drawn
}

func drawRequest(r *rand.Rand) Request {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	req := Request{
		Protocol: Protocol(pick("http", "http", "tcp", "udp")),
		Host:     pick("a.example", "b.a.example", "c.b.a.example", "example", "x.example", "10.0.0.1", "127.0.0.1", "localhost", "169.254.169.254", "192.0.2.1"),
		Port:     []uint16{80, 443, 22}[r.IntN(3)],
		Method:   pick("GET", "POST", "PUT"),
		Path:     pick("/", "/a", "/a/b", "/a/b/b", "/b", "/a%2fb", "/a/..%2fb", "/a//b", "/a;x/b", "/a/%2e%2e/b", "/c"),
		Process:  Process{Exe: pick("", "/usr/bin/git", "/usr/bin/curl", "/bin/sh")},
	}
	if r.IntN(4) == 0 {
		req.Overrides = []string{pick("GET", "PUT")}
	}
	if r.IntN(2) == 0 {
		req.Addr = netip.MustParseAddr(pick("192.0.2.1", "10.0.0.1", "127.0.0.1", "169.254.169.254", "192.0.2.2"))
	}
	return req
}

// checkAgainstReference draws a policy and requests, and compares the two ways
// to decide; it also checks that what is suggested for a denial works.
func checkAgainstReference(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	rules := drawRules(r)
	var src strings.Builder
	for i, rule := range rules {
		src.WriteString(rule.hcl(fmt.Sprint("rule", i)))
	}
	p := mustParse(t, src.String())
	for range 20 {
		req := drawRequest(r)
		d := p.Decide(req)
		got := "deny"
		if d.Allowed {
			got = "allow"
		}
		if diff := cmp.Diff(slowDecide(rules, req), got); diff != "" {
			t.Fatalf("seed %d: decision %+v on %+v (-reference +got):\n%s\npolicy:\n%s", seed, d, req, diff, src.String())
		}
		checkSuggestion(t, p, src.String(), req)
	}
}

// checkSuggestion checks that a suggested rule allows what was denied.
func checkSuggestion(t *testing.T, p *Policy, src string, req Request) {
	t.Helper()
	rule := p.Suggest(req)
	if p.Decide(req).Allowed != (rule == "") {
		t.Fatalf("suggestion for %+v: %q", req, rule)
	}
	if rule == "" || strings.HasPrefix(rule, "#") {
		return
	}
	if d := mustParse(t, src+rule+"\n").Decide(req); !d.Allowed {
		t.Fatalf("the rule suggested for %+v does not allow it: %+v\n%s\npolicy:\n%s", req, d, rule, src)
	}
}

func TestAgainstReference(t *testing.T) {
	for seed := range uint64(150) {
		checkAgainstReference(t, seed)
	}
}

func FuzzAgainstReference(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(1000 + seed)
	}
	f.Fuzz(checkAgainstReference)
}
