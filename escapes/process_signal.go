package escapes

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// signalAttempts signal processes outside. All but the last two send SIGUSR1,
// which the victim counts. Those of the session have handlers of it too.
func signalAttempts() []Attempt {
	list := []Attempt{
		{Name: "process/kill", Does: "signal a process", Try: each(func(_ *Ground, pid int) error {
			return unix.Kill(pid, unix.SIGUSR1)
		})},
		{Name: "process/kill-group", Does: "signal a process group", Try: each(func(_ *Ground, pid int) error {
			group, err := unix.Getpgid(pid)
			if err != nil {
				return err
			}
			signal.Ignore(unix.SIGUSR1) // its own may be that of the session
			return unix.Kill(-group, unix.SIGUSR1)
		})},
		{Name: "process/join-group", Does: "join a process group and signal one's own", Try: joinGroup},
		{Name: "process/tgkill", Does: "signal each thread of a process", Try: each(eachThread(func(pid, tid int) error {
			return unix.Tgkill(pid, tid, unix.SIGUSR1)
		}))},
		{Name: "process/tkill", Does: "signal each thread by its number alone", Try: each(eachThread(func(_, tid int) error {
			_, err := call(unix.SYS_TKILL, uintptr(tid), uintptr(unix.SIGUSR1))
			return err
		}))},
		{Name: "process/sigqueue", Does: "queue a signal with data", Try: each(func(_ *Ground, pid int) error {
			return withSiginfo(func(info uintptr) error {
				_, err := call(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(unix.SIGUSR1), info)
				return err
			})
		})},
		{Name: "process/tgsigqueue", Does: "queue a signal for each thread", Try: each(eachThread(func(pid, tid int) error {
			return withSiginfo(func(info uintptr) error {
				_, err := call(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(pid), uintptr(tid), uintptr(unix.SIGUSR1), info)
				return err
			})
		}))},
		{Name: "process/pidfd-signal", Does: "signal a process by its pidfd", Try: each(onPidfd(func(_ *Ground, pidfd uintptr) error {
			return pidfdSignal(pidfd, 0)
		}))},
		{Name: "process/pidfd-signal-group", Does: "signal a process group by a pidfd",
			Try: each(onPidfd(func(_ *Ground, pidfd uintptr) error { return pidfdSignal(pidfd, pidfdSignalGroup) }))},
		{Name: "process/procfd-signal", Does: "signal a process by its folder in /proc", Try: each(signalByFolder)},
		{Name: "process/stop", Does: "stop a process", Try: func(g *Ground) error { return unix.Kill(g.Victim.PID, unix.SIGSTOP) }},
		{Name: "process/end", Does: "kill a process", Try: func(g *Ground) error { return unix.Kill(g.Victim.PID, unix.SIGKILL) }},
	}
	for i := range list {
		list[i].Guards = scopeGuard
	}
	return list
}

// eachThread makes an action on a process of one on its threads.
func eachThread(do func(pid, tid int) error) func(*Ground, int) error {
	return func(_ *Ground, pid int) error {
		err := os.ErrNotExist
		for _, tid := range threadsOf(pid) {
			err = do(pid, tid)
		}
		return err
	}
}

// siQueue is SI_QUEUE, sigaction(2).
const siQueue = -1

// withSiginfo calls do with the address of a siginfo_t as sigqueue(3) makes
// it: signal, errno, code, padding, pid, uid, value.
func withSiginfo(do func(info uintptr) error) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(m) }()
	code := int32(siQueue)
	m.half(0, uint32(unix.SIGUSR1))
	m.half(8, uint32(code))
	m.half(16, uint32(os.Getpid()))
	m.half(20, uint32(os.Getuid()))
	return do(m.at(0))
}

// pidfdSignalGroup is PIDFD_SIGNAL_PROCESS_GROUP, <linux/pidfd.h> (Linux 6.9).
const pidfdSignalGroup = 1 << 2

func pidfdSignal(pidfd, flags uintptr) error {
	signal.Ignore(unix.SIGUSR1) // with a group it may come back
	_, err := call(unix.SYS_PIDFD_SEND_SIGNAL, pidfd, uintptr(unix.SIGUSR1), 0, flags)
	return err
}

// signalByFolder uses a descriptor of /proc/PID, which serves as a pidfd for
// this alone, pidfd_send_signal(2).
func signalByFolder(_ *Ground, pid int) error {
	folder, err := os.Open(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return err
	}
	defer folder.Close()
	return pidfdSignal(folder.Fd(), 0)
}

// joinGroup moves a child, which does nothing else, into the victim's group
// and lets it signal its own group: kill(2) with 0.
func joinGroup(g *Ground) error {
	group, err := unix.Getpgid(g.Victim.PID)
	if err != nil {
		return err
	}
	return g.step("", stepSignalGroup, &syscall.SysProcAttr{Setpgid: true, Pgid: group})
}

// stepSignalGroup signals the process's own group.
const stepSignalGroup = "step/signal-group"

func signalOwnGroup(*Ground) error {
	signal.Ignore(unix.SIGUSR1)
	defer time.Sleep(look)
	return unix.Kill(0, unix.SIGUSR1)
}
