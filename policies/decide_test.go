package policies

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mustParse makes a policy of a text that has no errors.
func mustParse(t testing.TB, src string) *Policy {
	t.Helper()
	p, diags := Parse(Options{}, "test.hcl", []byte(src))
	if diags.HasErrors() {
		t.Fatalf("parse policy: %v", diags)
	}
	return p
}

// get is a GET of a URL's parts.
func get(host, path string) Request {
	return Request{Protocol: HTTP, Host: host, Port: 443, Method: "GET", Path: path}
}

func conn(protocol Protocol, host string, port uint16) Request {
	return Request{Protocol: protocol, Host: host, Port: port}
}

func socket(path string) Request { return Request{Protocol: Unix, Path: path} }

// with changes a request.
func (r Request) with(change func(*Request)) Request {
	change(&r)
	return r
}

func (r Request) method(m string, overrides ...string) Request {
	return r.with(func(r *Request) { r.Method, r.Overrides = m, overrides })
}

func (r Request) port(p uint16) Request { return r.with(func(r *Request) { r.Port = p }) }

func (r Request) addr(a string) Request {
	return r.with(func(r *Request) { r.Addr = netip.MustParseAddr(a) })
}

func (r Request) by(exe string, ancestors ...string) Request {
	return r.with(func(r *Request) { r.Process = Process{Exe: exe, Ancestors: ancestors} })
}

// decisionCase is a request and, in short, what is decided: "allow RULE",
// "deny RULE", or "deny" and then the reason in parentheses.
type decisionCase struct {
	name string
	req  Request
	want string
}

func short(d Decision) string {
	words := []string{"deny"}
	if d.Allowed {
		words[0] = "allow"
	}
	if d.Rule != "" {
		words = append(words, d.Rule)
	}
	if d.Reason != ReasonRule {
		words = append(words, "("+d.Reason+")")
	}
	return strings.Join(words, " ")
}

func runDecisions(t *testing.T, policy string, cases []decisionCase) {
	t.Helper()
	p := mustParse(t, policy)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, short(p.Decide(c.req))); diff != "" {
				t.Errorf("decision on %+v (-want +got):\n%s", c.req, diff)
			}
		})
	}
}

func TestDecideHosts(t *testing.T) {
	runDecisions(t, `
allow "exact" { hosts = ["api.github.com"] }
allow "below" { hosts = ["*.githubusercontent.com"] }
allow "unicode" { hosts = ["Bücher.example"] }
allow "address" { hosts = ["192.0.2.7"] }
allow "address6" { hosts = ["2001:db8::7"] }
allow "net" { hosts = ["198.51.100.0/24"] }
allow "net6" { hosts = ["2001:db8:1::/48"] }
allow "dotted" { hosts = ["Trailing.Example."] }
`, []decisionCase{
		{"exact", get("api.github.com", "/"), "allow exact"},
		{"upper case", get("API.GitHub.COM", "/"), "allow exact"},
		{"trailing dot", get("api.github.com.", "/"), "allow exact"},
		{"two trailing dots", get("api.github.com..", "/"), "deny (invalid-request)"},
		{"below an exact name", get("x.api.github.com", "/"), "deny (default)"},
		{"above an exact name", get("github.com", "/"), "deny (default)"},
		{"suffix without a dot", get("evilapi.github.com", "/"), "deny (default)"},
		{"name continued", get("api.github.com.evil.example", "/"), "deny (default)"},
		{"below", get("raw.githubusercontent.com", "/"), "allow below"},
		{"deep below", get("a.b.c.githubusercontent.com", "/"), "allow below"},
		{"not the name itself", get("githubusercontent.com", "/"), "deny (default)"},
		{"below without a dot", get("evilgithubusercontent.com", "/"), "deny (default)"},
		{"unicode", get("bücher.example", "/"), "allow unicode"},
		{"unicode, upper case", get("BÜCHER.EXAMPLE", "/"), "allow unicode"},
		{"unicode, decomposed", get("bu\u0308cher.example", "/"), "allow unicode"},
		{"A-label", get("xn--bcher-kva.example", "/"), "allow unicode"},
		{"full-width name", get("ａｐｉ.github.com", "/"), "allow exact"},
		{"ideographic dots", get("api。github。com", "/"), "allow exact"},
		{"homograph", get("аpi.github.com", "/"), "deny (default)"},
		{"address", get("192.0.2.7", "/"), "allow address"},
		{"address as IPv6", get("::ffff:192.0.2.7", "/"), "allow address"},
		{"other address", get("192.0.2.8", "/"), "deny (default)"},
		{"address with zeros", get("192.000.2.7", "/"), "deny (invalid-request)"},
		{"address in hexadecimal", get("0xc0000207", "/"), "deny (invalid-request)"},
		{"address as a number", get("3221225991", "/"), "deny (invalid-request)"},
		{"address in brackets", get("[2001:db8::7]", "/"), "allow address6"},
		{"address spelled out", get("2001:DB8:0:0:0:0:0:7", "/"), "allow address6"},
		{"address with a zone", get("2001:db8::7%eth0", "/"), "deny (invalid-request)"},
		{"net", get("198.51.100.200", "/"), "allow net"},
		{"outside the net", get("198.51.101.1", "/"), "deny (default)"},
		{"net6", get("2001:db8:1:2::3", "/"), "allow net6"},
		{"name that resolves into a net", get("evil.example", "/").addr("198.51.100.1"), "deny (default)"},
		{"pattern in mixed case with a dot", get("trailing.example", "/"), "allow dotted"},
		{"empty host", get("", "/"), "deny (invalid-request)"},
		{"host with NUL", get("api.github.com\x00.evil.example", "/"), "deny (invalid-request)"},
		{"host with a space", get("api.github.com ", "/"), "deny (invalid-request)"},
		{"host with user", get("x@api.github.com", "/"), "deny (invalid-request)"},
		{"host with port", get("api.github.com:443", "/"), "deny (invalid-request)"},
	})
}

