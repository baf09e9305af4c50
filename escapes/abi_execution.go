package escapes

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// executionAttempts execute this program anew, otherwise than by its file's
// name: on every architecture.
func executionAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/execute-memory", Does: "connect in a copy of the program that has no name", Try: func(g *Ground) error {
			fd, err := unix.MemfdCreate("copy", unix.MFD_CLOEXEC)
			if err != nil {
				return fmt.Errorf("memfd_create: %w", err)
			}
			to := os.NewFile(uintptr(fd), "copy")
			if err := copyProgram(to); err != nil {
				return err
			}
			defer to.Close()
			return g.stepBy("/proc/self/fd/"+decimal(fd), "connect", nil)
		}},
		{Name: "abi/execute-deleted", Does: "connect in a copy of the program whose file is gone", Try: func(g *Ground) error {
			path := g.mine("deleted")
			to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
			if err != nil {
				return err
			}
			err = copyProgram(to)
			if closed := to.Close(); err != nil || closed != nil {
				return fmt.Errorf("copy program: %w", err)
			}
			fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			return g.stepBy("/proc/self/fd/"+decimal(fd), "connect", nil)
		}},
		{Name: "abi/execute-personality", Does: "connect in this program under another personality", Try: executeOtherwise},
	}
}

// copyProgram copies this program to a file.
func copyProgram(to *os.File) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	return nil
}

// executeOtherwise executes this program under the oldest layout of memory,
// where the attempt is made once more.
func executeOtherwise(g *Ground) error {
	const query, noRandomize, compatLayout = 0xffffffff, 0x0040000, 0x0200000 // <sys/personality.h>
	now, err := call(unix.SYS_PERSONALITY, query)
	if err != nil {
		return fmt.Errorf("personality: %w", err)
	}
	if now&compatLayout != 0 {
		return connectAndWrite(g, g.Denied.AddrPort4())
	}
	runtime.LockOSThread() // the personality is the thread's; never unlocked
	if _, err := call(unix.SYS_PERSONALITY, noRandomize|compatLayout); err != nil {
		return fmt.Errorf("personality: %w", err)
	}
	return fmt.Errorf("exec: %w", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}
