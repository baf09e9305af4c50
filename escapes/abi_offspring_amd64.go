package escapes

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// longPause is how long a parent waits for a child that it does not wait for
// otherwise.
const longPause = 100 * time.Millisecond

// threadFlags are those by which clone(2) makes a thread.
const threadFlags = unix.CLONE_VM | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_FILES | unix.CLONE_FS | unix.CLONE_SYSVSEM

// offspringAttempts connect in processes and threads that stand in another
// relation to the attempt than a child of fork does.
func offspringAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/sibling", Does: "connect in a process that is the attempt's sibling", Try: connectSibling},
		{Name: "abi/untraced", Does: "connect in a child that no tracer is told of", Try: writing(func(r *routine, g *Ground) {
			r.beget(unix.CLONE_UNTRACED|uintptr(unix.SIGCHLD), func() { r.dial(g) })
		})},
		{Name: "abi/thread-own-tls", Does: "connect in a thread whose thread-local storage is nowhere", Try: writing(func(r *routine, g *Ground) {
			r.call(unix.SYS_CLONE, threadFlags|unix.CLONE_SETTLS, 0, 0, 0, 0xdead000)
			r.onZero(func() {
				r.dial(g)
				r.exit()
			})
			r.pause(longPause)
		})},
		{Name: "abi/vfork-execute", Does: "execute a program that connects in a vforked child", Try: onRoutine(func(g *Ground, r *routine) error {
			path, err := g.program("vfork", elf64, (*routine).dial)
			if err != nil {
				return err
			}
			r.beget(unix.CLONE_VM|unix.CLONE_VFORK|uintptr(unix.SIGCHLD), func() { r.execute(path) })
			return nil
		})},
		{Name: "abi/thread-execute", Does: "execute a program that connects in a thread, which becomes the leader", Try: onRoutine(func(g *Ground, r *routine) error {
			path, err := g.program("thread", elf64, (*routine).dial)
			if err != nil {
				return err
			}
			r.call(unix.SYS_CLONE, threadFlags)
			r.onZero(func() {
				r.execute(path)
				r.exit()
			})
			r.pause(longPause)
			return nil
		})},
		{Name: "abi/no-stack", Does: "connect in a child that has unmapped its arguments and environment", Try: onRoutine(func(g *Ground, r *routine) error {
			from, to, err := stackOf()
			if err != nil {
				return err
			}
			r.call(unix.SYS_MUNMAP, from, to-from)
			r.dial(g)
			return nil
		})},
		{Name: "abi/daemon", Does: "connect in a daemon once the attempt has ended", Try: connectDaemon},
	}
}

// beget has a child made with flags do something and end, and waits for it.
func (r *routine) beget(flags uintptr, do func()) {
	r.call(unix.SYS_CLONE, flags)
	r.onZero(func() {
		do()
		r.exit()
	})
	r.await()
}

// execute executes a file, by whose name the program knows itself.
func (r *routine) execute(path string, args ...string) {
	list := []uintptr{r.text(path)}
	for _, a := range args {
		list = append(list, r.text(a))
	}
	r.call(unix.SYS_EXECVE, list[0], r.lay(words(append(list, 0)...)), r.lay(words(0)))
}

// connectSibling makes a child of the attempt's parent.
func connectSibling(g *Ground) error {
	r, err := newRoutine()
	if err != nil {
		return err
	}
	r.dial(g)
	if _, err := r.start(unix.CLONE_PARENT); err != nil {
		return err
	}
	time.Sleep(longPause) // it is not ours to wait for
	return nil
}

// stackOf is where the program's first stack lies.
func stackOf() (from, to uintptr, err error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if strings.HasSuffix(lines.Text(), "[stack]") {
			_, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to)
			return from, to, err
		}
	}
	return 0, 0, fmt.Errorf("find stack: %w", os.ErrNotExist)
}

// connectDaemon leaves a process behind, in a session of its own, which waits
// for the attempt's end and then tries to connect for a second. Once is enough:
// what comes later would be laid to another attempt.
func connectDaemon(g *Ground) error {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("open oneself: %w", err)
	}
	r, err := newRoutine()
	if err != nil {
		return err
	}
	const pollIn, most = 1, 5000
	r.call(unix.SYS_SETSID)
	r.call(unix.SYS_CLONE, 0) // nobody is told of its end
	r.onZero(func() {
		r.call(unix.SYS_POLL, r.halves(uintptr(self), pollIn), 1, most)
		for range 10 {
			r.socket(unix.SOCK_STREAM)
			r.connect(g)
			r.onZero(func() {
				r.write(g)
				r.exit()
			})
			r.pause(longPause)
		}
	})
	return r.run()
}