func TestDecideAnyHost(t *testing.T) {
	runDecisions(t, `
allow "all" { hosts = ["*"] }
deny "name" { hosts = ["evil.example", "*.evil.example"] }
deny "net" { hosts = ["203.0.113.0/24"] }
`, []decisionCase{
		{"name", get("example.com", "/"), "allow all"},
		{"single label", get("intranet", "/"), "allow all"},
		{"address", get("192.0.2.1", "/"), "allow all"},
		{"denied name", get("evil.example", "/"), "deny name"},
		{"denied name, upper case", get("EVIL.example.", "/"), "deny name"},
		{"below it", get("a.b.evil.example", "/"), "deny name"},
		{"denied address", get("203.0.113.9", "/"), "deny net"},
		{"denied address, mapped", get("[::ffff:203.0.113.9]", "/"), "deny net"},
		{"denied address within NAT64", get("64:ff9b::203.0.113.9", "/"), "deny net"},
		{"denied address within 6to4", get("2002:cb00:7109::1", "/"), "deny net"},
		{"name that resolves to a denied address", get("example.com", "/").addr("203.0.113.9"), "deny net"},
		{"private address", get("10.0.0.1", "/"), "deny all (private-address)"},
		{"any port", get("evil.example", "/").port(8080), "deny name"},
		{"other port of an allowed host", get("example.com", "/").port(8080), "deny (default)"},
		{"plain HTTP", get("example.com", "/").port(80), "allow all"},
	})
}

func TestDecideMethods(t *testing.T) {
	runDecisions(t, `
allow "read" {
  hosts   = ["a.example"]
  methods = ["GET", "HEAD"]
}
allow "write" {
  hosts   = ["a.example"]
  methods = ["POST"]
  paths   = ["/in"]
}
allow "socket" {
  hosts   = ["ws.example"]
  methods = ["WEBSOCKET"]
}
allow "any" { hosts = ["any.example"] }
deny "no-delete" {
  hosts   = ["any.example"]
  methods = ["DELETE"]
}
`, []decisionCase{
		{"listed", get("a.example", "/"), "allow read"},
		{"not listed", get("a.example", "/").method("PUT"), "deny (default)"},
		{"listed elsewhere", get("a.example", "/").method("POST"), "deny (default)"},
		{"listed for the path", get("a.example", "/in").method("POST"), "allow write"},
		{"lower case", get("a.example", "/").method("get"), "deny (default)"},
		{"upgrade is not GET", get("a.example", "/").method(WebSocket), "deny (default)"},
		{"upgrade", get("ws.example", "/").method(WebSocket), "allow socket"},
		{"GET is not upgrade", get("ws.example", "/"), "deny (default)"},
		{"any method", get("any.example", "/").method("PROPFIND"), "allow any"},
		{"denied", get("any.example", "/").method("DELETE"), "deny no-delete"},
		{"denied in lower case", get("any.example", "/").method("delete"), "deny no-delete"},
		{"override to a denied one", get("any.example", "/").method("POST", "DELETE"), "deny no-delete"},
		{"override in lower case", get("any.example", "/").method("POST", " delete"), "deny no-delete"},
		{"override to an allowed one", get("a.example", "/").method("GET", "HEAD"), "allow read"},
		{"override to a forbidden one", get("a.example", "/").method("GET", "POST"), "deny (default)"},
		{"override from a forbidden one", get("a.example", "/").method("POST", "GET"), "deny (default)"},
		{"two rules for the two methods", get("a.example", "/in").method("POST", "GET"), "allow write"},
		{"second override forbidden", get("a.example", "/").method("GET", "HEAD", "PUT"), "deny (default)"},
		{"malformed override", get("any.example", "/").method("POST", "A B"), "deny (invalid-request)"},
		{"empty override", get("any.example", "/").method("POST", ""), "deny (invalid-request)"},
		{"too many overrides", get("any.example", "/").method("POST", "A", "A", "A", "A", "A", "A", "A", "A"), "deny (invalid-request)"},
		{"no method", get("any.example", "/").method(""), "deny (invalid-request)"},
		{"malformed method", get("any.example", "/").method("GET /x"), "deny (invalid-request)"},
		{"asterisk form", get("any.example", "*").method("OPTIONS"), "allow any"},
		{"asterisk form where paths are listed", get("a.example", "*").method("OPTIONS"), "deny (default)"},
		{"asterisk form of GET", get("any.example", "*"), "deny (ambiguous-path)"},
	})
}

