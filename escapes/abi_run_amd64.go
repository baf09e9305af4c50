package escapes

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// onRoutine makes an attempt's function of one that writes a routine, which is
// then run.
func onRoutine(write func(*Ground, *routine) error) func(*Ground) error {
	return func(g *Ground) error {
		r, err := newRoutine()
		if err != nil {
			return err
		}
		if err := write(g, r); err != nil {
			return err
		}
		return r.run()
	}
}

// run runs the routine in a forked child, to its end.
func (r *routine) run() error {
	pid, err := r.start(uintptr(unix.SIGCHLD))
	if err != nil {
		return err
	}
	return awaitEnd(pid)
}

// start starts the routine in a child made with the flags of clone(2).
func (r *routine) start(flags uintptr) (int, error) {
	r.exit()
	pid := startAt(flags, r.m.at(0), r.stack())
	if int(pid) < 0 {
		return 0, fmt.Errorf("clone: %w", unix.Errno(-pid))
	}
	return int(pid), nil
}

// stack is the upper end of a stack.
func (r *routine) stack() uintptr { return r.m.at(0) + routineSize - 64 }

// awaitEnd waits for a child's end. It tells how the kernel ended it. On a busy
// machine a child takes longer than the attempt may: it then goes on alone.
func awaitEnd(pid int) error {
	var status unix.WaitStatus
	for end := time.Now().Add(2 * attemptTime); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		done, err := unix.Wait4(pid, &status, unix.WNOHANG|unix.WALL, nil)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for child: %w", err)
		case done == pid && status.Signaled():
			return fmt.Errorf("child was ended: %v", status.Signal())
		case done == pid && status.ExitStatus() != 0:
			return fmt.Errorf("connect: %w", unix.Errno(status.ExitStatus()))
		case done == pid:
			return nil
		}
	}
	return errors.Join(errors.New("child took too long"), endChild(pid))
}

// endChild ends a child that would not end by itself.
func endChild(pid int) error {
	_ = unix.Kill(pid, unix.SIGKILL) // it may have ended meanwhile
	_, err := unix.Wait4(pid, nil, unix.WALL, nil)
	return err
}

// socket makes a socket whose number is 0: it takes the lowest that is free.
func (r *routine) socket(kind uintptr) {
	r.call(unix.SYS_CLOSE, 0)
	r.call(unix.SYS_SOCKET, unix.AF_INET, kind, 0)
}

// name lays the denied peer's address.
func (r *routine) name(g *Ground) (at, size uintptr) {
	b := sockaddr(g.Denied.AddrPort4())
	return r.lay(b), uintptr(len(b))
}

// token lays the token.
func (r *routine) token(g *Ground) (at, size uintptr) {
	return r.lay([]byte(g.Token)), uintptr(len(g.Token))
}

// connect connects descriptor 0 to the denied peer.
func (r *routine) connect(g *Ground) {
	at, size := r.name(g)
	r.call(unix.SYS_CONNECT, 0, at, size)
	r.keepError()
}

// keepError has ebx tell how a call failed.
func (r *routine) keepError() {
	r.emit(0x89, 0xc3, 0xf7, 0xdb) // mov ebx, eax; neg ebx
}

// write writes the token to descriptor 0, connected or not.
func (r *routine) write(g *Ground) {
	at, size := r.token(g)
	r.call(unix.SYS_SENDTO, 0, at, size, unix.MSG_NOSIGNAL, 0, 0)
}

// dial connects a socket of its own to the denied peer and writes the token.
func (r *routine) dial(g *Ground) {
	r.socket(unix.SOCK_STREAM)
	r.connect(g)
	r.write(g)
}

// pause waits for a time below a second.
func (r *routine) pause(d time.Duration) {
	r.call(unix.SYS_NANOSLEEP, r.lay(words(0, uintptr(d))), 0)
}
