package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"boundary/integration/internal/origin"
)

// otherTrials returns what is tried with programs that are not asked for a
// page: they read only what they are built to read, speak something else than
// HTTP, or look names up.
func otherTrials(t *testing.T) []trial {
	t.Helper()
	return []trial{
		tldrTrial(t), sshTrial(t), psqlTrial(t),
		nameTrial("python dnspython", func(t testing.TB, name string) []string {
			return python(t, "resolve.py", "dnspython", name)
		}),
		nameTrial("node dns.resolve", func(t testing.TB, name string) []string {
			return node(t, "resolve.mjs", "resolve", name)
		}),
	}
}

// tldrTrial is a program of Rust's, with rustls, that reads one archive.
func tldrTrial(t *testing.T) trial {
	t.Helper()
	outside := startOrigin(t, origin.Options{Extra: newClientPages().handlers(t)})
	upstream := outside.Upstream(caFile(t, outside), tldrHost)
	policy := fmt.Sprintf("allow \"pages\" {\n  hosts = [%q]\n}\n", tldrHost) + upstream
	c := client{name: "tldr (rustls)", exe: "tldr"}
	get := []string{program(t, "sh"), "-c", `"$1" --update && exec "$1" --raw greeting`, "sh", program(t, "tldr")}
	return trial{
		name: c.name, shows: "boundary's line on stderr",
		allowed: func(t *testing.T, as mode) {
			end := session{as: as, policy: policy, command: get}.run(t)
			if end.status != 0 || !strings.Contains(end.stdout, marker) {
				t.Errorf("tldr did not get its pages")
			}
			c.checkRecord(t, end.records.requests(tldrHost).decided("allow").one(t, "the request"), "pages")
		},
		denied: func(t *testing.T, as mode) {
			before := len(outside.Requests(tldrHost))
			end := session{as: as, policy: upstream, command: get}.run(t)
			if len(outside.Requests(tldrHost)) > before {
				t.Errorf("the origin saw the request")
			}
			// tldr takes any answer for an archive, and says that it is none.
			line := "boundary: denied GET https://" + tldrHost + tldrPath + " (tldr, "
			if end.status == 0 || !strings.Contains(end.stderr, line) {
				t.Errorf("the user is not told of the denial")
			}
			c.checkRecord(t, end.records.requests(tldrHost).decided("deny").one(t, "the denial"), "")
		},
	}
}

// nameTrial is a program that looks a name up. Every name has an address of
// the session's; the query for one that no rule allows goes nowhere.
func nameTrial(name string, command func(t testing.TB, host string) []string) trial {
	policy := clientPolicy + fmt.Sprintf("upstream {\n  resolve = { %q = \"127.0.0.1:1\" }\n}\n", net.JoinHostPort(allowedHost, "443"))
	look := func(host, decision string) func(t *testing.T, as mode) {
		return func(t *testing.T, as mode) {
			end := session{as: as, policy: policy, command: command(t, host)}.run(t)
			checkSynthetic(t, end)
			if len(end.records.of("dns", host).decided(decision)) == 0 {
				t.Errorf("no record of the query")
			}
		}
	}
	return trial{
		name: name, shows: "an address where a request gets its 403",
		allowed: look(allowedHost, "allow"), denied: look(deniedHost, "deny"),
	}
}
