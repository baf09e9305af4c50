package integration

import (
	"os"
	"strconv"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
)

// TestUserChanged has a root agent become another user. Root on the machine may
// look into any process; root in a container not into one that is no longer
// root's and has executed nothing since: it gets no network.
func TestUserChanged(t *testing.T) {
	requireRoot(t)
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"api\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost)
	user := strconv.Itoa(shop.user.uid)
	for as, want := range map[mode]string{
		asRoot:     "http ok\nnetlink ok\ndatagram ok\nstream ok\n",
		dockerRoot: "http failed\nnetlink failed\ndatagram failed\nstream failed\n",
	} {
		t.Run(string(as), func(t *testing.T) {
			dir := as.dir(t)
			asUser.own(t, dir)
			before := len(outside.Requests(""))
			command := python(t, "user_changed.py", "http://"+allowedHost+"/json", user)
			end := session{as: as, dir: dir, policy: policy, place: newSystem(t, as), command: command}.run(t)
			if diff := cmp.Diff(want, end.stdout); diff != "" {
				t.Errorf("as another user (-want +got):\n%s", diff)
			}
			seen := len(outside.Requests("")) - before
			if failed := as == dockerRoot; failed != (seen == 0) || failed != (len(end.records.of("refused", "")) > 0) {
				t.Errorf("the origin saw %d requests, and %d calls are recorded as refused", seen, len(end.records.of("refused", "")))
			}
		})
	}
}

// TestUserFlag runs the agent as another user than boundary: root lends him
// nothing, and carries his network all the same.
func TestUserFlag(t *testing.T) {
	requireRoot(t)
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"api\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost)
	for _, as := range []mode{asRoot, dockerRoot} {
		t.Run(string(as), func(t *testing.T) {
			dir := as.dir(t)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatalf("open folder to others: %v", err)
			}
			script := "id -un; for host in api.github.com attacker-logger.com; do curl -sS -o /dev/null -w '%{http_code}\\n' https://$host/; done"
			end := session{
				as: as, dir: dir, policy: policy, place: newSystem(t, as), flags: []string{"--user", ordinaryName},
				command: []string{"sh", "-c", script},
			}.run(t)
			if diff := cmp.Diff(ordinaryName+"\n200\n403\n", end.stdout); diff != "" {
				t.Errorf("as %s (-want +got):\n%s", ordinaryName, diff)
			}
			if mentions(end.records.of("session.start", ""), `"missing":["kernel-files"]`) {
				t.Errorf("an agent that is not root is said to be able to write the machine's settings")
			}
		})
	}
}