func TestDecidePaths(t *testing.T) {
	runDecisions(t, `
allow "ok" {
  hosts = ["a.example"]
  paths = ["/ok/**", "/one/*", "/exact", "/mid/*/end", "/deep/**/end"]
}
allow "npm" {
  hosts = ["npm.example"]
  paths = ["/@scope/*", "/@scope%2f*"]
}
allow "half" {
  hosts = ["half.example"]
  paths = ["/@scope%2f*"]
}
allow "odd" {
  hosts = ["odd.example"]
  paths = ["/a b", "/caf%c3%a9", "/100%25", "/star%2a", "/semi;v=1", "/semi"]
}
`, []decisionCase{
		{"below", get("a.example", "/ok/x/y"), "allow ok"},
		{"the folder", get("a.example", "/ok/"), "allow ok"},
		{"not the name of the folder", get("a.example", "/ok"), "deny (default)"},
		{"longer name", get("a.example", "/okay/x"), "deny (default)"},
		{"one segment", get("a.example", "/one/x"), "allow ok"},
		{"not two", get("a.example", "/one/x/y"), "deny (default)"},
		{"exact", get("a.example", "/exact"), "allow ok"},
		{"exact and a slash", get("a.example", "/exact/"), "deny (default)"},
		{"case counts", get("a.example", "/EXACT"), "deny (default)"},
		{"middle", get("a.example", "/mid/x/end"), "allow ok"},
		{"middle of two", get("a.example", "/mid/x/y/end"), "deny (default)"},
		{"deep by none", get("a.example", "/deep/end"), "allow ok"},
		{"deep by one", get("a.example", "/deep/x/end"), "allow ok"},
		{"deep by two", get("a.example", "/deep/x/y/end"), "allow ok"},
		{"deep without slash", get("a.example", "/deep/xend"), "deny (default)"},
		{"empty path is the root", get("a.example", ""), "deny (default)"},
		{"relative path", get("a.example", "ok/x"), "deny (ambiguous-path)"},
		{"absolute form", get("a.example", "http://a.example/ok/x"), "deny (ambiguous-path)"},

		{"dot segments", get("a.example", "/ok/../secret"), "deny (default)"},
		{"dot segments that stay inside", get("a.example", "/ok/x/../y"), "allow ok"},
		{"dot segments from outside", get("a.example", "/secret/../ok/x"), "allow ok"},
		{"dot segments to an exact path", get("a.example", "/x/../exact"), "allow ok"},
		{"dots above the root", get("a.example", "/../../ok/x"), "allow ok"},
		{"final dots", get("a.example", "/ok/.."), "deny (default)"},
		{"one dot", get("a.example", "/ok/./x"), "allow ok"},
		{"three dots are a name", get("a.example", "/ok/.../x"), "allow ok"},
		{"hidden file", get("a.example", "/ok/.git/config"), "allow ok"},
		{"%2e%2e", get("a.example", "/ok/%2e%2e/secret"), "deny (default)"},
		{"%2E%2E", get("a.example", "/ok/%2E%2E/secret"), "deny (default)"},
		{".%2e", get("a.example", "/ok/.%2e/secret"), "deny (default)"},
		{"%2e%2e%2f", get("a.example", "/ok/%2e%2e%2fsecret"), "deny (default)"},
		{"..%2f", get("a.example", "/ok/..%2fsecret"), "deny (default)"},
		{"%252e%252e", get("a.example", "/ok/%252e%252e/secret"), "deny (default)"},
		{"%252e%252e%252f", get("a.example", "/ok/%252e%252e%252fsecret"), "deny (default)"},
		{"..%252f", get("a.example", "/ok/..%252fsecret"), "deny (default)"},
		{"%25252e thrice", get("a.example", "/ok/%25252e%25252e/secret"), "deny (default)"},
		{"backslash", get("a.example", `/ok/..\secret`), "deny (default)"},
		{"backslashes", get("a.example", `/ok\..\..\secret`), "deny (default)"},
		{"%5c", get("a.example", "/ok/..%5csecret"), "deny (default)"},
		{"%255c", get("a.example", "/ok/..%255csecret"), "deny (default)"},
		{"backslash inside", get("a.example", `/ok/x\y`), "allow ok"},
		{"parameters on dots", get("a.example", "/ok/..;/secret"), "deny (default)"},
		{"parameters with a value on dots", get("a.example", "/ok/..;x=1/secret"), "deny (default)"},
		{"%3b on dots", get("a.example", "/ok/..%3b/secret"), "deny (default)"},
		{"parameters inside", get("a.example", "/ok/x;v=1/y"), "allow ok"},
		{"parameters on the folder", get("a.example", "/ok;v=1/y"), "deny (default)"},
		{"slashes", get("a.example", "/ok//x"), "allow ok"},
		{"slashes and dots", get("a.example", "/ok//../secret"), "deny (default)"},
		{"slashes and dots twice", get("a.example", "/ok/a//../../../secret"), "deny (default)"},
		{"leading slashes", get("a.example", "//ok/x"), "deny (default)"},
		{"slash into two segments", get("a.example", "/one/x%2fy"), "deny (default)"},
		{"encoded slash below **", get("a.example", "/ok/a%2fb"), "allow ok"},
		{"overlong dots", get("a.example", "/ok/%c0%ae%c0%ae/secret"), "deny (default)"},
		{"overlong slash", get("a.example", "/ok/..%c0%afsecret"), "deny (default)"},
		{"overlong slash in three bytes", get("a.example", "/ok/..%e0%80%afsecret"), "deny (default)"},
		{"overlong slash in four bytes", get("a.example", "/ok/..%f0%80%80%afsecret"), "deny (default)"},
		{"overlong slash in six bytes", get("a.example", "/ok/..%fc%80%80%80%80%afsecret"), "deny (default)"},
		{"overlong backslash", get("a.example", "/ok/..%c1%9csecret"), "deny (default)"},
		{"overlong percent", get("a.example", "/ok/%c0%a52e%c0%a52e/secret"), "deny (default)"},
		{"overlong NUL", get("a.example", "/ok/x%c0%80"), "deny (ambiguous-path)"},
		{"raw overlong dots", get("a.example", "/ok/\xc0\xae\xc0\xae/secret"), "deny (default)"},
		{"full-width dots", get("a.example", "/ok/%ef%bc%8e%ef%bc%8e/secret"), "deny (default)"},
		{"full-width slash", get("a.example", "/ok/..%ef%bc%8fsecret"), "deny (default)"},
		{"full-width backslash", get("a.example", "/ok/..%ef%bc%bcsecret"), "deny (default)"},
		{"full-width percent", get("a.example", "/ok/%ef%bc%852e%ef%bc%852e/secret"), "deny (default)"},
		{"double-encoded full-width slash", get("a.example", "/ok/..%25ef%25bc%258fsecret"), "deny (default)"},
		{"division slash", get("a.example", "/ok/..%e2%88%95secret"), "deny (default)"},
		{"full-width name inside", get("a.example", "/ok/%ef%bd%81"), "allow ok"},
		{"mixture", get("a.example", `/ok/a;x/%252e%252e%5c..;y%2f%2f../secret`), "deny (default)"},

		{"NUL", get("a.example", "/ok/%00"), "deny (ambiguous-path)"},
		{"CR", get("a.example", "/ok/%0d"), "deny (ambiguous-path)"},
		{"LF", get("a.example", "/ok/%0a"), "deny (ambiguous-path)"},
		{"tab", get("a.example", "/ok/%09"), "deny (ambiguous-path)"},
		{"DEL", get("a.example", "/ok/%7f"), "deny (ambiguous-path)"},
		{"C1 control", get("a.example", "/ok/%c2%85"), "deny (ambiguous-path)"},
		{"double-encoded LF", get("a.example", "/ok/%250a"), "deny (ambiguous-path)"},
		{"raw LF", get("a.example", "/ok/\n"), "deny (ambiguous-path)"},
		{"percent alone", get("a.example", "/ok/100%"), "deny (ambiguous-path)"},
		{"percent and one digit", get("a.example", "/ok/%2"), "deny (ambiguous-path)"},
		{"percent and no digits", get("a.example", "/ok/%zz"), "deny (ambiguous-path)"},
		{"%u002e", get("a.example", "/ok/%u002e%u002e/x"), "deny (ambiguous-path)"},
		{"control where nothing matches", get("other.example", "/%00"), "deny (ambiguous-path)"},
		{"many percent signs", get("a.example", "/ok/"+strings.Repeat("%25", 300)+"41"), "allow ok"},
		{"too many decodings", get("a.example", "/ok/%"+strings.Repeat("25", 300)+"41"), "deny (ambiguous-path)"},
		{"too long", get("a.example", "/ok/"+strings.Repeat("a", 70000)), "deny (ambiguous-path)"},

		{"scope with a slash", get("npm.example", "/@scope/x"), "allow npm"},
		{"scope with %2f", get("npm.example", "/@scope%2fx"), "allow npm"},
		{"scope with %2F", get("npm.example", "/%40scope%2Fx"), "allow npm"},
		{"scope with %252f", get("npm.example", "/@scope%252fx"), "deny (default)"},
		{"scope, deeper", get("npm.example", "/@scope%2fx/y"), "deny (default)"},
		{"scope half named", get("half.example", "/@scope%2fx"), "deny (default)"},
		{"scope not named", get("half.example", "/@scope/x"), "deny (default)"},

		{"space", get("odd.example", "/a%20b"), "allow odd"},
		{"accent", get("odd.example", "/caf%C3%A9"), "allow odd"},
		{"raw accent", get("odd.example", "/café"), "allow odd"},
		{"percent sign", get("odd.example", "/100%25"), "allow odd"},
		{"unreserved, encoded", get("odd.example", "/%73emi"), "allow odd"},
		{"star as text", get("odd.example", "/star*"), "allow odd"},
		{"star is no pattern", get("odd.example", "/starry"), "deny (default)"},
		{"parameters named with the rest", get("odd.example", "/semi;v=1"), "allow odd"},
	})
}

