package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnixCredentials shows whom receivers are told where the supervisor sends,
// connects and listens for the agent: the right user always. The right process
// only for what is sent natively and, where the supervisor is root, for what
// root sends.
func TestUnixCredentials(t *testing.T) {
	const (
		own   = "own process, own user\n"
		other = "another process, own user\n"
	)
	sends := func(sendmsg string) string {
		var all strings.Builder
		for _, kind := range []string{"SOCK_STREAM", "SOCK_SEQPACKET", "SOCK_DGRAM"} {
			all.WriteString(kind + " send: " + own + kind + " sendmsg: " + sendmsg)
		}
		return all.String()
	}
	const made = "connects: " + other + "listens: " + other
	want := map[mode]string{
		asUser: sends(other) + made,
		asRoot: sends(own) + made + sends(other) + made,
		// What is not sent for the agent is sent by it.
		docker: strings.Replace(sends(own), "DGRAM sendmsg: "+own, "DGRAM sendmsg: "+other, 1) + made,
	}
	eachMode(t, func(t *testing.T, as mode) {
		dir := as.dir(t)
		end := session{as: as, dir: dir, policy: denyAll, command: python(t, "unix_credentials.py", dir)}.run(t)
		if diff := cmp.Diff(want[as], end.stdout); diff != "" {
			t.Errorf("credentials (-want +got):\n%s\n%s", diff, end.stderr)
		}
	})
}
