package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnixCredentials shows whom receivers are told where the supervisor sends,
// connects and listens for the agent. The user is right always; the process of
// who connects within the session, and of who sends by itself or, where the
// supervisor is root, as root. Else it is the supervisor. A process with one
// thread sends by itself on all but datagram sockets.
func TestUnixCredentials(t *testing.T) {
	const (
		own   = "own process, own user\n"
		other = "another process, own user\n"
	)
	const made = "connects: " + own + "listens: " + other
	sends := func(datagram string) string {
		var all strings.Builder
		for _, kind := range []string{"SOCK_STREAM", "SOCK_SEQPACKET", "SOCK_DGRAM"} {
			sendmsg := own
			if kind == "SOCK_DGRAM" {
				sendmsg = datagram
			}
			all.WriteString(kind + " send: " + own + kind + " sendmsg: " + sendmsg)
		}
		return all.String()
	}
	want := map[mode]string{
		asUser: sends(other) + made,
		asRoot: sends(own) + made + sends(other) + made,
		docker: sends(other) + made,
	}
	eachMode(t, func(t *testing.T, as mode) {
		dir := as.dir(t)
		end := session{as: as, dir: dir, policy: denyAll, command: python(t, "unix_credentials.py", dir)}.run(t)
		if diff := cmp.Diff(want[as], end.stdout); diff != "" {
			t.Errorf("credentials (-want +got):\n%s\n%s", diff, end.stderr)
		}
	})
}
