package escapes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// groupAttempts take processes outside into a control group of their own,
// cgroups(7), and do there what they like.
func groupAttempts() []Attempt {
	return []Attempt{
		{Name: "host/cgroup-kill", Does: "move a process into a control group and kill that", Ends: true, Try: func(g *Ground) error {
			return g.inGroup(func(dir string) error { return writeOnly(filepath.Join(dir, "cgroup.kill"), []byte("1")) })
		}},
		{Name: "host/cgroup-freeze", Does: "move a process into a control group and freeze that", Try: func(g *Ground) error {
			return g.inGroup(func(dir string) error { return writeOnly(filepath.Join(dir, "cgroup.freeze"), []byte("1")) })
		}},
	}
}

// inGroup makes a control group, moves the victim there, and does something to
// the group. The session's own processes are in no danger: they would end
// with the attempt.
func (g *Ground) inGroup(do func(dir string) error) error {
	root := cgroupRoot()
	if root == "" {
		return os.ErrNotExist
	}
	dir := filepath.Join(root, "boundary-"+g.Token)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer removeGroup(dir)
	if err := writeOnly(filepath.Join(dir, "cgroup.procs"), strconv.AppendInt(nil, int64(g.Victim.PID), 10)); err != nil {
		return fmt.Errorf("move: %w", err)
	}
	return do(dir)
}

// removeGroup removes a control group once its processes are dead. That of a
// frozen one is left to the referee, who ends the victim.
func removeGroup(dir string) {
	for range 20 {
		if os.Remove(dir) == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// clearGroup removes what an attempt left.
func clearGroup(token string) {
	if dir := filepath.Join(cgroupRoot(), "boundary-"+token); filepath.IsAbs(dir) {
		if _, err := os.Stat(dir); err == nil {
			removeGroup(dir)
		}
	}
}

// cgroupRoot is where version 2 is mounted; "" for nowhere.
func cgroupRoot() string {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range bytes.Lines(mounts) {
		before, after, _ := bytes.Cut(line, []byte(" - "))
		fields := bytes.Fields(before)
		if bytes.HasPrefix(after, []byte("cgroup2 ")) && len(fields) > 4 {
			return string(fields[4])
		}
	}
	return ""
}
