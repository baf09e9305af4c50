package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"boundary/integration/internal/httpattack/script"
)

// attacker returns the program that sends what it is told to.
func attacker(t testing.TB) string {
	t.Helper()
	return shop.file(t, "httpattack", func(path string) error {
		return tool(".", []string{"CGO_ENABLED=0"}, "go", "build", "-o", path, "./internal/httpattack")
	})
}

// encoded returns scripts as the program reads them.
func encoded(t *testing.T, scripts []script.Script) []byte {
	t.Helper()
	text, err := json.Marshal(scripts)
	if err != nil {
		t.Fatalf("write scripts: %v", err)
	}
	return text
}

// readOutcomes reads what the program prints.
func readOutcomes(t *testing.T, text string) map[string]script.Outcome {
	t.Helper()
	all := map[string]script.Outcome{}
	for line := range strings.Lines(text) {
		var one script.Outcome
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("read outcome %q: %v", line, err)
		}
		all[one.Name] = one
	}
	return all
}

// honest returns scripts that the policy allows, to be run after the others.
func honest() []script.Script {
	const get = "GET /open/honest HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n"
	plain := script.Script{Name: "honest: HTTP", Address: openHost + ":80", Sends: [][]byte{[]byte(get)}, Last: true}
	secure := script.Script{
		Name: "honest: HTTPS", Address: openHost + ":443", ServerName: openHost, Protocols: []string{"http/1.1"},
		Sends: plain.Sends, Last: true,
	}
	h2 := secure
	h2.Name, h2.Protocols = "honest: HTTP/2", []string{"h2"}
	h2.Sends = [][]byte{(&stream{fields: ordinary("https", nil)}).bytes(strings.NewReplacer(mark, "honest"))}
	all := []script.Script{plain, secure, h2}
	for name, text := range map[string]string{
		"pipelined":          get + "HEAD" + get[len("GET"):] + get,
		"empty line before":  "\r\n" + get,
		"HTTP/1.0":           "GET /open/honest HTTP/1.0\r\n\r\n",
		"absolute form":      "GET http://" + openHost + "/open/honest HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n",
		"empty chunked body": strings.Replace(get, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0;last=\"yes\"\r\nX-Sum: 1\r\n\r\n", 1),
		"escaped path":       strings.Replace(get, "honest", "%7ehonest%20x/a%2fb?../..", 1),
		"offer to upgrade":   strings.Replace(get, "\r\n\r\n", "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", 1),
	} {
		one := plain
		one.Name, one.Sends = "honest: "+name, [][]byte{[]byte(text)}
		all = append(all, one)
	}
	return all
}

// isHonest tells whether an answer is the origin's own.
func isHonest(received []byte) bool {
	// In HTTP/2 the body stands in a frame of its own.
	return bytes.HasPrefix(received, []byte("HTTP/1.1 200 OK\r\n")) && bytes.HasSuffix(received, []byte("ok")) ||
		bytes.HasPrefix(received, []byte("HTTP/1.0 200 OK\r\n")) || bytes.Contains(received, []byte("\x00\x00\x02\x00")) && bytes.Contains(received, []byte("ok"))
}

// aToken finds the marks of attempts.
var aToken = regexp.MustCompile(`tok-\d{3}`)

// escapes returns, by mark, how denied requests can be seen in what arrived.
func (o *rawOrigin) escapes(servers []view) map[string][]string {
	found := map[string][]string{}
	note := func(raw, how string) {
		tokens := aToken.FindAllString(raw, -1)
		if len(tokens) == 0 {
			tokens = []string{fmt.Sprintf("%q", raw)}
		}
		// A stream may carry several attempts, one behind the other.
		token := tokens[len(tokens)-1]
		if len(found[token]) < 3 && !slices.Contains(found[token], how) {
			found[token] = append(found[token], how)
		}
	}
	for _, s := range o.take() {
		texts := []string{string(s.add(nil))}
		if strings.HasPrefix(texts[0], http2Preface) {
			texts = downgrade([]byte(texts[0]))
		}
		for _, text := range texts {
			for _, v := range servers {
				requests, rest := v.split([]byte(text))
				for _, one := range requests {
					if why := one.denied(s.server); why != "" {
						note(one.raw, why+", by a server with "+v.name)
					}
				}
				if notHTTP(rest) {
					mark := aToken.FindString(rest)
					if mark == "" {
						mark = text
					}
					note(mark, fmt.Sprintf("bytes %q by a server with %s", rest[:min(len(rest), 200)], v.name))
				}
			}
		}
	}
	return found
}

// aRequestLine is how HTTP begins, whole or not.
var aRequestLine = regexp.MustCompile(`^[!-~]+([ \t\v]|$)`)

// notHTTP tells whether bytes are not the beginning of a request.
func notHTTP(rest string) bool {
	line, _, whole := strings.Cut(rest, "\n")
	return rest != "" && (!aRequestLine.MatchString(line) || whole && !strings.ContainsAny(line, " \t\v"))
}