func TestDecideDeniedPaths(t *testing.T) {
	denied := []string{
		"/gists/1", "/gists/", "/x/../gists/1", "/%67ists/1", "/%2567ists/1", "//gists/1", `/\gists/1`, "/x/..%2fgists/1",
		`/x\..\gists\1`, "/;a/gists/1", "/gists;a/1", "/./gists/1", "/%2e/gists/1", "/gists%2f1", "/gists%252f1", "/gists%5c1",
		"/%ef%bd%87ists/1", "/%c1%a7ists/1", "/%c0%afgists/1", "/a//../gists/x", "/x/%252e%252e/gists/1", "/gists%ef%bc%8f1",
	}
	p := mustParse(t, `
allow "all" { hosts = ["api.example"] }
deny "gists" {
  hosts = ["api.example"]
  paths = ["/gists/**"]
}
`)
	for _, path := range denied {
		t.Run(path, func(t *testing.T) {
			if got, want := short(p.Decide(get("api.example", path))), "deny gists"; got != want {
				t.Errorf("decision: got %q, want %q", got, want)
			}
		})
	}
	for _, path := range []string{"/", "/gist/1", "/gistsx/1", "/x/gists/1", "/gists", "/a%2fgists/1"} {
		t.Run(path, func(t *testing.T) {
			if got, want := short(p.Decide(get("api.example", path))), "allow all"; got != want {
				t.Errorf("decision: got %q, want %q", got, want)
			}
		})
	}
}

