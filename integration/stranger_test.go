package integration

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"boundary/integration/internal/origin"
)

// nobody is the number of a user who owns nothing.
const nobody = 65534

// TestStrangers asks at the listeners that a supervisor has on loopback: as
// another user of the machine, as the same user from outside, and from within
// the session. Nobody is answered there but the agent, about what it dialled.
func TestStrangers(t *testing.T) {
	requireRoot(t)
	outside := startOrigin(t, origin.Options{})
	policy := `allow "read" {
  hosts = ["api.github.com"]
}
` + outside.Upstream(caFile(t, outside), allowedHost)
	const script = `curl -sS https://` + allowedHost + `/repos/x && echo ready && exec "$@"`
	eachMode(t, func(t *testing.T, as mode) {
		stdin, feed := io.Pipe()
		defer feed.Close()
		stranger := python(t, "stranger.py")
		r := session{as: as, policy: policy, stdin: stdin, command: append([]string{"sh", "-c", script, "sh"}, stranger...)}.start(t)
		from := r.stdout.await(t, 0, "ready\n")
		asked := len(outside.Requests(allowedHost))
		addresses := flowAddresses(t, r.pid())
		for _, uid := range []int{as.account().uid, nobody} {
			if said := askAs(t, uid, stranger, addresses); said != "" {
				t.Errorf("user %d is answered:\n%s", uid, said)
			}
		}
		if _, err := io.WriteString(feed, addresses); err != nil {
			t.Fatalf("tell the agent where to ask: %v", err)
		}
		feed.Close()
		if said := r.wait().stdout[from:]; said != "" {
			t.Errorf("the agent is answered:\n%s", said)
		}
		if after := len(outside.Requests(allowedHost)); after != asked {
			t.Errorf("the origin saw %d requests of strangers", after-asked)
		}
	})
}

// askAs runs the program as a user of the machine, outside of any session.
func askAs(t *testing.T, uid int, argv []string, addresses string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = environment(t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(addresses), &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("ask as user %d: %v\n%s", uid, err, out.String())
	}
	return out.String()
}

// flowAddresses returns where a supervisor listens on loopback, one address and
// port a line, from the kernel's table and its descriptors.
func flowAddresses(t *testing.T, pid int) string {
	t.Helper()
	var lines strings.Builder
	own := map[string]bool{}
	for _, target := range descriptorsOf(t, pid) {
		own[target] = true
	}
	for _, row := range tcpRows(t) {
		const listens = "0A"
		if row.state != listens || !own["socket:["+row.inode+"]"] {
			continue
		}
		hosts := []string{"127.0.0.1", "127.1.2.3"}
		if row.ipv6 {
			hosts = []string{"::1"}
		}
		for _, host := range hosts {
			lines.WriteString(host + " " + strconv.Itoa(int(row.port)) + "\n")
		}
	}
	if lines.Len() == 0 {
		t.Fatal("the supervisor listens nowhere")
	}
	return lines.String()
}

// tcpRow is a socket in the kernel's tables, proc_net_tcp.rst.
type tcpRow struct {
	ipv6         bool
	port         uint16
	state, inode string
}

var tcpRowPattern = regexp.MustCompile(`(?m)^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ (\d+) `)

func tcpRows(t *testing.T) []tcpRow {
	t.Helper()
	var rows []tcpRow
	// Not /proc/net: that is the main thread's, which may be a world's.
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + table)
		if err != nil {
			t.Fatalf("read connections: %v", err)
		}
		for _, m := range tcpRowPattern.FindAllStringSubmatch(string(text), -1) {
			port, err := strconv.ParseUint(m[2], 16, 16)
			if err != nil {
				t.Fatalf("read port: %v", err)
			}
			const ipv4Digits = 8
			rows = append(rows, tcpRow{len(m[1]) > ipv4Digits, uint16(port), m[3], m[4]})
		}
	}
	return rows
}
