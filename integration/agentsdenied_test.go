package integration

import (
	"slices"
	"strings"
	"testing"
)

// TestCodingAgentsDenied allows the agents not even their APIs: each ends soon,
// and says why.
func TestCodingAgentsDenied(t *testing.T) {
	once := func(a, b codingAgent) bool { return a.command[0] == b.command[0] }
	for _, agent := range slices.CompactFunc(codingAgents(), once) {
		t.Run(agent.name, func(t *testing.T) {
			t.Parallel()
			outside := agent.start(t)
			eachMode(t, func(t *testing.T, as mode) {
				end := agent.run(t, as, denyAll+agent.upstream(t, outside))
				if end.status == 0 || !strings.Contains(end.stdout+end.stderr, blocked) {
					t.Errorf("the agent ended with %d and did not say why", end.status)
				}
				denied := end.records.requests(agent.host).decided("deny")
				if len(denied) == 0 {
					t.Errorf("no record of a request to the API")
				}
				for _, one := range denied {
					client{exe: agent.exe}.checkRecord(t, one, "all")
				}
			})
			if seen := outside.Requests(""); len(seen) > 0 {
				t.Errorf("the origin saw %v", seen)
			}
		})
	}
}