func TestDecideAddresses(t *testing.T) {
	runDecisions(t, `
allow "public" { hosts = ["pub.example", "10.0.0.9", "169.254.169.254", "0.0.0.0/0", "::/0", "localhost"] }
allow "private" {
  hosts   = ["priv.example", "loop.example"]
  private = true
}
allow "meta" {
  hosts   = ["meta.example", "169.254.169.254", "fd00:ec2::254", "100.100.100.200"]
  private = true
}
allow "inward" {
  hosts   = ["10.1.0.0/16", "fd12::/16"]
  private = true
}
allow "loopback" {
  hosts   = ["localhost"]
  ports   = [8080]
  private = true
}
`, []decisionCase{
		{"not known yet", get("pub.example", "/"), "allow public"},
		{"public", get("pub.example", "/").addr("93.184.215.14"), "allow public"},
		{"public IPv6", get("pub.example", "/").addr("2606:2800::1"), "allow public"},
		{"10/8", get("pub.example", "/").addr("10.1.2.3"), "deny public (private-address)"},
		{"172.16/12", get("pub.example", "/").addr("172.31.255.255"), "deny public (private-address)"},
		{"just above 172.16/12", get("pub.example", "/").addr("172.32.0.1"), "allow public"},
		{"192.168/16", get("pub.example", "/").addr("192.168.0.1"), "deny public (private-address)"},
		{"shared", get("pub.example", "/").addr("100.64.0.1"), "deny public (private-address)"},
		{"just above shared", get("pub.example", "/").addr("100.128.0.1"), "allow public"},
		{"loopback", get("pub.example", "/").addr("127.0.0.1"), "deny public (private-address)"},
		{"other loopback", get("pub.example", "/").addr("127.9.9.9"), "deny public (private-address)"},
		{"IPv6 loopback", get("pub.example", "/").addr("::1"), "deny public (private-address)"},
		{"unique local", get("pub.example", "/").addr("fd12::1"), "deny public (private-address)"},
		{"site local", get("pub.example", "/").addr("fec0::1"), "deny public (private-address)"},
		{"mapped", get("pub.example", "/").addr("::ffff:10.0.0.1"), "deny public (private-address)"},
		{"NAT64", get("pub.example", "/").addr("64:ff9b::10.0.0.1"), "deny public (private-address)"},
		{"NAT64 of a public address", get("pub.example", "/").addr("64:ff9b::93.184.215.14"), "allow public"},
		{"local NAT64", get("pub.example", "/").addr("64:ff9b:1::93.184.215.14"), "deny public (private-address)"},
		{"6to4", get("pub.example", "/").addr("2002:c0a8:0001::1"), "deny public (private-address)"},
		{"Teredo", get("pub.example", "/").addr("2001:0:5db8:d70e:0:0:f5ff:fffe"), "deny public (private-address)"},
		{"ISATAP", get("pub.example", "/").addr("2606:2800::5efe:10.0.0.1"), "deny public (private-address)"},
		{"IPv4-compatible", get("pub.example", "/").addr("::10.0.0.1"), "deny public (private-address)"},
		{"benchmark net", get("pub.example", "/").addr("198.18.0.1"), "deny public (private-address)"},
		{"metadata", get("pub.example", "/").addr("169.254.169.254"), "allow public"},
		{"link-local", get("pub.example", "/").addr("169.254.1.1"), "deny public (metadata-address)"},
		{"IPv6 link-local", get("pub.example", "/").addr("fe80::1"), "deny public (metadata-address)"},
		{"IPv6 link-local with a zone", get("pub.example", "/").addr("fe80::1%eth0"), "deny public (metadata-address)"},
		{"metadata by NAT64", get("pub.example", "/").addr("64:ff9b::169.254.169.254"), "deny public (metadata-address)"},
		{"Azure", get("pub.example", "/").addr("168.63.129.16"), "deny public (metadata-address)"},
		{"Oracle", get("pub.example", "/").addr("192.0.0.192"), "deny public (metadata-address)"},
		{"Google over IPv6", get("pub.example", "/").addr("fd20:ce::254"), "deny public (metadata-address)"},
		{"unspecified", get("pub.example", "/").addr("0.0.0.0"), "deny public (unusable-address)"},
		{"unspecified IPv6", get("pub.example", "/").addr("::"), "deny public (unusable-address)"},
		{"this network", get("pub.example", "/").addr("0.1.2.3"), "deny public (unusable-address)"},
		{"multicast", get("pub.example", "/").addr("224.0.0.1"), "deny public (unusable-address)"},
		{"multicast IPv6", get("pub.example", "/").addr("ff02::1"), "deny public (unusable-address)"},
		{"broadcast", get("pub.example", "/").addr("255.255.255.255"), "deny public (unusable-address)"},
		{"reserved", get("pub.example", "/").addr("240.0.0.1"), "deny public (unusable-address)"},

		{"private allowed", get("priv.example", "/").addr("10.1.2.3"), "allow private"},
		{"loopback allowed", get("loop.example", "/").addr("::1"), "allow private"},
		{"private is not link-local", get("priv.example", "/").addr("169.254.1.1"), "deny private (metadata-address)"},
		{"private is not metadata", get("priv.example", "/").addr("169.254.169.254"), "deny private (metadata-address)"},
		{"private is not EC2 over IPv6", get("priv.example", "/").addr("fd00:ec2::254"), "deny private (metadata-address)"},
		{"private is not Alibaba", get("priv.example", "/").addr("100.100.100.200"), "deny private (metadata-address)"},
		{"private is not unspecified", get("priv.example", "/").addr("0.0.0.0"), "deny private (unusable-address)"},
		{"metadata named", get("meta.example", "/").addr("169.254.169.254"), "allow meta"},
		{"EC2 over IPv6 named", get("meta.example", "/").addr("fd00:ec2::254"), "allow meta"},
		{"Alibaba named", get("meta.example", "/").addr("100.100.100.200"), "allow meta"},
		{"another link-local not named", get("meta.example", "/").addr("169.254.169.253"), "deny meta (metadata-address)"},

		{"literal, private", get("10.0.0.9", "/"), "deny public (private-address)"},
		{"literal in a private net", get("10.1.0.9", "/"), "allow inward"},
		{"literal in a private net of IPv6", get("[fd12::9]", "/"), "allow inward"},
		{"literal, metadata named", get("169.254.169.254", "/"), "allow public"},
		{"literal, link-local only by net", get("169.254.1.1", "/"), "deny public (metadata-address)"},
		{"literal, unspecified", get("0.0.0.0", "/"), "deny public (unusable-address)"},
		{"literal, loopback", get("127.0.0.1", "/"), "deny public (private-address)"},
		{"localhost without private", get("localhost", "/"), "deny public (private-address)"},
		{"localhost with private", get("localhost", "/").port(8080), "allow loopback"},
		{"127.0.0.1 by localhost", get("127.0.0.1", "/").port(8080), "allow loopback"},
		{"127.8.8.8 by localhost", get("127.8.8.8", "/").port(8080), "allow loopback"},
		{"::1 by localhost", get("::1", "/").port(8080), "allow loopback"},
		{"mapped loopback by localhost", get("::ffff:127.0.0.1", "/").port(8080), "allow loopback"},
		{"by the operator", get("pub.example", "/").addr("127.0.0.1").with(func(r *Request) { r.AddrByOperator = true }), "allow public"},
	})
}

