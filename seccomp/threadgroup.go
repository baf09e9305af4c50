package seccomp

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// ThreadGroup returns the process id of thread tid, from /proc/TID/status.
func ThreadGroup(tid int) (int, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("find process of thread %d: %w", tid, err)
	}
	_, after, found := bytes.Cut(status, []byte("\nTgid:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line)))
	if !found || err != nil {
		return 0, fmt.Errorf("find process of thread %d: no Tgid line", tid)
	}
	return pid, nil
}
