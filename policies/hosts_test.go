package policies

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonicalHost(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	tests := []struct {
		name, host, want string
	}{
		{"plain", "api.github.com", "api.github.com"},
		{"upper case", "API.GitHub.com", "api.github.com"},
		{"trailing dot", "example.com.", "example.com"},
		{"single label", "localhost", "localhost"},
		{"underscore", "_dmarc.Example.com", "_dmarc.example.com"},
		{"hyphens", "r3---sn-x.Example.com", "r3---sn-x.example.com"},
		{"leading hyphen", "-a.example", "-a.example"},
		{"digits first", "1password.com", "1password.com"},
		{"digits in the middle", "a.127.0.0.1.nip.io", "a.127.0.0.1.nip.io"},
		{"longest label", label63 + ".example", label63 + ".example"},
		{"unicode", "Bücher.example", "xn--bcher-kva.example"},
		{"sharp s", "straße.example", "xn--strae-oqa.example"},
		{"A-label", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"unicode with underscore", "_x.bücher.example", "_x.xn--bcher-kva.example"},
		{"ideographic dot", "a。example。", "a.example"},
		{"full-width letters", "ｅｘａｍｐｌｅ.com", "example.com"},
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv4 with a dot", "192.0.2.1.", "192.0.2.1"},
		{"IPv6", "2001:DB8:0::1", "2001:db8::1"},
		{"IPv6 in brackets", "[2001:db8::1]", "2001:db8::1"},
		{"mapped", "::ffff:192.0.2.1", "192.0.2.1"},
		{"mapped in hexadecimal", "[::FFFF:c000:201]", "192.0.2.1"},
		{"NAT64 stays", "64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CanonicalHost(tt.host)
			if err != nil || got != tt.want {
				t.Errorf("CanonicalHost(%q) = %q, %v; want %q", tt.host, got, err, tt.want)
			}
		})
	}
}

func TestCanonicalHostRefuses(t *testing.T) {
	hosts := []string{
		"", ".", "..", "a..b", ".a", "a..", "a b", "a/b", "a\\b", "a@b", "a:80", "a?b", "a#b", "a%41", "a*b", "*", "a,b", "a\x00b", "a\n",
		"a\x7f", "a\u200bb.example\u0000", "\xff.example", "a\ufffd.example",
		"127.1", "127.0.1", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "017700000001", "0177.0.0.1", "2130706433", "127.0.0.01", "256.0.0.1",
		"1.2.3.4.5", "1.2.3", "0", "0x", "example.0x1", "example.123", "１２７.0.0.1", "127。0。0。1", "127.0.0.1..",
		"[127.0.0.1]", "[::1", "::1]", "[::1]:443", "::1%lo", "[fe80::1%25eth0]", "1::2::3", ":::", ":", "[]", "[a]",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "aa", "xn--.example", "xn--a-.example", "xn--\u00fc.example",
		"http://a.example", "a.example/",
	}
	for _, host := range hosts {
		if got, err := CanonicalHost(host); err == nil {
			t.Errorf("CanonicalHost(%q) = %q; want an error", host, got)
		}
	}
}

func TestParseHostPattern(t *testing.T) {
	tests := []struct {
		text    string
		kind    hostKind
		wantErr bool
	}{
		{"*", hostAny, false},
		{"a.example", hostExact, false},
		{"*.a.example", hostBelow, false},
		{"*.com", hostBelow, false},
		{"LOCALHOST.", hostLocalhost, false},
		{"10.0.0.1", hostAddr, false},
		{"10.0.0.1/32", hostAddr, false},
		{"::1/128", hostAddr, false},
		{"10.0.0.0/8", hostNet, false},
		{"0.0.0.0/0", hostNet, false},
		{"fd00::/8", hostNet, false},
		{"[::1]", hostAddr, false},
		{"10.0.0.1/8", 0, true},
		{"::ffff:10.0.0.0/104", 0, true},
		{"a/8", 0, true},
		{"*.*.example", 0, true},
		{"*a.example", 0, true},
		{"a.*", 0, true},
		{"*.", 0, true},
		{"*.10.0.0.1", 0, true},
		{"a:443", 0, true},
		{"", 0, true},
	}
	for _, tt := range tests {
		got, err := parseHostPattern(tt.text)
		if (err != nil) != tt.wantErr {
			t.Errorf("parseHostPattern(%q): %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.kind, got.kind); diff != "" {
			t.Errorf("parseHostPattern(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, seed := range []string{
		"api.github.com", "A.B.", "bücher.example", "xn--bcher-kva.example", "127.1", "0x7f.1", "[::1]", "::ffff:1.2.3.4", "fe80::1%lo",
		"a。b", "_x-.y", "１.2.3.4", "xn--", "ß.example", "\u0130.example", "a\u00adb.example", "xn--a.xn--b", "1.2.3.4.",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		got, err := CanonicalHost(host)
		if err != nil {
			return
		}
		again, err := CanonicalHost(got)
		if err != nil || again != got {
			t.Fatalf("CanonicalHost(%q) = %q, and of that %q, %v", host, got, again, err)
		}
		if got != strings.ToLower(got) || strings.HasSuffix(got, ".") || !isASCII(got) || strings.ContainsAny(got, "[]%/ ") {
			t.Fatalf("CanonicalHost(%q) = %q, which is not canonical", host, got)
		}
		for _, spelling := range []string{strings.ToUpper(got), got + "."} {
			if strings.Contains(got, ":") {
				spelling = "[" + got + "]"
			}
			if other, err := CanonicalHost(spelling); err != nil || other != got {
				t.Fatalf("CanonicalHost(%q) = %q, %v; want %q", spelling, other, err, got)
			}
		}
	})
}
