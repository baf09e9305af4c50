package escapes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxAbove bounds the walk up the tree of processes.
const maxAbove = 8

// above returns the processes between the attempt and the referee: behind a
// boundary the launcher and the supervisor, without one nobody. What stands
// further up is nobody's to touch, so where the referee is not found there,
// the answer is nobody.
func (g *Ground) above() []int {
	var found []int
	for pid := os.Getppid(); pid > 1 && len(found) < maxAbove; pid = parentOf(pid) {
		if pid == g.Referee {
			return found
		}
		found = append(found, pid)
	}
	return nil
}

// parentOf reads the fourth field of /proc/PID/stat, proc_pid_stat(5); 0 where
// the process is gone.
func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name before may hold anything, parentheses too.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}

// childrenOf returns the processes right below one.
func childrenOf(pid int) []int {
	var found []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if child, err := strconv.Atoi(filepath.Base(dir)); err == nil && parentOf(child) == pid {
			found = append(found, child)
		}
	}
	return found
}

// threadsOf returns the threads of a process.
func threadsOf(pid int) []int {
	var found []int
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	for _, dir := range dirs {
		if tid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			found = append(found, tid)
		}
	}
	return found
}

// targets are the victim, and the session's own processes.
func (g *Ground) targets() []int { return append([]int{g.Victim.PID}, g.above()...) }

// look is how long the referee needs to see what was done to a process.
const look = 60 * time.Millisecond

// each does something to every target, and returns the victim's error.
func each(do func(g *Ground, pid int) error) func(*Ground) error {
	return func(g *Ground) error {
		var first error
		for i, pid := range g.targets() {
			if err := do(g, pid); i == 0 {
				first = err
			}
		}
		time.Sleep(look)
		return first
	}
}

// onPidfd makes an action on a pidfd, pidfd_open(2), of one on a number.
func onPidfd(do func(g *Ground, pidfd uintptr) error) func(*Ground, int) error {
	return func(g *Ground, pid int) error {
		pidfd, err := call(unix.SYS_PIDFD_OPEN, uintptr(pid))
		if err != nil {
			return fmt.Errorf("pidfd_open: %w", err)
		}
		defer unix.Close(int(pidfd))
		return do(g, pidfd)
	}
}

// procFile is a file of a process in /proc.
func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
