package tlsproxy

import (
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	trust, _ := trustIn(t, newAuthority(t))
	java := slices.IndexFunc(trust.Env, func(kv string) bool { return strings.HasPrefix(kv, javaOptions+"=") })
	own := strings.TrimPrefix(trust.Env[java], javaOptions+"=")
	tests := []struct {
		name    string
		env     []string
		add     int    // how many
		has     string // one of them
		instead int
	}{
		{"nothing is missing", trust.Env, 0, "", -1},
		{"everything is", nil, len(trust.Env), trust.Env[java], -1},
		{"one is", slices.Delete(slices.Clone(trust.Env), java, java+1), 1, trust.Env[java], -1},
		{"one is set to nothing", replaced(trust.Env, java, javaOptions+"="), 0, "", -1},
		{"one is another", replaced(trust.Env, java, javaOptions+"=-Xmx1m"), 1, javaOptions + "=-Xmx1m " + own, java},
		{"a store of one's own", replaced(trust.Env, java, javaOptions+"="+javaTrustStore+"x"), 0, "", -1},
		{"no value", append([]string{"PATH"}, trust.Env...), 0, "", -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			add, instead := trust.Complete(test.env)
			if len(add) != test.add || instead != test.instead {
				t.Errorf("got %q, in place of %d", add, instead)
			}
			if test.has != "" && !slices.Contains(add, test.has) {
				t.Errorf("%q lacks %q", add, test.has)
			}
		})
	}
}

// replaced returns a copy of a list with one entry replaced.
func replaced(list []string, at int, by string) []string {
	list = slices.Clone(list)
	list[at] = by
	return list
}

func TestForeignJavaOptionsStay(t *testing.T) {
	trust, _ := trustIn(t, newAuthority(t), javaOptions+"="+javaTrustStore+"/nonexistent")
	add, instead := trust.Complete(append([]string{javaOptions + "=-Xmx1m"}, trust.Env...))
	if len(add) != 0 || instead != -1 {
		t.Errorf("got %q, in place of %d", add, instead)
	}
}
