package audit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQueryNames(t *testing.T) {
	tests := []struct {
		raw  string
		want []string
	}{
		{"", nil},
		{"&&=x&", nil},
		{"a=1&b=2&a=3", []string{"a", "b"}},
		{"a;b=x=y", []string{"a", "b"}},
		{"%61=1&a=2&%zz=3", []string{"a", "%zz"}},
		{"token=ghp_0123456789abcdefghij", []string{"token"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, QueryNames(test.raw)); diff != "" {
			t.Errorf("names of %q (-want +got):\n%s", test.raw, diff)
		}
	}
	var many strings.Builder
	for range 1000 {
		many.WriteString("&" + NewID())
	}
	if n := len(QueryNames(many.String())); n != maxList+1 {
		t.Errorf("%d names of many, want %d", n, maxList+1)
	}
}

func TestMaskNames(t *testing.T) {
	names := []string{"a", "ghp_0123456789abcdefghij"}
	if diff := cmp.Diff([]string{"a", "ghp_***"}, maskNames(names)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if names[1] == "ghp_***" {
		t.Error("the names themselves were changed")
	}
}
