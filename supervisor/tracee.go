package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"boundary/seccomp"

	"golang.org/x/sys/unix"
)

// tracee is a thread that the calling thread traces, by its number. It leads
// its process.
type tracee int

// attach begins to trace a thread without stopping it. It takes nothing but
// what the kernel grants towards a process of the same user below one's own;
// where a debugger traces the thread already it is EPERM.
//
// Preconditions: locked thread; tid waits in a trapped call.
func attach(tid int) (tracee, error) {
	if group, err := seccomp.ThreadGroup(tid); err != nil || group != tid {
		return 0, errors.Join(err, unix.ESRCH)
	}
	if err := ptrace(unix.PTRACE_SEIZE, tid, unix.PTRACE_O_TRACEEXEC); err != nil {
		return 0, fmt.Errorf("trace thread %d: %w", tid, err)
	}
	return tracee(tid), nil
}

// probeTrace says whether a process of one's own can be traced here: Yama, a
// security module or a seccomp profile may forbid it.
func probeTrace(pid int) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // ptrace(2) goes by thread
		defer runtime.UnlockOSThread()
		t, err := attach(pid)
		if err == nil {
			t.finish(leave)
		}
		result <- err
	}()
	return <-result
}

// leave is for finish where a new program is none of ours.
func leave(tracee) error { return nil }

// finish waits for the end of the exec, calls begun where it has led to a new
// program, and lets the thread go.
//
// Preconditions: the exec is on its way, so that the stop which is asked for
// here comes when it has failed, or else is done.
func (t tracee) finish(begun func(tracee) error) {
	// An exec that fails (execvp(3) tries one folder after the other) makes
	// no event. The stop that is asked for lapses with the one of the event.
	_ = unix.PtraceInterrupt(int(t))
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(int(t), &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || !status.Stopped():
			return // it has ended
		}
		deliver := 0
		switch event := int(status) >> 16; event {
		case unix.PTRACE_EVENT_EXEC:
			_ = begun(t) // without it the program runs as it would have
		case unix.PTRACE_EVENT_STOP:
		default:
			deliver = int(status.StopSignal()) // a signal came first
		}
		if ptrace(unix.PTRACE_DETACH, int(t), uintptr(deliver)) == nil {
			return
		}
		// It was killed while it stood: its end is to be collected.
	}
}

// file is one of its files in /proc.
func (t tracee) file(name string) string { return "/proc/" + strconv.Itoa(int(t)) + "/" + name }

// strings reads a file of it that holds strings, each with a zero byte behind.
func (t tracee) strings(name string) ([][]byte, error) {
	text, err := os.ReadFile(t.file(name))
	if err != nil || len(text) == 0 {
		return nil, err
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte{0}), []byte{0}), nil
}

// write copies an image to its stack.
func (t tracee) write(at uint64, image []byte) error {
	if len(image) > maxImage {
		return errTooMany
	}
	return seccomp.WriteMemory(int(t), seccomp.Addr(at), image)
}

// ptrace is ptrace(2) for requests that take no address.
func ptrace(request, tid int, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
