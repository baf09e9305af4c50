package integration

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"boundary/integration/internal/httpattack/script"
)

// fewest is how many attempts the corpus has at least.
const fewest = 110

// attempt is a way to have a server see a request that the policy denies.
type attempt struct {
	name      string
	sends     []string // HTTP/1, with mark in place of the attempt's own
	stream    *stream  // or HTTP/2
	dial      string   // host to connect to; empty is openHost, or server
	server    string   // TLS server name; empty is openHost
	only      string   // "http" or "https"; empty is both
	ambiguous bool     // to be refused, and the connection closed
}

// shot is an attempt over one scheme, under its own mark.
type shot struct {
	attempt
	scheme, token string
}

// corpus returns all attempts in order of their names.
func corpus(t *testing.T) []attempt {
	t.Helper()
	all := slices.Concat(framingAttempts(), hostAttempts(), methodAttempts(), pathAttempts(), otherAttempts(), http2Attempts("http"), http2Attempts("https"))
	slices.SortFunc(all, func(a, b attempt) int { return strings.Compare(a.name+a.only, b.name+b.only) })
	names := map[string]bool{}
	for _, a := range all {
		names[a.name] = true
	}
	if len(names) < fewest {
		t.Errorf("the corpus has %d attempts, want %d", len(names), fewest)
	}
	t.Logf("%d attempts", len(names))
	return all
}

// shots returns each attempt over each scheme that it is for.
func shots(t *testing.T) []shot {
	t.Helper()
	var all []shot
	for _, a := range corpus(t) {
		for _, scheme := range []string{"http", "https"} {
			if a.only == "" || a.only == scheme {
				all = append(all, shot{a, scheme, fmt.Sprintf("tok-%03d", len(all))})
			}
		}
	}
	if len(all) > 1000 {
		t.Fatalf("%d shots are more than there are marks", len(all))
	}
	return all
}

// name returns the name under which the outcome comes.
func (s shot) name() string { return s.token + " " + s.scheme + " " + s.attempt.name }

// script returns what the attacking program is to do.
func (s shot) script() script.Script {
	port := map[string]string{"http": "80", "https": "443"}[s.scheme]
	replace := strings.NewReplacer(mark, s.token, ":PORT", ":"+port)
	one := script.Script{Name: s.name()}
	if s.scheme == "https" {
		one.ServerName, one.Protocols = openHost, []string{"http/1.1"}
		if s.server != "" {
			one.ServerName = s.server
		}
	}
	one.Address = firstOf(s.dial, s.server, openHost) + ":" + port
	for _, text := range s.sends {
		one.Sends = append(one.Sends, []byte(replace.Replace(text)))
	}
	if s.stream != nil {
		one.Protocols = []string{"h2"}
		one.Sends = append(one.Sends, s.stream.bytes(replace))
	}
	return one
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// TestHTTPCorpus has an agent try everything in the corpus, within one session.
// An attempt gets out if the origin receives bytes in which any server would
// see a request that the policy denies.
func TestHTTPCorpus(t *testing.T) {
	all := shots(t)
	outside := startRawOrigin(t)
	t.Run("control", func(t *testing.T) { checkControl(t, outside, all) })
	// The second policy lets bodies through: there framing has no second guard.
	for name, bodies := range map[string]string{"no bodies": "", "bodies": "  max_request_bytes = 65536\n"} {
		policy := fmt.Sprintf("allow \"open\" {\n  hosts   = [%q]\n  methods = [\"GET\", \"HEAD\"]\n  paths   = [\"/open/**\"]\n%s}\n", openHost, bodies)
		policy += outside.upstream(t)
		servers := views()
		if bodies == "" {
			servers = append(servers, noBodyView())
		}
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) { testCorpus(t, outside, servers, all, session{as: as, policy: policy}) })
		})
	}
}

