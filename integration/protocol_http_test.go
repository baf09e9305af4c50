package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
)

// protocolPolicy allows everything on the allowed host, WebSocket too.
func protocolPolicy(t testing.TB, outside *origin.Server) string {
	t.Helper()
	return "allow \"api\" {\n  hosts = [\"" + allowedHost + "\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost, deniedHost)
}

// trusting returns the variables by which most programs trust an origin without
// boundary.
func trusting(t testing.TB, outside *origin.Server) []string {
	t.Helper()
	ca := caFile(t, outside)
	return []string{"SSL_CERT_FILE=" + ca, "CURL_CA_BUNDLE=" + ca, "NODE_EXTRA_CA_CERTS=" + ca}
}

// alone runs a command without boundary, as the ordinary user, and returns what
// it printed.
func alone(t *testing.T, env, argv []string) string {
	t.Helper()
	cmd := commandIn(t, asUser, asUser.dir(t), argv)
	cmd.Env = append(cmd.Env, env...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run %s without boundary: %v\n%s%s", argv, err, out, &said)
	}
	return string(out)
}

// TestHTTP1 has a program that speaks HTTP/1 byte by byte go through what the
// protocol has, without boundary and within it: it must see the same.
func TestHTTP1(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := protocolPolicy(t, outside)
	for scheme, address := range map[string]string{"http": outside.HTTPAddr(), "https": outside.TLSAddr()} {
		t.Run(scheme, func(t *testing.T) {
			argv := python(t, "http1.py", scheme, allowedHost)
			want := alone(t, trusting(t, outside), append(argv, address))
			eachMode(t, func(t *testing.T, as mode) {
				end := session{as: as, policy: policy, command: argv}.run(t)
				if end.status != 0 {
					t.Errorf("the program ended with %d", end.status)
				}
				if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(end.stdout, "\n")); diff != "" {
					t.Errorf("what it saw (-alone +within boundary):\n%s", diff)
				}
			})
		})
	}
}

// TestClientGone kills a client within a stream that says nothing: the request
// to the origin ends too, long before the session does.
func TestClientGone(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := protocolPolicy(t, outside)
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			eachMode(t, func(t *testing.T, as mode) {
				script := `timeout 0.5 "$0" -sSN "$1"; sleep 3`
				argv := []string{program(t, "sh"), "-c", script, program(t, "curl"), scheme + "://" + allowedHost + "/http/steps"}
				end := session{as: as, policy: policy, command: argv}.run(t)
				if !strings.Contains(end.stdout, "data: 0") {
					t.Errorf("the stream had not begun: %q", end.stdout)
				}
				all := end.records.of("request", allowedHost)
				var last struct {
					Milliseconds float64 `json:"duration_ms"`
				}
				if err := json.Unmarshal([]byte(all[len(all)-1].line), &last); err != nil || last.Milliseconds == 0 || last.Milliseconds > 2500 {
					t.Errorf("the request's end is not recorded, or late: %s", all[len(all)-1].line)
				}
			})
		})
	}
}
