package audit

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestDenialLine(t *testing.T) {
	curl := &Process{PID: 123, Exe: "/usr/bin/curl"}
	tests := []struct {
		name string
		r    Record
		want string
	}{
		{"request by default",
			Record{Event: RequestEvent, Decision: Deny, Reason: "default", Protocol: "https", Method: "POST", Host: "attacker-logger.com", Port: 443, Path: "/", Process: curl, ID: "k3m9x2ab"},
			`denied POST https://attacker-logger.com/ (curl, pid 123) by default [k3m9x2ab]`},
		{"request by a rule",
			Record{Event: RequestEvent, Decision: Deny, Rule: "no-upload", RuleAt: "policy.hcl:12", Reason: "rule", Protocol: "http", Method: "GET", Host: "h", Port: 8080, Path: "/a", Process: curl},
			`denied GET http://h:8080/a (curl, pid 123) by rule "no-upload" at policy.hcl:12`},
		{"allowed by a rule, refused for another reason",
			Record{Event: RequestEvent, Decision: Deny, Rule: "r", Reason: "private-address", Protocol: "https", Method: "GET", Host: "2001:db8::1", Port: 443},
			`denied GET https://[2001:db8::1]/ by rule "r": private-address`},
		{"no rule but a reason",
			Record{Event: RequestEvent, Decision: Deny, Reason: "host-mismatch", Method: "GET", Host: "h", Port: 80, Process: &Process{PID: 7}},
			`denied GET http://h/ (pid 7): host-mismatch`},
		{"monitor mode",
			Record{Event: Connect, Decision: WouldDeny, Protocol: "tcp", Host: "2001:db8::1", Port: 22},
			`would deny tcp [2001:db8::1]:22 by default`},
		{"unix socket", Record{Event: Connect, Protocol: "unix", Path: "/run/docker.sock"}, `denied unix /run/docker.sock by default`},
		{"name", Record{Event: DNS, Method: "A", Host: "x.example"}, `denied dns A x.example by default`},
		{"listen", Record{Event: Listen, Protocol: "tcp", Host: "0.0.0.0", Port: 80}, `denied listen on tcp 0.0.0.0:80 by default`},
		{"system call", Record{Event: Refused, Reason: "raw-socket", Syscall: &Syscall{Name: "socket"}}, `denied system call socket: raw-socket`},
		{"nothing known", Record{Event: Refused}, `denied refused by default`},
		{"hostile",
			Record{Event: RequestEvent, Method: "GE\x1b[2JT", Protocol: "https", Host: "h\r\nboundary: denied nothing", Path: "/\u202e\x9b\xff\u0007" + strings.Repeat("a", 100),
				Process: &Process{PID: 1, Exe: "/tmp/x, pid 2) \"by\" default"}},
			`denied GE?[2JT https://[h??boundary:?denied?nothing]/????` + strings.Repeat("a", 75) + `… ("x, pid 2) 'by' default", pid 1) by default`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, newDenial(&test.r).line()); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzDenialLine(f *testing.F) {
	f.Add("h\x1b]0;x\a", "/\u202e", "/bin/\xff\n", "rule\u2028")
	f.Fuzz(func(t *testing.T, host, path, exe, rule string) {
		for _, event := range []Event{RequestEvent, Connect, DNS, Listen, Refused} {
			d := newDenial(&Record{Event: event, Method: host, Host: host, Path: path, Rule: rule, RuleAt: rule,
				Reason: rule, ID: rule, Protocol: host, Process: &Process{Exe: exe}, Syscall: &Syscall{Name: exe}})
			for _, line := range []string{d.line(), d.repeats(3)} {
				if n := utf8.RuneCountInString(line); n > 600 {
					t.Errorf("%d characters in %q", n, line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(line) {
					t.Errorf("unfit for a terminal: %q", line)
				}
			}
		}
	})
}