func TestDecideConnections(t *testing.T) {
	runDecisions(t, `
allow "db" {
  protocol = "tcp"
  hosts    = ["db.example"]
  ports    = [5432, "6000-6009"]
  private  = true
}
allow "ntp" {
  protocol = "udp"
  hosts    = ["time.example"]
  ports    = [123]
}
allow "git-ssh" {
  protocol = "tcp"
  hosts    = ["git.example"]
  ports    = [22, 443]
}
allow "git" { hosts = ["git.example"] }
deny "git-admin" {
  hosts = ["git.example"]
  ports = [80, 443]
  paths = ["/admin/**"]
}
allow "quic" {
  protocol = "udp"
  hosts    = ["git.example"]
  ports    = [443]
}
allow "pinned" {
  protocol = "tls"
  hosts    = ["*.pinned.example", "git.example"]
}
allow "open" {
  protocol = "tcp"
  hosts    = ["open.example"]
  ports    = ["1-65535"]
}
deny "closed-port" {
  protocol = "tcp"
  hosts    = ["*.example"]
  ports    = [25]
}
deny "no-http-here" {
  protocol = "http"
  hosts    = ["open.example"]
  ports    = [8080]
  process  = ["curl"]
}
`, []decisionCase{
		{"tcp", conn(TCP, "db.example", 5432), "allow db"},
		{"tcp to a private address", conn(TCP, "db.example", 5432).addr("10.0.0.5"), "allow db"},
		{"tcp range, first", conn(TCP, "db.example", 6000), "allow db"},
		{"tcp range, last", conn(TCP, "db.example", 6009), "allow db"},
		{"tcp beyond the range", conn(TCP, "db.example", 6010), "deny (default)"},
		{"udp where tcp is allowed", conn(UDP, "db.example", 5432), "deny (default)"},
		{"http where tcp is allowed", get("db.example", "/").port(5432), "deny (default)"},
		{"udp", conn(UDP, "time.example", 123), "allow ntp"},
		{"udp to a private address", conn(UDP, "time.example", 123).addr("192.168.1.1"), "deny ntp (private-address)"},
		{"tcp where udp is allowed", conn(TCP, "time.example", 123), "deny (default)"},
		{"http", get("git.example", "/x"), "allow git"},
		{"http denied", get("git.example", "/admin/x"), "deny git-admin"},
		{"tcp where no http is denied", conn(TCP, "git.example", 22), "allow git-ssh"},
		{"tcp around a deny of http", conn(TCP, "git.example", 443), "deny git-admin (http-deny)"},
		{"udp around a deny of http", conn(UDP, "git.example", 443), "deny git-admin (http-deny)"},
		{"tcp, all ports", conn(TCP, "open.example", 9999), "allow open"},
		{"tcp denied by port", conn(TCP, "open.example", 25), "deny closed-port"},
		{"tcp around a deny for a program", conn(TCP, "open.example", 8080).by("/usr/bin/curl"), "deny no-http-here (http-deny)"},
		{"tcp by another program", conn(TCP, "open.example", 8080).by("/usr/bin/nc"), "allow open"},
		{"tcp by an unknown program", conn(TCP, "open.example", 8080), "deny no-http-here (http-deny)"},
		{"tls", conn(TLS, "a.pinned.example", 443), "allow pinned"},
		{"tls to another port", conn(TLS, "a.pinned.example", 8443), "deny (default)"},
		{"tls to a private address", conn(TLS, "a.pinned.example", 443).addr("10.0.0.1"), "deny pinned (private-address)"},
		{"tls around a deny of http", conn(TLS, "git.example", 443), "deny git-admin (http-deny)"},
		{"http where tls is allowed", get("a.pinned.example", "/"), "deny (default)"},
		{"tcp where tls is allowed", conn(TCP, "a.pinned.example", 443), "deny (default)"},
		{"tls where tcp is allowed", conn(TLS, "open.example", 443), "deny (default)"},
		{"no port", conn(TCP, "open.example", 0), "deny (default)"},
		{"unknown protocol", conn("sctp", "open.example", 9999), "deny (invalid-request)"},
		{"no protocol", Request{Host: "open.example", Port: 9999}, "deny (invalid-request)"},
	})
}

