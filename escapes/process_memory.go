package escapes

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// memoryAttempts read and change what another process holds, or take it.
func memoryAttempts() []Attempt {
	return []Attempt{
		{Name: "process/ptrace-attach", Does: "attach to a process and write its memory", Guards: ptraceGuard,
			Try: each(traced(unix.PTRACE_ATTACH, pokeMark))},
		{Name: "process/ptrace-seize", Does: "seize a process and read its memory", Guards: ptraceGuard,
			Try: each(traced(unix.PTRACE_SEIZE, peekSecret))},
		{Name: "process/vm-readv", Does: "read another process's memory", Guards: ptraceGuard, Try: readRemote},
		{Name: "process/vm-writev", Does: "write another process's memory", Guards: ptraceGuard, Try: writeRemote},
		{Name: "process/mem-read", Does: "read /proc/PID/mem", Guards: ptraceGuard, Try: func(g *Ground) error {
			return g.readSecretAt(procFile(g.Victim.PID, "mem"))
		}},
		{Name: "process/mem-read-task", Does: "read /proc/PID/task/TID/mem of a thread", Guards: ptraceGuard, Try: func(g *Ground) error {
			threads := threadsOf(g.Victim.PID)
			if len(threads) == 0 {
				return os.ErrNotExist
			}
			return g.readSecretAt(procFile(g.Victim.PID, fmt.Sprintf("task/%d/mem", slices.Max(threads))))
		}},
		{Name: "process/mem-write", Does: "write /proc/PID/mem", Guards: ptraceGuard, Try: each(writeMem)},
		{Name: "process/environ", Does: "read a process's environment", Guards: ptraceGuard, Try: func(g *Ground) error {
			return foundIn(procFile(g.Victim.PID, "environ"), victimVariable+"=")
		}},
		{Name: "process/fd-open", Does: "open a process's file by /proc/PID/fd", Guards: ptraceGuard, Try: func(g *Ground) error {
			return foundIn(procFile(g.Victim.PID, fmt.Sprintf("fd/%d", g.Victim.File)), "")
		}},
		{Name: "process/getfd-socket", Does: "take a process's connection with pidfd_getfd", Guards: ptraceGuard,
			Try: func(g *Ground) error { return onPidfd(stealSocket)(g, g.Victim.PID) }},
		{Name: "process/getfd-file", Does: "take a process's file with pidfd_getfd", Guards: ptraceGuard,
			Try: func(g *Ground) error { return onPidfd(stealFile)(g, g.Victim.PID) }},
		{Name: "process/getfd-thread", Does: "take a connection by a pidfd of one thread", Guards: ptraceGuard, Try: stealFromThread},
	}
}

// traced is an action on a process that is stopped and traced, ptrace(2). It
// goes on afterwards.
func traced(how uintptr, do func(g *Ground, pid int) error) func(*Ground, int) error {
	return func(g *Ground, pid int) error {
		// Only the thread that attached may ask for more.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, err := call(unix.SYS_PTRACE, how, uintptr(pid)); err != nil {
			return fmt.Errorf("attach: %w", err)
		}
		defer func() { _ = unix.PtraceDetach(pid) }() // not stopped: the end of this thread detaches
		if how == unix.PTRACE_SEIZE {
			if err := unix.PtraceInterrupt(pid); err != nil {
				return fmt.Errorf("interrupt: %w", err)
			}
		}
		for range 100 {
			if got, err := unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil); err != nil || got == pid {
				return do(g, pid)
			}
			time.Sleep(5 * time.Millisecond)
		}
		return unix.ETIMEDOUT
	}
}

func pokeMark(g *Ground, pid int) error {
	_, err := unix.PtracePokeData(pid, uintptr(g.Victim.MarkAt), mark)
	return err
}

func peekSecret(g *Ground, pid int) error {
	secret := make([]byte, SecretSize)
	if _, err := unix.PtracePeekData(pid, uintptr(g.Victim.SecretAt), secret); err != nil {
		return err
	}
	return Found(secret)
}