// checkControl sends the corpus straight to the origin: each attempt is one only
// if some server sees a denied request in it.
func checkControl(t *testing.T, outside *rawOrigin, all []shot) {
	var scripts []script.Script
	for _, s := range all {
		one := s.script()
		one.Insecure = true
		switch {
		case s.scheme == "http":
			one.Address = outside.plain.Addr().String()
		case s.stream != nil:
			one.Address = outside.http2.Addr().String()
		default:
			one.Address = outside.secure.Addr().String()
		}
		scripts = append(scripts, one)
	}
	cmd := exec.Command(attacker(t))
	cmd.Stdin = bytes.NewReader(encoded(t, scripts))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("attack the origin: %v", err)
	}
	outcomes := readOutcomes(t, string(out))
	escaped := outside.escapes(append(views(), noBodyView()))
	for _, s := range all {
		if outcomes[s.name()].Error != "" {
			t.Errorf("%s: %s", s.name(), outcomes[s.name()].Error)
		} else if escaped[s.token] == nil {
			t.Errorf("%s is no attempt: no server sees a denied request in it", s.name())
		}
	}
}

// testCorpus has one session try the whole corpus, and then what is allowed.
func testCorpus(t *testing.T, outside *rawOrigin, servers []view, all []shot, s session) {
	var scripts []script.Script
	for _, one := range all {
		scripts = append(scripts, one.script())
	}
	outside.take()
	s.command = []string{attacker(t)}
	s.stdin = bytes.NewReader(encoded(t, append(scripts, honest()...)))
	end := s.run(t)
	if end.status != 0 {
		t.Fatalf("the attacking program ended with %d: %s", end.status, end.stderr)
	}
	outcomes := readOutcomes(t, end.stdout)
	for token, found := range outside.escapes(servers) {
		t.Errorf("got out: %s\n\tas %s\n\tin %q", nameOf(all, token), strings.Join(found, "\n\tas "), token)
	}
	records, unanswered := byID(end.records), 0
	for _, one := range all {
		if outcome := outcomes[one.name()]; one.ambiguous {
			unanswered += checkRefused(t, one, outcome, records)
		} else if outcome.Error != "" && one.server == "" {
			t.Errorf("%s: %s", one.name(), outcome.Error)
		}
	}
	if connections := len(end.records.of("connect", "").decided("deny")); connections < unanswered {
		t.Errorf("%d connections were refused, but %d ambiguous requests got no answer", connections, unanswered)
	}
	for _, one := range honest() {
		if got := outcomes[one.Name]; got.Error != "" || !isHonest(got.Received) {
			t.Errorf("%s: got %q %s", one.Name, got.Received, got.Error)
		}
	}
}

// denialID finds the denials in what an attempt received.
var denialID = regexp.MustCompile(`(?i)\r\nBoundary-Denial: (\S+)\r\n`)

// checkRefused checks that an ambiguous request was refused and not mended: the
// last answer is a denial, which is in the log, and the connection is closed. It
// returns how many got no answer, as happens to what does not look like HTTP.
func checkRefused(t *testing.T, one shot, outcome script.Outcome, records map[string]record) (unanswered int) {
	t.Helper()
	if !outcome.Closed {
		t.Errorf("%s: the connection is still open", one.name())
	}
	ids := denialID.FindAllSubmatch(outcome.Received, -1)
	if len(ids) == 0 {
		// Without an answer, the whole connection was refused.
		if len(outcome.Received) > 0 || one.scheme != "http" {
			t.Errorf("%s: not refused, but %q", one.name(), outcome.Received)
		}
		return 1
	}
	id := string(ids[len(ids)-1][1])
	if r, ok := records[id]; !ok || r.Decision != "deny" || r.Status < 400 {
		t.Errorf("%s: the denial %s is not in the log as such: %s", one.name(), id, r.line)
	}
	return 0
}

// byID returns the last denial under each ID.
func byID(all records) map[string]record {
	found := map[string]record{}
	for _, one := range all {
		if one.Decision == "deny" && one.Reason != "" {
			found[one.ID] = one
		}
	}
	return found
}

// nameOf returns the name of the attempt under a mark.
func nameOf(all []shot, token string) string {
	for _, one := range all {
		if one.token == token {
			return one.name()
		}
	}
	return "something under no mark"
}
