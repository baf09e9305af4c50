package policies

import (
	"fmt"
	"strings"
	"testing"
)

// largePolicy has a rule for each of n hosts, and some for all of them.
func largePolicy(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "allow \"rule %d\" {\n  hosts = [\"h%d.example\", \"*.d%d.example\"]\n  paths = [\"/repos/**\", \"/users/*/keys\"]\n}\n", i, i, i)
	}
	b.WriteString("deny \"gists\" {\n  hosts = [\"*\"]\n  paths = [\"/gists/**\"]\n}\n")
	return b.String()
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 5_000} {
		p := mustParse(b, largePolicy(n))
		for _, c := range []struct {
			name string
			req  Request
		}{
			{"exact", get("h7.example", "/repos/a/b/pulls/1")},
			{"below", get("x.y.d7.example", "/users/me/keys")},
			{"default", get("other.example", "/")},
			{"encoded", get("h7.example", "/repos/a%2fb//c;d/../e")},
		} {
			b.Run(fmt.Sprintf("%d rules/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.Decide(c.req)
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	src := []byte(everything)
	b.ReportAllocs()
	for b.Loop() {
		if _, diags := Parse(testOptions(), "policy.hcl", src); diags.HasErrors() {
			b.Fatal(diags)
		}
	}
}
