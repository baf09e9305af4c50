package integration

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"boundary/integration/internal/origin"
)

// killScript is an agent with children that hang on: one in a session of its
// own, one that ignores signals, and one that its parent left behind.
const killScript = `agent=$1
$agent attempts one.txt http://api.github.com/json &
setsid $agent attempts two.txt http://api.github.com/json &
(trap '' HUP INT TERM; $agent attempts three.txt http://api.github.com/json & exit) &
wait
sleep 1000
`

// TestSupervisorKilled kills the supervisor while its agent makes requests:
// no request that begins afterwards succeeds, within a second all processes of
// the agent are dead, and the folder of certificates is gone.
func TestSupervisorKilled(t *testing.T) {
	outside := startOrigin(t, origin.Options{})
	policy := "allow \"api\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost)
	eachMode(t, func(t *testing.T, as mode) {
		dir := as.dir(t)
		r := session{as: as, dir: dir, policy: policy, command: []string{"sh", "-c", killScript, "sh", shop.agent(t)}}.start(t)
		attempts := []string{filepath.Join(dir, "one.txt"), filepath.Join(dir, "two.txt"), filepath.Join(dir, "three.txt")}
		for _, path := range attempts {
			eventually(t, patience, func() error { return hasAttempts(path, 5) })
		}
		agents := descendants(t, r.pid())
		if len(agents) < 4 {
			t.Fatalf("the agent has only the processes %v", agents)
		}
		if trustGone(dir) == nil {
			t.Fatal("there is no folder of certificates")
		}
		t.Cleanup(agents.kill)
		killed := time.Now()
		r.signal(syscall.SIGKILL)
		if err := within(time.Until(killed.Add(time.Second)), agents.noneAlive); err != nil {
			t.Errorf("a second after the kill: %v", err)
		}
		if err := within(time.Until(killed.Add(2*time.Second)), func() error { return trustGone(dir) }); err != nil {
			t.Errorf("two seconds after the kill: %v", err)
		}
		agents.kill()
		<-r.done
		for _, path := range attempts {
			checkAttempts(t, path, killed)
		}
		readRecords(t, r.audit) // the chain holds, without an end
	})
}

// trustGone reports an error while a session's folder of certificates is there.
func trustGone(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "boundary-*"))
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%s is there", found)
	}
	return err
}

// hasAttempts reports an error until a file has that many successful
// attempts.
func hasAttempts(path string, want int) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if got := strings.Count(string(text), " ok\n"); got < want {
		return fmt.Errorf("%d requests succeeded in %s, want %d", got, filepath.Base(path), want)
	}
	return nil
}

// checkAttempts checks that no attempt that began after a time succeeded.
func checkAttempts(t *testing.T, path string, killed time.Time) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatalf("read attempts: %v", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		began, outcome, _ := strings.Cut(lines.Text(), " ")
		at, err := strconv.ParseInt(began, 10, 64)
		if err != nil {
			continue // cut off by the kill
		}
		if time.Unix(0, at).After(killed) && outcome == "ok" {
			t.Errorf("a request of %s, %v after the kill, succeeded", filepath.Base(path), time.Unix(0, at).Sub(killed))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("read attempts: %v", err)
	}
}

// processID names a process for good: numbers are used again, together with
// the start time they are not.
type processID struct {
	pid   int
	start string
}

// processIDs is a set of processes.
type processIDs []processID

// noneAlive returns an error while one of the processes still runs. A zombie
// does not run.
func (all processIDs) noneAlive() error {
	for _, id := range all {
		stat, err := readStat(id.pid)
		if err == nil && stat.start == id.start && stat.state != "Z" && stat.state != "X" {
			return fmt.Errorf("process %d (%s) runs", id.pid, stat.name)
		}
	}
	return nil
}

// kill kills those that still run.
func (all processIDs) kill() {
	for _, id := range all {
		if stat, err := readStat(id.pid); err == nil && stat.start == id.start {
			_ = syscall.Kill(id.pid, syscall.SIGKILL) // it may have ended meanwhile
		}
	}
}

// descendants returns all processes below one.
func descendants(t testing.TB, root int) processIDs {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Errorf("read /proc: %v", err)
		return nil
	}
	below := map[int][]processID{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, err := readStat(pid); err == nil {
			below[stat.parent] = append(below[stat.parent], processID{pid, stat.start})
		}
	}
	var found processIDs
	for next := []int{root}; len(next) > 0; next = next[1:] {
		for _, child := range below[next[0]] {
			found = append(found, child)
			next = append(next, child.pid)
		}
	}
	return found
}

// stat is a part of /proc/PID/stat, proc_pid_stat(5).
type stat struct {
	name, state string
	parent      int
	start       string // ticks since boot
}

// readStat reads one process.
func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name stands in parentheses and may contain some itself.
	open, end := strings.Index(string(text), "("), strings.LastIndex(string(text), ")")
	if open < 0 || end < open {
		return stat{}, errors.New("malformed stat")
	}
	fields := strings.Fields(string(text)[end+1:])
	if len(fields) < 20 {
		return stat{}, errors.New("malformed stat")
	}
	parent, err := strconv.Atoi(fields[1])
	return stat{name: string(text)[open+1 : end], state: fields[0], parent: parent, start: fields[19]}, err
}

// TestLauncherKilled has the agent kill the launcher, which watches over its
// processes: the supervisor ends them all, and records the end.
func TestLauncherKilled(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		r := session{as: as, policy: denyAll, command: python(t, "kill_launcher.py")}.start(t)
		r.stdout.await(t, 0, "ready\n")
		agents := descendants(t, r.pid())
		t.Cleanup(agents.kill)
		if end := r.wait(); end.status != 137 {
			t.Errorf("the status is %d, want 137", end.status)
		}
		eventually(t, time.Second, func() error { return agents.noneAlive() })
	})
}
