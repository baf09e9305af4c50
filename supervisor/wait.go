package supervisor

import (
	"errors"
	"os"
	"os/signal"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"boundary/audit"
)

// exitStatus is how the agent's first process ended.
type exitStatus struct{ unix.WaitStatus }

// code is the status as a shell has it.
func (e exitStatus) code() int {
	if e.Signaled() {
		return 128 + int(e.Signal())
	}
	return e.ExitStatus()
}

// killedStatus stands for an agent whose launcher was killed: nobody saw how
// it ended, and it did not end by itself.
var killedStatus = exitStatus{unix.WaitStatus(unix.SIGKILL)}

// wait hears from the launcher how the agent fares until it has ended, and
// passes signals on meanwhile.
func (s *Session) wait(l *Launcher, signals <-chan os.Signal) exitStatus {
	ended := forward(signals, l.agent)
	defer ended.Store(true)
	stop := stopper{agent: l.agent, ended: ended}
	go func() {
		err := <-s.broken
		s.log.WithError(err).Error("session broken, agent ended")
		_ = unix.Kill(l.agent, unix.SIGKILL)
	}()
	for {
		m, err := readMessage(l.stage)
		switch {
		case err != nil:
			// The launcher was killed. What it guarded is ours now.
			killDescendants(unix.SIGKILL, supervisorGone)
			return killedStatus
		case m.kind == stageStopped:
			stop.stopToo()
		case m.kind == stageEnded:
			for {
				if _, err := unix.Wait4(l.pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
					return exitStatus{unix.WaitStatus(m.number)}
				}
			}
		}
	}
}

// stopper stops the supervisor when the agent's first process has stopped
// itself, so that the shell above sees a stopped job.
type stopper struct {
	agent int
	ended *atomic.Bool
	waits atomic.Bool // for the supervisor to be continued
}

// stopToo stops the supervisor, and has the agent continued after it. Where the
// terminal stopped both, the agent runs again by then.
func (s *stopper) stopToo() {
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err != nil {
		return // no terminal: somebody else stopped it, and will continue it
	}
	if stat, err := readStat(s.agent); err != nil || stat.state != 'T' {
		return
	}
	if s.waits.CompareAndSwap(false, true) {
		continued := make(chan os.Signal, 1)
		signal.Notify(continued, unix.SIGCONT)
		// Not waited for here: the first process of a PID namespace can't be
		// stopped, so nobody will continue it (pid_namespaces(7)); the agent is
		// continued by itself then, and ends.
		go s.continueAfter(continued)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
}

// continueAfter continues the agent, but not before the supervisor was: its
// threads may run on for a moment after it has sent itself the signal, and an
// agent that were continued then would read what is typed for the shell.
func (s *stopper) continueAfter(continued chan os.Signal) {
	<-continued
	signal.Stop(continued)
	s.waits.Store(false)
	if !s.ended.Load() {
		_ = unix.Kill(s.agent, unix.SIGCONT)
	}
}

// agentSignals are those that the supervisor passes on and the launcher takes
// no notice of.
func agentSignals() []os.Signal {
	return []os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}
}

// catchSignals must come before the agent runs: a signal that arrives then is
// for it.
func catchSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, agentSignals()...)
	// A reader of our own messages who has gone away ends nothing.
	signal.Ignore(unix.SIGPIPE)
	return signals
}

// forward passes on what is sent to the supervisor alone, until ended is set.
// What the terminal sends goes to the whole foreground process group, the
// agent included. Afterwards signals stay caught: our last words are not to be
// cut off.
func forward(signals <-chan os.Signal, agent int) (ended *atomic.Bool) {
	ended = new(atomic.Bool)
	go func() {
		for sig := range signals {
			number := sig.(unix.Signal)
			fromTerminal := (number == unix.SIGINT || number == unix.SIGQUIT) && inForeground()
			if !fromTerminal && !ended.Load() {
				_ = unix.Kill(agent, number)
			}
		}
	}()
	return ended
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

// end writes the last record.
func (s *Session) end(status exitStatus) {
	totals := s.audit.Totals()
	end := &audit.End{
		ExitStatus: status.code(), Allowed: totals.Allowed, Denied: totals.Denied, WouldDeny: totals.WouldDeny,
	}
	if status.Signaled() {
		end.Signal = unix.SignalName(status.Signal())
	}
	s.recordEnd(end)
}
