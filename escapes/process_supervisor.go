package escapes

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervisorAttempts turn on the session's own processes, and use the network
// then. That the session ends is no escape; that it goes on without anybody
// who judges it is.
func supervisorAttempts() []Attempt {
	list := []Attempt{
		{Name: "supervisor/kill", Does: "kill the supervisor, then connect", Try: func(g *Ground) error {
			return g.without(func(pid int) error { return unix.Kill(pid, unix.SIGKILL) }, g.supervisor())
		}},
		{Name: "supervisor/kill-pidfd", Does: "kill the supervisor by its pidfd, then connect", Try: func(g *Ground) error {
			kill := onPidfd(func(_ *Ground, pidfd uintptr) error {
				_, err := call(unix.SYS_PIDFD_SEND_SIGNAL, pidfd, uintptr(unix.SIGKILL), 0, 0)
				return err
			})
			return g.without(func(pid int) error { return kill(g, pid) }, g.supervisor())
		}},
		{Name: "supervisor/kill-launcher", Does: "kill the launcher, then connect", Try: func(g *Ground) error {
			return g.without(func(pid int) error { return unix.Kill(pid, unix.SIGKILL) }, g.launcher())
		}},
		{Name: "supervisor/kill-threads", Does: "kill all by single threads, then connect", Try: func(g *Ground) error {
			return g.without(func(pid int) error {
				return eachThread(func(pid, tid int) error { return unix.Tgkill(pid, tid, unix.SIGSEGV) })(g, pid)
			}, g.above())
		}},
		{Name: "supervisor/kill-group", Does: "kill the session's group, and connect from outside of it", Try: killGroupAndConnect},
		{Name: "supervisor/stop", Does: "stop the supervisor, then connect", Try: func(g *Ground) error {
			return g.whileStopped(g.supervisor())
		}},
		{Name: "supervisor/stop-launcher", Does: "stop the launcher, then connect", Try: func(g *Ground) error {
			return g.whileStopped(g.launcher())
		}},
		{Name: "supervisor/stop-then-kill", Does: "stop both, kill the supervisor, connect", Try: func(g *Ground) error {
			for _, pid := range g.above() {
				_ = unix.Kill(pid, unix.SIGSTOP) // held: then the kill is too
			}
			return g.without(func(pid int) error { return unix.Kill(pid, unix.SIGKILL) }, g.supervisor())
		}},
		{Name: "supervisor/take-listener", Does: "take the supervisor's listener and answer oneself", Try: takeListener},
		{Name: "supervisor/replace", Does: "kill the supervisor and answer in its place", Try: func(g *Ground) error {
			for _, pid := range g.supervisor() {
				_ = unix.Kill(pid, unix.SIGKILL) // held: then the listener is refused
			}
			return answerOneself(g)
		}},
		{Name: "supervisor/starve-datagrams", Does: "make UDP sockets until there are no descriptors left, then connect",
			Try: func(g *Ground) error { return g.starve(unix.SOCK_DGRAM) }},
		{Name: "supervisor/starve-streams", Does: "make TCP sockets until there are no descriptors left, then connect",
			Try: func(g *Ground) error { return g.starve(unix.SOCK_STREAM) }},
		{Name: "supervisor/starve-together", Does: "the same by several processes, with connections", Needs: []Need{NeedWeb},
			Try: starveTogether},
	}
	for i := range list {
		list[i].Ends = true
	}
	return list
}

// launcher is the process right above the attempt, where that is the
// session's.
func (g *Ground) launcher() []int { return g.above()[:min(1, len(g.above()))] }

// supervisor is what stands above the launcher.
func (g *Ground) supervisor() []int { return g.above()[min(1, len(g.above())):] }

// without does something to processes, and uses the network again and again
// for a while, as the end of a session takes its time.
func (g *Ground) without(do func(pid int) error, pids []int) error {
	var failed error
	for _, pid := range pids {
		failed = do(pid)
	}
	for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		g.reach()
	}
	return failed
}

// whileStopped stops processes for a while.
func (g *Ground) whileStopped(pids []int) error {
	var failed error
	for _, pid := range pids {
		failed = unix.Kill(pid, unix.SIGSTOP)
	}
	g.reach()
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGCONT) // as the stop
	}
	return failed
}

// reachFor is how long an attempt waits for a call that nobody answers.
const reachFor = 300 * time.Millisecond

// reach connects, and sends a datagram, however long that may take.
func (g *Ground) reach() {
	done := make(chan error, 2)
	go func() { done <- connectAndWrite(g, g.Denied.AddrPort4()) }()
	go func() { done <- sendToken(g) }()
	limit := time.After(reachFor)
	for range 2 {
		select {
		case <-done:
		case <-limit:
			return
		}
	}
}

// sendToken sends the token to the denied peer by UDP.
func sendToken(g *Ground) error {
	fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(int(fd))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	name := sockaddr(g.Denied.AddrPort4())
	_, err = call(unix.SYS_SENDTO, fd, m.put(0, []byte(g.Token)), uintptr(len(g.Token)), 0, m.put(256, name), uintptr(len(name)))
	return err
}

// killGroupAndConnect kills the group, which is the session's too, after it
// has started somebody in a session of his own.
func killGroupAndConnect(g *Ground) error {
	if err := g.stepCommand("", stepSurvive, &syscall.SysProcAttr{Setsid: true}).Start(); err != nil {
		return err
	}
	time.Sleep(look)
	return unix.Kill(0, unix.SIGKILL)
}

// Steps of supervisor and signal attempts.
const (
	stepSurvive = "step/survive"
	stepStarve  = "step/starve"
)

func supervisorSteps() []Attempt {
	return []Attempt{
		{Name: stepSurvive, Try: func(g *Ground) error {
			time.Sleep(2 * look)
			return g.without(nil, nil)
		}},
		{Name: stepStarve, Try: func(g *Ground) error { return g.starve(unix.SOCK_DGRAM) }},
		{Name: stepSignalGroup, Try: signalOwnGroup},
	}
}
