package integration

import (
	"syscall"
	"testing"
	"time"
)

// TestStoppedInContainer runs boundary as a container with a terminal does: as
// the first process of a PID namespace, which can't be stopped
// (pid_namespaces(7)). Its agent stops itself and is continued from outside:
// the session goes on, and ends.
func TestStoppedInContainer(t *testing.T) {
	requireRoot(t)
	tty := openTerminal(t, asRoot)
	r := session{
		as: asRoot, policy: denyAll, terminal: tty.slave, wrap: []string{program(t, "unshare"), "--pid", "--fork", "--kill-child", "--mount-proc"},
		command: []string{"sh", "-c", "kill -STOP $$; kill -STOP $$; echo continued; exit 5"},
	}.start(t)
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		for _, id := range descendants(t, r.pid()) {
			if stat, err := readStat(id.pid); err == nil && stat.state == "T" {
				_ = syscall.Kill(id.pid, syscall.SIGCONT) // it may have ended meanwhile
			}
		}
		select {
		case <-r.done:
			if r.status != 5 {
				t.Errorf("the status is %d, want 5", r.status)
			}
			return
		default:
		}
		if time.Now().After(limit) {
			t.Fatal("the session does not end")
		}
	}
}
