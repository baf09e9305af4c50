package escapes

import (
	"os"

	"golang.org/x/sys/unix"
)

// limitAttempts change what another process may use, and how much.
func limitAttempts() []Attempt {
	return []Attempt{
		{Name: "process/limit-descriptors", Does: "take the descriptors from a process", Try: each(limit(unix.RLIMIT_NOFILE, 0))},
		{Name: "process/limit-high-bits", Does: "limit a process by a number with high bits set",
			Try: each(limit(unix.RLIMIT_NPROC, 1<<32))},
		{Name: "process/nice-process", Does: "make a process run last", Try: each(func(_ *Ground, pid int) error {
			_, err := call(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, uintptr(pid), 19)
			return err
		})},
		{Name: "process/nice-group", Does: "make a process group run last", Try: each(onGroup(func(group int) error {
			_, err := call(unix.SYS_SETPRIORITY, unix.PRIO_PGRP, uintptr(group), 18)
			return err
		}))},
		{Name: "process/ioprio-process", Does: "make a process wait for the disk", Try: each(func(_ *Ground, pid int) error {
			_, err := call(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(pid), ioprioBestEffort|7)
			return err
		})},
		{Name: "process/ioprio-group", Does: "make a process group wait for the disk", Try: each(onGroup(func(group int) error {
			_, err := call(unix.SYS_IOPRIO_SET, ioprioWhoGroup, uintptr(group), ioprioBestEffort|6)
			return err
		}))},
		{Name: "process/affinity", Does: "bind a process to one processor", Try: each(func(_ *Ground, pid int) error {
			var one unix.CPUSet
			one.Set(0)
			return unix.SchedSetaffinity(pid, &one)
		})},
		{Name: "process/scheduler", Does: "give a process another scheduler", Try: each(withParam(func(pid int, param uintptr) error {
			_, err := call(unix.SYS_SCHED_SETSCHEDULER, uintptr(pid), schedBatch, param)
			return err
		}))},
		{Name: "process/scheduler-attr", Does: "give a process the idle scheduler (sched_setattr)", Try: each(setAttr)},
		{Name: "process/oom", Does: "have a process killed first when memory is short", Try: each(func(_ *Ground, pid int) error {
			return os.WriteFile(procFile(pid, "oom_score_adj"), []byte("777"), 0)
		})},
		{Name: "process/oom-old", Does: "the same by oom_adj", Try: each(func(_ *Ground, pid int) error {
			return os.WriteFile(procFile(pid, "oom_adj"), []byte("9"), 0)
		})},
		{Name: "process/coredump-filter", Does: "change what a process's core dump holds", Try: each(func(_ *Ground, pid int) error {
			return os.WriteFile(procFile(pid, "coredump_filter"), []byte("0x7f"), 0)
		})},
		{Name: "process/timer-slack", Does: "make a process's timers late", Needs: []Need{NeedRoot},
			Try: each(func(_ *Ground, pid int) error {
				return os.WriteFile(procFile(pid, "timerslack_ns"), []byte("1000000"), 0)
			})},
	}
}

// From <linux/ioprio.h> and <linux/sched.h>.
const (
	ioprioWhoProcess = 1
	ioprioWhoGroup   = 2
	ioprioBestEffort = 2 << 13
	schedBatch       = 3
	schedIdle        = 5
)

// limit lowers a limit by one: enough to be seen, too little to hurt. The
// process's number gets high bits, which the kernel does not look at.
func limit(resource int, high uintptr) func(*Ground, int) error {
	return func(_ *Ground, pid int) error {
		var now unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &now); err != nil {
			return err
		}
		m, err := newMemory(4096)
		if err != nil {
			return err
		}
		m.word(0, min(now.Cur, now.Max-1))
		m.word(8, now.Max-1)
		_, err = call(unix.SYS_PRLIMIT64, uintptr(pid)|high, uintptr(resource), m.at(0), 0)
		return err
	}
}

// onGroup makes an action on a process of one on its group.
func onGroup(do func(group int) error) func(*Ground, int) error {
	return func(_ *Ground, pid int) error {
		group, err := unix.Getpgid(pid)
		if err != nil {
			return err
		}
		return do(group)
	}
}

// withParam makes a struct sched_param, whose one field is the priority.
func withParam(do func(pid int, param uintptr) error) func(*Ground, int) error {
	return func(_ *Ground, pid int) error {
		m, err := newMemory(4096)
		if err != nil {
			return err
		}
		return do(pid, m.half(0, 0))
	}
}

// setAttr calls sched_setattr(2) with a struct sched_attr: size, policy, and
// zeroes.
func setAttr(_ *Ground, pid int) error {
	const size = 48
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	m.half(0, size)
	m.half(4, schedIdle)
	_, err = call(unix.SYS_SCHED_SETATTR, uintptr(pid), m.at(0), 0)
	return err
}
