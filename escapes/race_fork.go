package escapes

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// forked is a process that was made by fork alone.
type forked struct{ pid int }

// signalsAt is where fork keeps signal masks in an arena, of eight bytes each.
const signalsAt = arenaSize - 64

// fork makes a copy of this process, with flags of clone(2), that does one
// thing for ever. Nothing but the calling thread is in the copy, so what it
// does must neither allocate, nor wait, nor make calls but by RawSyscall.
func (a *arena) fork(flags uintptr, do func()) (*forked, error) {
	debug.SetGCPercent(-1) // a collection under way would wait for threads that are not in the copy
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	growStack()
	runtime.Gosched()              // so that nobody asks the copy to give way to other goroutines
	const setMask, maskSize = 2, 8 // SIG_SETMASK, and the kernel's sigset_t
	all, old := a.word(signalsAt, ^uint64(0)), a.at(signalsAt+8)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, setMask, all, old, maskSize, 0, 0)
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
		for {
			do()
		}
	}
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, setMask, old, 0, maskSize, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("fork: %w", errno)
	}
	return &forked{int(pid)}, nil
}

// growStack makes room on the stack: the copy could not allocate more.
//
//go:noinline
func growStack() byte {
	var room [16 << 10]byte
	return room[len(os.Args)]
}

// end ends the process.
func (f *forked) end() {
	_ = unix.Kill(f.pid, unix.SIGKILL)
	_, _ = unix.Wait4(f.pid, nil, 0, nil)
}

// endAfter ends the process in a while.
func (f *forked) endAfter(d time.Duration) { time.AfterFunc(d, f.end) }