func TestDecideProcess(t *testing.T) {
	runDecisions(t, `
allow "git" {
  hosts   = ["git.example"]
  process = ["git", "/usr/lib/git-core/**"]
}
allow "npm" {
  hosts    = ["npm.example"]
  ancestor = ["npm*"]
}
allow "all" { hosts = ["all.example"] }
deny "curl" {
  hosts   = ["all.example"]
  process = ["curl"]
}
deny "below-make" {
  hosts    = ["all.example"]
  ancestor = ["/usr/bin/make"]
}
`, []decisionCase{
		{"base name", get("git.example", "/").by("/opt/git/bin/git"), "allow git"},
		{"base name is whole", get("git.example", "/").by("/usr/bin/git-evil"), "deny (default)"},
		{"folder of that name", get("git.example", "/").by("/usr/git/evil"), "deny (default)"},
		{"path", get("git.example", "/").by("/usr/lib/git-core/a/b"), "allow git"},
		{"other path", get("git.example", "/").by("/tmp/usr/lib/git-core/x"), "deny (default)"},
		{"not known", get("git.example", "/"), "deny (default)"},
		{"ancestor", get("npm.example", "/").by("/usr/bin/node", "/bin/sh", "/usr/bin/npm-cli"), "allow npm"},
		{"is not its own ancestor", get("npm.example", "/").by("/usr/bin/npm"), "deny (default)"},
		{"other ancestors", get("npm.example", "/").by("/usr/bin/node", "/bin/sh"), "deny (default)"},
		{"unknown ancestor", get("npm.example", "/").by("/usr/bin/node", ""), "deny (default)"},
		{"denied program", get("all.example", "/").by("/usr/bin/curl"), "deny curl"},
		{"other program", get("all.example", "/").by("/usr/bin/wget"), "allow all"},
		{"unknown program is denied", get("all.example", "/"), "deny curl"},
		{"denied ancestor", get("all.example", "/").by("/bin/sh", "/bin/sh", "/usr/bin/make"), "deny below-make"},
		{"unknown ancestor is denied", get("all.example", "/").by("/bin/sh", ""), "deny below-make"},
	})
}