// mark is what is written over the victim's.
var mark = bytes.Repeat([]byte{0x55}, 8)

// remote calls process_vm_readv(2) or process_vm_writev(2).
func remote(number uintptr, pid int, m memory, local uintptr, at uint64, size int) error {
	m.word(0, uint64(local))
	m.word(8, uint64(size))
	m.word(16, at)
	m.word(24, uint64(size))
	_, err := call(number, uintptr(pid), m.at(0), 1, m.at(16), 1, 0)
	return err
}

func readRemote(g *Ground) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	if err := remote(unix.SYS_PROCESS_VM_READV, g.Victim.PID, m, m.at(64), g.Victim.SecretAt, SecretSize); err != nil {
		return err
	}
	return Found(bytes.Clone(m[64 : 64+SecretSize]))
}

func writeRemote(g *Ground) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	return remote(unix.SYS_PROCESS_VM_WRITEV, g.Victim.PID, m, m.put(64, mark), g.Victim.MarkAt, len(mark))
}

// readSecretAt reads the secret at its address in a file of memory.
func (g *Ground) readSecretAt(path string) error {
	mem, err := os.Open(path)
	if err != nil {
		return err
	}
	defer mem.Close()
	secret := make([]byte, SecretSize)
	if _, err := mem.ReadAt(secret, int64(g.Victim.SecretAt)); err != nil {
		return err
	}
	return Found(secret)
}

// writeMem writes the mark; in the session's own processes, of which no
// address is known, it writes wherever they may be written to.
func writeMem(g *Ground, pid int) error {
	mem, err := os.OpenFile(procFile(pid, "mem"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	at := int64(g.Victim.MarkAt)
	if pid != g.Victim.PID {
		at = writableAt(pid)
	}
	_, err = mem.WriteAt(mark, at)
	return err
}

// writableAt is the address of a process's first writable memory, of
// /proc/PID/maps.
func writableAt(pid int) int64 {
	maps, _ := os.ReadFile(procFile(pid, "maps"))
	for line := range bytes.Lines(maps) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(string(line), "%x-%x %s", &from, &to, &rights); err == nil && rights[1] == 'w' {
			return from
		}
	}
	return 0
}

// foundIn takes for the secret what follows a word in a file.
func foundIn(path, word string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, after, ok := bytes.Cut(text, []byte(word))
	if !ok {
		return os.ErrNotExist
	}
	return Found(after[:min(len(after), SecretSize)])
}

// getfd is pidfd_getfd(2).
func getfd(pidfd uintptr, fd int) (uintptr, error) {
	taken, err := call(unix.SYS_PIDFD_GETFD, pidfd, uintptr(fd), 0)
	if err != nil {
		return 0, fmt.Errorf("pidfd_getfd: %w", err)
	}
	return taken, nil
}

func stealSocket(g *Ground, pidfd uintptr) error {
	fd, err := getfd(pidfd, g.Victim.Socket)
	if err != nil {
		return err
	}
	_, err = unix.Write(int(fd), []byte(g.Token))
	return err
}

func stealFile(g *Ground, pidfd uintptr) error {
	fd, err := getfd(pidfd, g.Victim.File)
	if err != nil {
		return err
	}
	secret := make([]byte, SecretSize)
	if _, err := unix.Pread(int(fd), secret, 0); err != nil {
		return err
	}
	return Found(secret)
}

// pidfdThread is PIDFD_THREAD, <linux/pidfd.h> (Linux 6.9).
const pidfdThread = unix.O_EXCL

func stealFromThread(g *Ground) error {
	threads := threadsOf(g.Victim.PID)
	if len(threads) == 0 {
		return os.ErrNotExist
	}
	pidfd, err := call(unix.SYS_PIDFD_OPEN, uintptr(slices.Max(threads)), pidfdThread)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	return stealSocket(g, pidfd)
}
