package policies

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseSpec(t *testing.T) {
	tests := []struct {
		spec    string
		yes, no []Request
	}{
		{"api.github.com", []Request{get("api.github.com", "/x"), get("api.github.com", "/").port(80)},
			[]Request{get("github.com", "/"), get("api.github.com", "/").port(8080), conn(TCP, "api.github.com", 443)}},
		{"GET,HEAD api.github.com/repos/**", []Request{get("api.github.com", "/repos/x"), get("api.github.com", "/repos/x").method("HEAD")},
			[]Request{get("api.github.com", "/gists"), get("api.github.com", "/repos/x").method("POST")}},
		{"https://a.example", []Request{get("a.example", "/x")}, []Request{get("a.example", "/x").port(80)}},
		{"http://a.example/in", []Request{get("a.example", "/in").port(80)}, []Request{get("a.example", "/in"), get("a.example", "/").port(80)}},
		{"https://a.example:8443/*", []Request{get("a.example", "/x").port(8443)}, []Request{get("a.example", "/x")}},
		{"a.example/", []Request{get("a.example", "/")}, []Request{get("a.example", "/x")}},
		{"a.example:8000-8002", []Request{get("a.example", "/").port(8001)}, []Request{get("a.example", "/").port(8003)}},
		{"  POST\ta.example  ", []Request{get("a.example", "/").method("POST")}, []Request{get("a.example", "/")}},
		{"*", []Request{get("any.example", "/")}, []Request{get("10.0.0.1", "/")}},
		{"*.example", []Request{get("a.example", "/")}, []Request{get("example", "/"), get("a.example", "/").addr("10.0.0.1")}},
		{"http a.example", []Request{get("a.example", "/")}, nil},
		{"tcp db.example:5432", []Request{conn(TCP, "db.example", 5432)}, []Request{conn(UDP, "db.example", 5432), get("db.example", "/").port(5432)}},
		{"udp time.example:123", []Request{conn(UDP, "time.example", 123)}, []Request{conn(TCP, "time.example", 123)}},
		{"tls pinned.example", []Request{conn(TLS, "pinned.example", 443)}, []Request{conn(TLS, "pinned.example", 8443), conn(TCP, "pinned.example", 443), get("pinned.example", "/")}},
		{"tls pinned.example:8443", []Request{conn(TLS, "pinned.example", 8443)}, []Request{conn(TLS, "pinned.example", 443)}},
		{"tcp [2001:db8::1]:22", []Request{conn(TCP, "2001:db8::1", 22)}, nil},
		{"[2001:db8::1]", []Request{get("2001:db8::1", "/")}, nil},
		{"2001:db8::1", []Request{get("2001:db8::1", "/")}, nil},
		{"[2001:db8::1]:8080/x", []Request{get("2001:db8::1", "/x").port(8080)}, nil},
		{"localhost:3000", []Request{get("localhost", "/").port(3000), get("127.0.0.1", "/").port(3000)}, []Request{get("localhost", "/")}},
		{"127.0.0.1:3000", []Request{get("127.0.0.1", "/").port(3000)}, []Request{get("127.0.0.2", "/").port(3000)}},
		{"10.0.0.0/8", []Request{get("10.1.2.3", "/")}, []Request{get("11.1.2.3", "/")}},
		{"unix /run/x.sock", []Request{socket("/run/x.sock")}, []Request{socket("/run/y.sock")}},
		{"unix @name", []Request{socket("@name")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			source, err := ParseSpec(tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			p, diags := Compile(Options{}, source)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			for _, r := range tt.yes {
				if d := p.Decide(r); !d.Allowed || d.Rule != strings.Join(strings.Fields(tt.spec), " ") || d.RuleAt != "--allow:1" {
					t.Errorf("decision on %+v: %+v", r, d)
				}
			}
			for _, r := range tt.no {
				if d := p.Decide(r); d.Allowed {
					t.Errorf("decision on %+v: %+v", r, d)
				}
			}
		})
	}
}

func TestParseSpecRefuses(t *testing.T) {
	tests := []struct {
		spec, want string
	}{
		{"", "it is empty"},
		{"   ", "it is empty"},
		{"GET a.example b.example", "more than methods and a target"},
		{"GET, HEAD a.example", "more than methods"},
		{"get a.example", "A protocol is one of"},
		{"Get a.example", "upper case"},
		{"GET,,HEAD a.example", "A method is a word"},
		{"ftp://a.example", `the scheme "ftp" is not known`},
		{"tcp https://a.example", `the scheme "https" is not known`},
		{"tcp a.example", "says which ports"},
		{"tcp a.example:22/x", "\"paths\" is for rules of protocol"},
		{"a.example:", "a port follows the colon"},
		{"a.example:http", "A port is a number"},
		{"a.example:0", "A port is a number"},
		{"user@a.example", "no user name"},
		{"a.example/x?y=1", "The query is not part"},
		{"a..example", "A label is empty"},
		{"unix run/x", "begins with"},
		{"a.example/\x00", "control characters"},
		{"a.example/\nallow", "control characters"},
	}
	for _, tt := range tests {
		_, err := ParseSpec(tt.spec)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseSpec(%q): got %v, want %q", tt.spec, err, tt.want)
		}
	}
}

func TestSpecDiagnostics(t *testing.T) {
	one, err := ParseSpec("a.example")
	if err != nil {
		t.Fatal(err)
	}
	two, err := ParseSpec("GET b.example/x")
	if err != nil {
		t.Fatal(err)
	}
	_, diags := Compile(Options{}, one, two, Text("p.hcl", []byte("allow \"GET b.example/x\" {\n  hosts = [\"c.example\"]\n}\n")))
	var text bytes.Buffer
	if err := diags.Render(&text, false, 0); err != nil {
		t.Fatal(err)
	}
	want := `Error: Duplicate rule name

  on --allow line 2:
   2: GET b.example/x
      ^^^^^^^^^^^^^^^

There is a rule "GET b.example/x" at p.hcl:1 already. Give this one, at --allow:2, another name: records show rules by it.

`
	if text.String() != want {
		t.Errorf("got:\n%s", text.String())
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{"a.example", "GET,POST https://a.example:8443/x/**", "tcp [::1]:22", "unix @x", "10.0.0.0/8", "a:b@c", "http://", "[", "x y z", "GET  :1/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		source, err := ParseSpec(text)
		if err != nil {
			return
		}
		p, diags := Compile(Options{}, source)
		if diags.HasErrors() || len(p.Rules()) != 1 {
			t.Fatalf("spec %q was read but gives %v", text, diags)
		}
	})
}
