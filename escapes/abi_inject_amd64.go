package escapes

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// injectedAttempts put code into a child without tracing it.
func injectedAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/inject-file", Does: "write code into a child by /proc/PID/mem, which connects", Try: injecting(func(pid int, at uintptr, code []byte) error {
			mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer mem.Close()
			_, err = mem.WriteAt(code, int64(at))
			return err
		})},
		{Name: "abi/inject-call", Does: "write code into a child by process_vm_writev, which connects", Try: injecting(func(pid int, at uintptr, code []byte) error {
			here := []unix.Iovec{{Base: &code[0], Len: uint64(len(code))}}
			_, err := unix.ProcessVMWritev(pid, here, []unix.RemoteIovec{{Base: at, Len: len(code)}}, 0)
			return err
		})},
	}
}

// injecting starts a child that waits again and again, and has a jump to other
// code written to where it would begin anew.
func injecting(inject func(pid int, at uintptr, code []byte) error) func(*Ground) error {
	return func(g *Ground) error {
		r, err := newRoutine()
		if err != nil {
			return err
		}
		target := r.aside(func() {
			r.dial(g)
			r.exit()
		})
		begin := r.code
		r.pause(longPause)
		at := r.here()
		r.emit(0xeb, byte(begin-r.code-2)) // jmp begin
		pid, err := r.start(uintptr(unix.SIGCHLD))
		if err != nil {
			return err
		}
		time.Sleep(longPause / 2) // until it waits
		jump := append([]byte{0x48, 0xb8}, words(target)...)
		if err := inject(pid, at, append(jump, 0xff, 0xe0)); err != nil {
			return errors.Join(fmt.Errorf("write to child: %w", err), endChild(pid))
		}
		return awaitEnd(pid)
	}
}
