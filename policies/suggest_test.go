package policies

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSuggest(t *testing.T) {
	const policy = `
allow "taken.example" { hosts = ["ok.example"] }
deny "no-gists" {
  hosts = ["api.example"]
  paths = ["/gists/**"]
}
`
	p := mustParse(t, policy)
	tests := []struct {
		name string
		req  Request
		want string
	}{
		{"allowed", get("ok.example", "/"), ""},
		{"http", get("a.example", "/x").method("POST"), `allow "a.example" {
  hosts   = ["a.example"]
  methods = ["POST"]
  paths   = ["/x"]
}`},
		{"every argument", get("10.0.0.1", `/a%2f"$%7bx}*`).method("POST", "PUT", "POST").port(8080), `allow "10.0.0.1" {
  hosts   = ["10.0.0.1"]
  ports   = [8080]
  methods = ["POST", "PUT"]
  paths   = ["/a%2F%22$%7bx%7d%2a", "/a/%22$%7bx%7d%2a"]
  private = true
}`},
		{"name in use", get("taken.example", "/"), `allow "taken.example 2" {
  hosts   = ["taken.example"]
  methods = ["GET"]
  paths   = ["/"]
}`},
		{"method in lower case", get("a.example", "/").method("get"), `allow "a.example" {
  hosts = ["a.example"]
  paths = ["/"]
}`},
		{"metadata", get("a.example", "/").addr("169.254.169.254"), `allow "a.example" {
  hosts   = ["a.example", "169.254.169.254"]
  methods = ["GET"]
  paths   = ["/"]
}`},
		{"asterisk form", get("a.example", "*").method("OPTIONS"), `allow "a.example" {
  hosts   = ["a.example"]
  methods = ["OPTIONS"]
}`},
		{"tcp", conn(TCP, "db.example", 5432), `allow "db.example:5432" {
  protocol = "tcp"
  hosts    = ["db.example"]
  ports    = [5432]
}`},
		{"udp to an address", conn(UDP, "::1", 53), `allow "[::1]:53" {
  protocol = "udp"
  hosts    = ["::1"]
  ports    = [53]
  private  = true
}`},
		{"unix", socket("/run/*${x}\"\\é/s"), `allow "socket" {
  protocol = "unix"
  paths    = ["/run/*$${x}\"\\*/s"]
}`},
		{"denied by a rule", get("api.example", "/gists/1"), `# The rule "no-gists" at test.hcl:3 denies this, and a deny always wins: narrow that rule.`},
		{"denied within", conn(TCP, "api.example", 443), `# The rule "no-gists" at test.hcl:3 denies this, and a deny always wins: narrow that rule.`},
		{"ambiguous", get("a.example", "/%00"), "# No rule can allow this: servers may differ about which path it is."},
		{"malformed", get("a..example", "/"), "# No rule can allow this: the request is malformed."},
		{"unusable address", get("0.0.0.0", "/"), "# No rule can allow this: the host has no address that can be connected to."},
		{"many readings", get("a.example", `/a;b\c%2fd//e`), "# The path is too long, or has too many readings, for a rule to spell out."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, p.Suggest(tt.req)); diff != "" {
				t.Errorf("suggestion (-want +got):\n%s", diff)
			}
			checkSuggestion(t, p, policy, tt.req)
		})
	}
}

// FuzzSuggest checks that no request breaks out of the text of a suggestion,
// and that the suggested rule allows it.
func FuzzSuggest(f *testing.F) {
	for _, path := range []string{"/", `/"`, "/${x}", "/%{x}", "/*", "/a%2fb", "/\xff", "/a//b", "/%25%7b"} {
		f.Add("a.example", path, "GET", false)
		f.Add("", path, "", true)
	}
	f.Add("a.example", "/", "*", false)
	f.Fuzz(func(t *testing.T, host, path, method string, unix bool) {
		req := Request{Protocol: HTTP, Host: host, Port: 443, Method: method, Path: path}
		if unix {
			req.Protocol = Unix
		}
		checkSuggestion(t, DenyAll(), "", req)
	})
}
