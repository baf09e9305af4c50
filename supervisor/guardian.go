package supervisor

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"boundary/tlsproxy"
)

// guardian is the launcher once the agent runs: the parent of the agent's
// first process and of all its orphans. It tells the supervisor how the agent
// fares, and when the supervisor is dead it kills all that is left: a process
// of the agent's that outlived it would have no network, and nobody would
// record it.
type guardian struct {
	stage     *os.File
	trust     string              // the folder of the session's certificates; empty where there is none
	installed *tlsproxy.Installed // nil: nothing is in the system's store
}

// newGuardian makes the process take no notice of signals that are meant for
// the agent: the terminal sends them to the whole process group. Those that
// the caller had ignored stay so, for the agent too (nohup).
func newGuardian(stage *os.File, p *plan) *guardian {
	discard := make(chan os.Signal, 1)
	for _, sig := range agentSignals() {
		if !signal.Ignored(sig) {
			signal.Notify(discard, sig)
		}
	}
	return &guardian{stage: stage, trust: string(p.Trust), installed: p.Installed}
}

// uninstall takes the session's authority out of the system's store, for a
// supervisor that was killed; one that lives does so too.
func (g *guardian) uninstall() {
	if g.installed != nil {
		_ = g.installed.Remove() // as another user than root; the next session sweeps
	}
}

func (g *guardian) tell(m message) {
	_, _ = g.stage.Write(m.encode()) // the supervisor may be gone: see below
}

// removeTrust removes the folder of certificates. What an agent has put there,
// links too, is removed and not followed. Where the agent runs as another user
// than the supervisor, the folder is not the launcher's to remove: it stays if
// the supervisor is killed.
func (g *guardian) removeTrust() {
	if g.trust != "" {
		_ = os.RemoveAll(g.trust) // the supervisor may have
	}
}

// watch returns when the agent's processes have ended.
func (g *guardian) watch(pid int) {
	g.tell(message{kind: stageStarted, number: uint32(pid)})
	go func() {
		// The supervisor says nothing more: this ends with its end.
		_, _ = readMessage(g.stage)
		killDescendants(unix.SIGKILL, supervisorGone)
		g.removeTrust()
		g.uninstall()
		os.Exit(1)
	}()
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return // cannot happen: the agent is ours
		case got == pid && ws.Stopped():
			g.tell(message{kind: stageStopped})
		case got == pid && (ws.Exited() || ws.Signaled()):
			endOrphans()
			g.tell(message{kind: stageEnded, number: uint32(ws)})
			return
		}
	}
}

const (
	orphanGrace    = 500 * time.Millisecond // from asking to killing
	orphanLimit    = 3 * time.Second        // for a process that can't be killed (in an uninterruptible wait)
	supervisorGone = 30 * time.Second       // against one that forks as fast as it is killed
	orphanStep     = 2 * time.Millisecond   // between looks whether they have ended
	orphanLookMost = 64 * time.Millisecond  // between looks at all processes: on a busy machine many do so at once
)

// endOrphans ends what the agent left running. It first asks.
func endOrphans() {
	if reaped() {
		return
	}
	if !killDescendants(unix.SIGTERM, orphanGrace) {
		killDescendants(unix.SIGKILL, orphanLimit)
	}
}

// killDescendants signals every process below this one, again and again until
// none is left, and says whether that was so before the limit.
func killDescendants(sig unix.Signal, limit time.Duration) bool {
	told := map[int]uint64{} // by process id: the start time of who was told
	look, next := orphanStep, time.Duration(0)
	for begun := time.Now(); time.Since(begun) < limit; time.Sleep(orphanStep) {
		if time.Since(begun) >= next {
			tellDescendants(sig, told)
			next = time.Since(begun) + look
			look = min(2*look, orphanLookMost)
		}
		if reaped() {
			return true
		}
	}
	return false
}

// tellDescendants sends a signal to every process below this one. One that was
// asked to end is not asked again.
func tellDescendants(sig unix.Signal, told map[int]uint64) {
	for pid, stat := range descendants(os.Getpid()) {
		if sig != unix.SIGKILL && told[pid] == stat.start {
			continue
		}
		told[pid] = stat.start
		_ = unix.Kill(pid, sig)
		_ = unix.Kill(pid, unix.SIGCONT)
	}
}

// reaped collects dead children, and says whether there are no others.
func reaped() bool {
	for {
		got, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return true
		case got == 0:
			return false
		}
	}
}

// descendants are the processes below pid.
func descendants(pid int) map[int]procStat {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	all := map[int]procStat{}
	children := map[int][]int{}
	for _, dir := range dirs {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if stat, err := readStat(child); err == nil {
			all[child] = stat
			children[stat.ppid] = append(children[stat.ppid], child)
		}
	}
	out := map[int]procStat{}
	for todo := children[pid]; len(todo) > 0; todo = todo[1:] {
		out[todo[0]] = all[todo[0]]
		todo = append(todo, children[todo[0]]...)
	}
	return out
}
