package policies

import "testing"

const routesPolicy = `
allow "web" { hosts = ["a.example", "*.b.example", "192.0.2.1"] }
allow "odd" {
  hosts = ["a.example"]
  ports = ["8000-8999"]
}
allow "db" {
  protocol = "tcp"
  hosts    = ["db.example"]
  ports    = [5432]
}
deny "paths" {
  hosts = ["db.example"]
  paths = ["/x"]
}
deny "port" {
  protocol = "http"
  hosts    = ["named.example"]
  ports    = [9000]
}
deny "blanket" { hosts = ["evil.b.example", "*.evil.b.example"] }
deny "some" {
  hosts   = ["curl.b.example"]
  process = ["curl"]
}
allow "loop" {
  hosts   = ["localhost"]
  private = true
}
`

func TestNamesProxied(t *testing.T) {
	p := mustParse(t, routesPolicy)
	tests := []struct {
		host string
		port uint16
		want bool
	}{
		{"a.example", 443, true},
		{"A.example.", 80, true},
		{"a.example", 8500, true},
		{"a.example", 22, false},
		{"x.b.example", 443, true},
		{"b.example", 443, false},
		{"192.0.2.1", 443, true},
		{"192.0.2.2", 443, false},
		{"db.example", 5432, false},
		{"db.example", 443, false},
		{"named.example", 9000, true},
		{"named.example", 9001, false},
		{"127.0.0.1", 80, true},
		{"", 443, false},
	}
	for _, tt := range tests {
		if got := p.NamesProxied(tt.host, tt.port); got != tt.want {
			t.Errorf("NamesProxied(%q, %d) = %v", tt.host, tt.port, got)
		}
	}
	if DenyAll().NamesProxied("a.example", 443) {
		t.Error("a policy without rules names a host")
	}
}

func TestMayLookUp(t *testing.T) {
	p := mustParse(t, routesPolicy)
	tests := []struct {
		name string
		want bool
	}{
		{"a.example", true},
		{"A.EXAMPLE.", true},
		{"x.y.b.example", true},
		{"b.example", false},
		{"db.example", true},
		{"named.example", false},
		{"other.example", false},
		{"secret.a.example", false},
		{"evil.b.example", false},
		{"secret.evil.b.example", false},
		{"curl.b.example", true},
		{"192.0.2.1", false},
		{"localhost", false},
		{"x.localhost", false},
		{"a..example", false},
		{"", false},
	}
	for _, tt := range tests {
		if got := p.MayLookUp(tt.name); got != tt.want {
			t.Errorf("MayLookUp(%q) = %v", tt.name, got)
		}
	}
	any := mustParse(t, `allow "all" { hosts = ["*"] }`)
	if !any.MayLookUp("x.example") || any.MayLookUp("localhost") || any.MayLookUp("10.0.0.1") {
		t.Error("a rule for every host: names are looked up, addresses and localhost are not")
	}
	if DenyAll().MayLookUp("a.example") {
		t.Error("a policy without rules looks a name up")
	}
}
