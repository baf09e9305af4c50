package policies

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadings(t *testing.T) {
	tests := []struct {
		path string
		want []string
	}{
		{"", []string{"/"}},
		{"/", []string{"/"}},
		{"/a/b.c", []string{"/a/b.c"}},
		{"/a/./b/../c", []string{"/a/c"}},
		{"/a/..", []string{"/"}},
		{"/..", []string{"/"}},
		{"/.", []string{"/"}},
		{"/a/.", []string{"/a/"}},
		{"/a/..b/...", []string{"/a/..b/..."}},
		{"/%7Euser", []string{"/~user"}},
		{"/%2e%2E/a", []string{"/a"}},
		{"/a%2fb", []string{"/a%2Fb", "/a/b"}},
		{"/a/..%2fb", []string{"/a/..%2Fb", "/b"}},
		{"/100%25", []string{"/100%25"}},
		{"/a%2541", []string{"/a%2541", "/aA"}},
		{"/a%252fb", []string{"/a%252fb", "/a%2Fb", "/a/b"}},
		{`/a\b`, []string{`/a\b`, "/a/b"}},
		{"/a//b", []string{"/a//b", "/a/b"}},
		{"/a//../b", []string{"/a/b", "/b"}},
		{"/a/b%3fc", []string{"/a/b?c", "/a/b"}},
		{"/b%23/../a/c", []string{"/a/c", "/b"}},
		{"/b%253f/../a/c", []string{"/a/c", "/b"}},
		{"/a;x=1/b", []string{"/a;x=1/b", "/a/b"}},
		{"/a/..;/b", []string{"/a/..;/b", "/b"}},
		{"/%c0%ae./b", []string{"/\xc0\xae./b", "/b"}},
		{"/%ef%bc%8fb", []string{"/／b", "//b", "/b"}},
		{"/%E4%BD%A0", []string{"/你"}},
		{"/caf\u00e9", []string{"/café"}},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			got, err := readings(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > 0 && got[0] != tt.want[0] {
				t.Errorf("normal form: got %q, want %q", got[0], tt.want[0])
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("readings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGlobs(t *testing.T) {
	tests := []struct {
		pattern    string
		yes, no    []string
		badPattern bool
	}{
		{pattern: "/", yes: []string{"/"}, no: []string{"", "/a", "//"}},
		{pattern: "/a", yes: []string{"/a"}, no: []string{"/a/", "/ab", "/A"}},
		{pattern: "/a/*", yes: []string{"/a/", "/a/b"}, no: []string{"/a", "/a/b/", "/a/b/c"}},
		{pattern: "/*/c", yes: []string{"/a/c", "//c"}, no: []string{"/c", "/a/b/c"}},
		{pattern: "/a*c", yes: []string{"/ac", "/abc", "/abcc", "/acbc"}, no: []string{"/a/c", "/abcd"}},
		{pattern: "/a*b*c", yes: []string{"/abc", "/axbxc", "/abbbc"}, no: []string{"/acb", "/ab/c"}},
		{pattern: "/**", yes: []string{"/", "/a", "/a/b/"}, no: []string{""}},
		{pattern: "/a/**", yes: []string{"/a/", "/a/b", "/a/b/c"}, no: []string{"/a", "/b/a/c"}},
		{pattern: "/a**", yes: []string{"/a", "/ab/c"}, no: []string{"/b"}},
		{pattern: "/**/c", yes: []string{"/c", "/a/c", "/a/b/c"}, no: []string{"/ac", "/c/d", "/a/bc"}},
		{pattern: "/a/**/c/**", yes: []string{"/a/c/", "/a/b/c/d"}, no: []string{"/a/c", "/a/bc/d"}},
		{pattern: "/a/**/**/c", yes: []string{"/a/c", "/a/b/c", "/a/b/b/c"}, no: []string{"/a/bc", "/ac"}},
		{pattern: "/***", yes: []string{"/", "/a/b"}, no: []string{""}},
		{pattern: "/**.js", yes: []string{"/a.js", "/a/b.js"}, no: []string{"/a.jsx"}},
		{pattern: "/[a]?", badPattern: true},
		{pattern: "/[a]", yes: []string{"/[a]"}, no: []string{"/a"}},
		{pattern: "/%2a%2A", yes: []string{"/**"}, no: []string{"/a"}},
		{pattern: "/a%2fb", yes: []string{"/a%2Fb"}, no: []string{"/a/b", "/a%2fb"}},
		{pattern: "/%61%25", yes: []string{"/a%25"}, no: []string{"/a%"}},
		{pattern: "/" + strings.Repeat("a", 1001), badPattern: true},
		{pattern: "/" + strings.Repeat("*a", 200), yes: []string{"/" + strings.Repeat("a", 300)}, no: []string{"/" + strings.Repeat("a", 100)}},
	}
	for _, tt := range tests {
		t.Run(tt.pattern[:min(len(tt.pattern), 20)], func(t *testing.T) {
			g, err := parsePathGlob(tt.pattern)
			if (err != nil) != tt.badPattern {
				t.Fatalf("parse: %v", err)
			}
			for _, text := range tt.yes {
				if !g.match(text) {
					t.Errorf("%q does not match", text)
				}
			}
			for _, text := range tt.no {
				if g.match(text) {
					t.Errorf("%q matches", text)
				}
			}
		})
	}
}

// FuzzReadings checks what must hold of every path: readings are stable under
// another reading, an allow of the readings' own patterns allows, and what is
// allowed is allowed in its normal form too.
func FuzzReadings(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/../b", "/%2e%2e/a", "/a%2fb", "/a%252fb", `/a\..\b`, "/a;x/..;/b", "//a", "/%c0%af", "/%ef%bc%8f", "/%", "/%00", "/100%25",
		"/a%25%32%66b", "/%25252525", "/*", "/a%2ab", "/a//../b;c//..", "/\xc0\xae\xc0\xae/x",
	} {
		f.Add(seed, "/a/**")
	}
	f.Fuzz(func(t *testing.T, path, pattern string) {
		all, err := readings(path)
		if err != nil {
			return
		}
		for _, reading := range all {
			if reading[0] != '/' || hasControl(reading) || removeDots(reading) != reading {
				t.Fatalf("reading %q of %q is not normal", reading, path)
			}
			own, err := parsePathGlob(escapePath(reading))
			if err == nil && !own.match(reading) {
				t.Fatalf("reading %q does not match its own pattern %q", reading, escapePath(reading))
			}
		}
		normal := escapePath(all[0])
		again, err := readings(normal)
		if err != nil {
			t.Fatalf("normal form %q of %q can't be read", normal, path)
		}
		if again[0] != all[0] {
			t.Fatalf("normal form of %q is %q, and of that %q", path, all[0], again[0])
		}
		for _, reading := range again {
			if !slices.Contains(all, reading) {
				t.Fatalf("%q has the reading %q only in its normal form %q", path, reading, normal)
			}
		}
		g, err := parsePathGlob(pattern)
		if err != nil {
			return
		}
		allow, deny := rule{paths: []glob{g}}, rule{deny: true, paths: []glob{g}}
		if allow.matchesPath(all) && (!allow.matchesPath(again) || !deny.matchesPath(all)) {
			t.Fatalf("%q allows %q but not its normal form %q", pattern, path, normal)
		}
	})
}
