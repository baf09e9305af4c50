package supervisor

import (
	"os"

	"golang.org/x/sys/unix"
)

// Calls that are aimed at a process by its number. They are continued where
// that is a process of the session: number and all are in registers, so nothing
// can be swapped, and the number would have to be used up and given out again
// in the moment between.

// aimedFirst is for calls whose first argument is the process.
func (c *call) aimedFirst() reply { return c.aimed(c.int(0)) }

// aimedSecond is for those whose second is: setpriority(2), ioprio_set(2),
// ptrace(2).
func (c *call) aimedSecond() reply { return c.aimed(c.int(1)) }

// priority is for setpriority(2), where 1 means a process group.
func (c *call) priority() reply {
	const group = 1
	return c.aimedAt(c.int(0) == group)
}

// ioPriority is for ioprio_set(2), where 2 means a process group.
func (c *call) ioPriority() reply {
	const group = 2
	return c.aimedAt(c.int(0) == group)
}

func (c *call) aimedAt(group bool) reply {
	who := c.int(1)
	if group && !c.groupWithin(who) {
		return c.aimedOutside()
	}
	if group {
		return proceed
	}
	return c.aimed(who)
}

// aimed answers for one process or thread.
func (c *call) aimed(target int32) reply {
	if c.elsewhere() {
		return proceed
	}
	switch _, err := readStat(int(target)); {
	case err != nil:
		return fail(unix.ESRCH)
	case !c.s.procs.within(int(target)):
		return c.aimedOutside()
	}
	return proceed
}

func (c *call) aimedOutside() reply {
	c.s.refusedWith(c, unix.EPERM)
	return fail(unix.EPERM)
}

// elsewhere says whether the caller counts processes in a namespace of its own:
// all that it can name is of the session.
func (c *call) elsewhere() bool {
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return false
	}
	its, err := readLink(c.tid(), "/ns/pid")
	return err == nil && its != own && c.valid()
}

// groupWithin says whether a process group is of the session alone: its leader
// is, and the supervisor is not in it. 0 is the caller's own.
func (c *call) groupWithin(group int32) bool {
	if c.elsewhere() {
		return true
	}
	if group == 0 {
		stat, err := readStat(c.tid())
		if err != nil || !c.valid() {
			return false
		}
		group = int32(stat.group)
	}
	return int(group) != unix.Getpgrp() && c.s.procs.within(int(group))
}

// within says whether a process, or the process of a thread, is below the
// launcher: an orphan's parent is the launcher too.
func (p *processes) within(pid int) bool {
	const deepest = 4096 // generations
	for range deepest {
		stat, err := readStat(pid)
		if err != nil || stat.ppid <= 1 {
			return false
		}
		if stat.ppid == p.launcher {
			return true
		}
		pid = stat.ppid
	}
	return false
}
