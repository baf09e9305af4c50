package supervisor

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"boundary/audit"
)

// exitStatus is how the session's first process ended.
type exitStatus struct{ unix.WaitStatus }

// code is the status as a shell has it.
func (e exitStatus) code() int {
	if e.Signaled() {
		return 128 + int(e.Signal())
	}
	return e.ExitStatus()
}

// wait reaps until the session's first process has ended. It passes signals on
// meanwhile, and as the parent of orphans reaps them too.
func (s *Session) wait(pid int) exitStatus {
	stop := forwardSignals(pid)
	defer stop()
	go func() {
		err := <-s.broken
		s.log.WithError(err).Error("session broken, agent ended")
		_ = unix.Kill(pid, unix.SIGKILL)
	}()
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return exitStatus{} // ECHILD: cannot happen, the process is ours
		case got == pid && ws.Stopped():
			stopWith(pid)
		case got == pid && (ws.Exited() || ws.Signaled()):
			endOrphans()
			return exitStatus{ws}
		}
	}
}

// stopWith stops the supervisor when the agent's first process has stopped
// itself, so that the shell above sees a stopped job, and continues it after.
// Where the terminal stopped both, the process runs again by then.
func stopWith(pid int) {
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err != nil {
		return // no terminal: somebody else stopped it, and will continue it
	}
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err != nil || !stopped(stat) {
		return
	}
	_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	_ = unix.Kill(pid, unix.SIGCONT)
}

// forwardSignals passes on what is sent to the supervisor alone. What the
// terminal sends goes to the whole foreground process group, the agent
// included.
func forwardSignals(pid int) (stop func()) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	go func() {
		for sig := range signals {
			number := sig.(unix.Signal)
			if (number == unix.SIGINT || number == unix.SIGQUIT) && inForeground() {
				continue
			}
			_ = unix.Kill(pid, number)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// inForeground says whether this process group is the one to which the
// controlling terminal sends its signals.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

const (
	orphanGrace = 500 * time.Millisecond
	orphanLimit = 2 * time.Second
	orphanStep  = 5 * time.Millisecond
)

// endOrphans ends what the agent left running: without the supervisor it
// would have no network, and nobody to record it. It first asks.
func endOrphans() {
	begun := time.Now()
	for {
		if reaped() {
			return
		}
		sig := unix.SIGTERM
		if since := time.Since(begun); since > orphanLimit {
			return
		} else if since > orphanGrace {
			sig = unix.SIGKILL
		}
		for _, pid := range descendants(os.Getpid()) {
			_ = unix.Kill(pid, sig)
			_ = unix.Kill(pid, unix.SIGCONT)
		}
		time.Sleep(orphanStep)
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

// descendants lists the processes below pid.
func descendants(pid int) []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	children := map[int][]int{}
	for _, dir := range dirs {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if stat, err := readStat(child); err == nil {
			children[stat.ppid] = append(children[stat.ppid], child)
		}
	}
	var out []int
	for todo := children[pid]; len(todo) > 0; todo = todo[1:] {
		out = append(out, todo[0])
		todo = append(todo, children[todo[0]]...)
	}
	return out
}

// end writes the last record.
func (s *Session) end(status exitStatus) {
	totals := s.audit.Totals()
	end := &audit.End{
		ExitStatus: status.code(), Allowed: totals.Allowed, Denied: totals.Denied, WouldDeny: totals.WouldDeny,
	}
	if status.Signaled() {
		end.Signal = unix.SignalName(status.Signal())
	}
	s.record(&audit.Record{Event: audit.SessionEnd, End: end})
}