func TestDecideSockets(t *testing.T) {
	runDecisions(t, `
allow "agent" {
  protocol = "unix"
  paths    = ["/tmp/ssh-*/agent.*", "/run/open/**", "@/tmp/.X11-unix/*"]
}
deny "secret" {
  protocol = "unix"
  paths    = ["/run/open/secret"]
}
allow "all hosts" { hosts = ["*"] }
deny "every protocol" { hosts = ["x.example"] }
`, []decisionCase{
		{"pattern", socket("/tmp/ssh-abc/agent.42"), "allow agent"},
		{"star is one segment", socket("/tmp/ssh-a/b/agent.42"), "deny (default)"},
		{"other", socket("/var/run/docker.sock"), "deny (default)"},
		{"below", socket("/run/open/a/b"), "allow agent"},
		{"denied", socket("/run/open/secret"), "deny secret"},
		{"denied with slashes", socket("/run//open///secret"), "deny secret"},
		{"denied with dots", socket("/run/open/x/../secret"), "deny secret"},
		{"dots that lead out", socket("/run/open/../docker.sock"), "deny (default)"},
		{"abstract", socket("@/tmp/.X11-unix/X0"), "allow agent"},
		{"path is not abstract", socket("/tmp/.X11-unix/X0"), "deny (default)"},
		{"abstract is not path", socket("@/run/open/x"), "deny (default)"},
		{"percent is text", socket("/run/open/%2e%2e"), "allow agent"},
		{"no name", socket(""), "deny (ambiguous-path)"},
		{"relative", socket("agent.sock"), "deny (ambiguous-path)"},
		{"NUL", socket("/run/open/\x00"), "deny (ambiguous-path)"},
		{"newline", socket("/run/open/\n"), "deny (ambiguous-path)"},
	})
}

func TestDecideWins(t *testing.T) {
	runDecisions(t, `
deny "first" { hosts = ["both.example"] }
allow "second" { hosts = ["both.example", "order.example"] }
allow "third" { hosts = ["*.example"] }
deny "fourth" { hosts = ["*.closed.example", "x.closed.example"] }
deny "fifth" { hosts = ["x.closed.example"] }
`, []decisionCase{
		{"deny before allow", get("both.example", "/"), "deny first"},
		{"first of two allows is named", get("order.example", "/"), "allow second"},
		{"only one", get("other.example", "/"), "allow third"},
		{"first of two denies is named", get("x.closed.example", "/"), "deny fourth"},
		{"none", get("example", "/"), "deny (default)"},
	})
}

func TestDecideLimit(t *testing.T) {
	p := mustParse(t, `
allow "read" {
  hosts   = ["a.example"]
  methods = ["GET", "HEAD", "OPTIONS"]
}
allow "write" {
  hosts             = ["a.example"]
  methods           = ["POST"]
  max_request_bytes = 1000
}
allow "large" {
  hosts             = ["a.example"]
  methods           = ["POST"]
  paths             = ["/large"]
  max_request_bytes = 5000
}
allow "open" {
  hosts   = ["a.example"]
  paths   = ["/open"]
}
allow "db" {
  protocol = "tcp"
  hosts    = ["a.example"]
  ports    = [5432]
}
`)
	tests := []struct {
		name string
		req  Request
		want Decision
	}{
		{"reading has no body", get("a.example", "/"), Decision{true, "read", "test.hcl:2", ReasonRule, 0}},
		{"as written", get("a.example", "/").method("POST"), Decision{true, "write", "test.hcl:6", ReasonRule, 1000}},
		{"larger of two", get("a.example", "/large").method("POST"), Decision{true, "large", "test.hcl:11", ReasonRule, 5000}},
		{"none beats all", get("a.example", "/open").method("POST"), Decision{true, "open", "test.hcl:17", ReasonRule, -1}},
		{"none beats reading", get("a.example", "/open"), Decision{true, "open", "test.hcl:17", ReasonRule, -1}},
		{"lesser of two methods", get("a.example", "/").method("POST", "GET"), Decision{true, "write", "test.hcl:6", ReasonRule, 0}},
		{"tcp has none", conn(TCP, "a.example", 5432), Decision{true, "db", "test.hcl:21", ReasonRule, -1}},
		{"denied", get("b.example", "/"), Decision{Reason: ReasonDefault}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, p.Decide(tt.req)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideByOperator(t *testing.T) {
	runDecisions(t, `
upstream {
  resolve = {
    "a.example"      = "127.0.0.1:8443"
    "b.example:8080" = "10.0.0.1"
    "localhost"      = "127.0.0.1"
  }
}
allow "all" {
  hosts = ["*"]
  ports = [443, 8080]
}
deny "loopback" { hosts = ["127.0.0.0/8"] }
`, []decisionCase{
		{"resolved host", get("a.example", "/"), "allow all"},
		{"resolved host, but another address", get("a.example", "/").addr("10.0.0.1"), "deny all (private-address)"},
		{"resolved host, operator's address", get("a.example", "/").addr("127.0.0.1").with(func(r *Request) { r.AddrByOperator = true }), "allow all"},
		{"resolved host and port", get("b.example", "/").port(8080), "allow all"},
		{"localhost by the operator", get("localhost", "/"), "allow all"},
		{"deny of the address itself", get("127.0.0.1", "/"), "deny loopback"},
		{"name that resolves to it", get("c.example", "/").addr("127.0.0.1"), "deny loopback"},
	})
}

func TestDenyAll(t *testing.T) {
	for _, r := range []Request{get("a.example", "/"), conn(TCP, "a.example", 1), conn(UDP, "127.0.0.1", 53), socket("/x")} {
		if diff := cmp.Diff(Decision{Reason: ReasonDefault}, DenyAll().Decide(r)); diff != "" {
			t.Errorf("decision on %+v (-want +got):\n%s", r, diff)
		}
	}
}
