package policies

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const everything = `
require = ["landlock-net"]

locals {
  read  = ["GET", "HEAD"]
  hosts = concat(local.more, ["a.example"])
  more  = [for n in ["b", "c"] : "${n}.example"]
}

allow "read" {
  hosts   = local.hosts
  methods = local.read
  paths   = [format("/%s/**", lower("REPOS"))]
}

allow "env" {
  hosts = [env.HOST]
}

upstream {
  ca_file = "roots.pem"
  resolve = {
    "a.example"     = "127.0.0.1:8443"
    "B.example:443" = "[::1]:9443"
    "c.example"     = "192.0.2.1"
    "[::2]:80"      = "::3"
  }
}

upstream {
  ca_file = "/etc/ssl/corporate.pem"
  resolve = merge({ for n in ["e", "f"] : "${n}.example" => "192.0.2.9:1" }, { (env["HOST"]) = "192.0.2.8" })
}

listen {
  public = [3000, 3001, 3000]
}

deny "local" {
  hosts = ["localhost"]
}
`

func TestParseEverything(t *testing.T) {
	p, diags := Parse(testOptions(), "dir/policy.hcl", []byte(everything))
	if diags.HasErrors() || diags.Err() != nil {
		t.Fatal(diags)
	}
	rules := []Rule{
		{"read", "dir/policy.hcl:10", "allow"},
		{"env", "dir/policy.hcl:16", "allow"},
		{"local", "dir/policy.hcl:39", "deny"},
	}
	if diff := cmp.Diff(rules, p.Rules()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"dir/roots.pem", "/etc/ssl/corporate.pem"}, p.CAFiles()); diff != "" {
		t.Errorf("CA files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"landlock-net"}, p.Required()); diff != "" {
		t.Errorf("required (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint16{3000, 3001}, p.PublicPorts()); diff != "" {
		t.Errorf("public ports (-want +got):\n%s", diff)
	}
	for _, tt := range []decisionCase{
		{"", get("b.example", "/repos/x"), "allow read"},
		{"", get("a.example", "/repos/x").method("HEAD"), "allow read"},
		{"", get("c.example", "/other"), "deny (default)"},
		{"", get("env.example", "/other"), "allow env"},
	} {
		if got := short(p.Decide(tt.req)); got != tt.want {
			t.Errorf("decision on %s%s: got %q, want %q", tt.req.Host, tt.req.Path, got, tt.want)
		}
	}
}

func TestResolve(t *testing.T) {
	p, diags := Parse(testOptions(), "policy.hcl", []byte(everything))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	tests := []struct {
		host string
		port uint16
		want string // empty: not resolved
		name bool
	}{
		{"a.example", 443, "127.0.0.1:8443", true},
		{"A.Example.", 1, "127.0.0.1:8443", true},
		{"b.example", 443, "[::1]:9443", true},
		{"b.example", 80, "", true},
		{"c.example", 80, "192.0.2.1:80", true},
		{"::2", 80, "[::3]:80", true},
		{"::2", 443, "", true},
		{"d.example", 443, "", false},
		{"f.example", 443, "192.0.2.9:1", true},
		{"env.example", 443, "192.0.2.8:443", true},
		{"x.a.example", 443, "", false},
		{"a..example", 443, "", false},
	}
	for _, tt := range tests {
		got, ok := p.Resolve(tt.host, tt.port)
		want := netip.AddrPort{}
		if tt.want != "" {
			want = netip.MustParseAddrPort(tt.want)
		}
		if got != want || ok != (tt.want != "") {
			t.Errorf("Resolve(%q, %d) = %v, %v; want %v", tt.host, tt.port, got, ok, want)
		}
		if got := p.ResolvesName(tt.host); got != tt.name {
			t.Errorf("ResolvesName(%q) = %v", tt.host, got)
		}
	}
}

func TestParseJSON(t *testing.T) {
	p, diags := Parse(testOptions(), "policy.json", []byte(`{
  "//": "a comment",
  "locals": {"read": ["GET"]},
  "allow": {
    "a": {"hosts": ["a.example"], "methods": "${local.read}", "ports": [443, "8000-8999"]},
    "b": {"hosts": ["${env.HOST}"], "private": true}
  },
  "deny": {"c": {"hosts": ["a.example"], "paths": ["/no/**"]}}
}`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, tt := range []decisionCase{
		{"", get("a.example", "/").port(8123), "allow a"},
		{"", get("a.example", "/no/x"), "deny c"},
		{"", get("a.example", "/").method("POST"), "deny (default)"},
		{"", get("env.example", "/").addr("10.0.0.1"), "allow b"},
	} {
		if got := short(p.Decide(tt.req)); got != tt.want {
			t.Errorf("decision on %s%s: got %q, want %q", tt.req.Host, tt.req.Path, got, tt.want)
		}
	}
	if got := p.Decide(get("a.example", "/")).RuleAt; got != "policy.json:5" {
		t.Errorf("place: got %q", got)
	}
}

func TestCompileSeveral(t *testing.T) {
	dir := t.TempDir()
	write := func(name, src string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("one.hcl", "locals {\n  h = [\"a.example\"]\n}\nallow \"a\" {\n  hosts = local.h\n}\n")
	two := write("two.hcl", "locals {\n  h = [\"b.example\"]\n}\ndeny \"b\" {\n  hosts = local.h\n}\nallow \"all\" {\n  hosts = [\"*.example\"]\n}\n")
	spec, err := ParseSpec("POST up.test/in")
	if err != nil {
		t.Fatal(err)
	}
	p, diags := Compile(Options{}, File(one), File(two), File(one), spec, spec)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := []Rule{{"a", one + ":4", "allow"}, {"b", two + ":4", "deny"}, {"all", two + ":7", "allow"}, {"POST up.test/in", "--allow:1", "allow"}}
	if diff := cmp.Diff(want, p.Rules()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if got := short(p.Decide(get("b.example", "/"))); got != "deny b" {
		t.Errorf("decision: %q", got)
	}

	three := write("three.hcl", "allow \"a\" {\n  hosts = [\"c.example\"]\n  bogus = 1\n}\n")
	missing := filepath.Join(dir, "missing.hcl")
	p, diags = Load(Options{}, three, missing, one, dir)
	if p != nil {
		t.Fatal("load: got a policy in spite of errors")
	}
	text := diags.Error()
	for _, want := range []string{
		"Unreadable policy: " + missing + ": open policy: ", "no such file or directory", "Unreadable policy: " + dir + ": read policy: ", "is a directory",
		three + `:3: Unsupported argument: An argument named "bogus"`,
		one + ":4: Duplicate rule name: There is a rule \"a\" at " + three + ":1 already. Give this one, at " + one + ":4,",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("errors lack %q:\n%s", want, text)
		}
	}
}

func TestCompileRefusesSources(t *testing.T) {
	tests := []struct {
		name    string
		sources []Source
		want    string
	}{
		{"too large", []Source{Text("a.hcl", bytes.Repeat([]byte("#"), maxSourceBytes+1))}, "at most 1048576 bytes"},
		{"too deep", []Source{Text("a.hcl", []byte("require = "+strings.Repeat("[", 1000)))}, "nest deeper than 200"},
		{"too many operators", []Source{Text("a.hcl", []byte("locals {\n  x = "+strings.Repeat("!", smallSourceBytes)+"true\n}"))}, "at most 10000 operators"},
		{"too many pieces", []Source{Text("a.hcl", []byte("locals {\n  x = \""+strings.Repeat("%", smallSourceBytes)+"\"\n}"))}, "at most 10000 operators"},
		{"operators as escapes of JSON", []Source{Text("a.json", []byte(`{"locals": {"x": "${`+strings.Repeat(`\u0021`, 20000)+`true}"}}`))}, "at most 10000 operators"},
		{"not UTF-8", []Source{Text("a.hcl", []byte("require = [\"\xff\"]"))}, "Invalid character encoding"},
		{"one name for two texts", []Source{Text("a.hcl", nil), Text("a.hcl", []byte("deny \"x\" {}"))}, "Duplicate policy"},
		{"a file and a text of one name", []Source{Text("a.hcl", nil), File("a.hcl")}, "Duplicate policy"},
		{"JSON that is none", []Source{Text("a.json", []byte("allow {}"))}, "a.json:1: "},
		{"JSON of another kind", []Source{Text("a.json", []byte("[]"))}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, diags := Compile(Options{}, tt.sources...)
			if tt.want == "" {
				return
			}
			if p != nil || !strings.Contains(diags.Error(), tt.want) {
				t.Errorf("got policy %v and %q; want an error with %q", p, diags.Error(), tt.want)
			}
		})
	}
	if _, diags := Compile(Options{}); diags.HasErrors() {
		t.Errorf("no source: %v", diags)
	}
}

func TestEmptyEnvironment(t *testing.T) {
	_, diags := Parse(Options{}, "a.hcl", []byte("allow \"x\" {\n  hosts = [env.HOST]\n}"))
	if want := `a.hcl:2: Missing environment variable: "HOST" is not set in the environment that boundary was started in. Set it, or write the value here.`; diags.Error() != want {
		t.Errorf("got %q", diags.Error())
	}
}

func TestConflictWarning(t *testing.T) {
	p, diags := Parse(Options{}, "a.hcl", []byte(`
allow "ssh" {
  protocol = "tcp"
  hosts    = ["git.example"]
  ports    = [22]
}
allow "apart" {
  protocol = "tcp"
  hosts    = ["10.0.0.0/8", "other.example"]
  ports    = [22]
}
deny "admin" {
  hosts = ["*.example", "192.0.2.1"]
  paths = ["/admin"]
}
`))
	if p == nil || diags.HasErrors() {
		t.Fatalf("parse: %v", diags)
	}
	var text bytes.Buffer
	if err := diags.Render(&text, false, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Warning: Conflicting rules", `on a.hcl line 2`, `on a.hcl line 7`, `The rule "admin" at a.hcl:12 denies HTTP requests`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("warnings lack %q:\n%s", want, text.String())
		}
	}
	if diags.Len() != 2 {
		t.Errorf("got %d diagnostics:\n%s", diags.Len(), text.String())
	}
}

func TestRenderColor(t *testing.T) {
	_, diags := Parse(Options{}, "a.hcl", []byte("alow \"x\" {}\n"))
	var text bytes.Buffer
	if err := diags.Render(&text, true, 60); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "\x1b[31mError\x1b[0m: Unsupported block type") || strings.Contains(text.String(), "^") {
		t.Errorf("got %q", text.String())
	}
	var none *Diagnostics
	if none.HasErrors() || none.Len() != 0 || none.Err() != nil || none.Render(&text, true, 0) != nil {
		t.Error("nil diagnostics are not empty")
	}
}
