package escapes

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// step is a system call that a child makes.
type step struct {
	number uintptr
	args   [6]uintptr
	// last: whoever gets another result than zero ends here. So goes on of two
	// threads the new one.
	last bool
}

// child runs steps in a process made with the flags of clone(2), and ends it
// where it has not ended by itself.
func (s *sock) child(flags uintptr, steps []step) error {
	pid, err := s.start(flags, steps)
	if err != nil {
		return err
	}
	return reap(pid)
}

// start starts a child that runs steps.
func (s *sock) start(flags uintptr, steps []step) (int, error) {
	var b []byte
	for _, st := range steps {
		b = append(b, words(st.number)...)
		b = append(b, words(st.args[:]...)...)
		last := uintptr(0)
		if st.last {
			last = 1
		}
		b = append(b, words(last)...)
	}
	pid := runChild(flags|uintptr(unix.SIGCHLD), s.lay(b), uintptr(len(steps)))
	if int(pid) < 0 {
		return 0, fmt.Errorf("clone: %w", unix.Errno(-pid))
	}
	return int(pid), nil
}

// reap waits for a child, and ends one that takes too long.
func reap(pid int) error {
	for end := time.Now().Add(attemptTime / 2); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); done == pid || err != nil && err != unix.EINTR {
			return err
		}
	}
	// It may have ended meanwhile.
	_ = unix.Kill(pid, unix.SIGKILL)
	_, err := unix.Wait4(pid, nil, 0, nil)
	return err
}

// connectSteps are those of a connect and a write of the token.
func (s *sock) connectSteps(g *Ground) []step {
	name := sockaddr(g.Denied.AddrPort4())
	return []step{
		{number: unix.SYS_CONNECT, args: [6]uintptr{s.fd, s.lay(name), uintptr(len(name))}},
		s.writeStep(g),
	}
}

// writeStep writes the token. No signal may come to a child: it has no stack.
func (s *sock) writeStep(g *Ground) step {
	return step{number: unix.SYS_SENDTO, args: [6]uintptr{s.fd, s.lay([]byte(g.Token)), uintptr(len(g.Token)), unix.MSG_NOSIGNAL}}
}

// pause is a step that waits.
func (s *sock) pause(d time.Duration) step {
	return step{number: unix.SYS_PPOLL, args: [6]uintptr{0, 0, s.lay(words(0, uintptr(d)))}}
}

// onOwnThread runs a function on a thread that ends with it, and with it whatever
// the function changed of it.
func onOwnThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- do()
	}()
	return <-done
}

// tcpChildAttempts connect from other processes and threads.
func tcpChildAttempts() []Attempt {
	machine := []Need{NeedAMD64}
	const thread = unix.CLONE_VM | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_FILES | unix.CLONE_FS | unix.CLONE_SYSVSEM
	return []Attempt{
		{Name: "tcp/child-fork", Does: "connect a shared socket in a forked child", Needs: machine, Try: connectInChild(0)},
		{Name: "tcp/child-vfork", Does: "connect in a vforked child, in its parent's memory", Needs: machine,
			Try: connectInChild(unix.CLONE_VM | unix.CLONE_VFORK)},
		{Name: "tcp/child-files", Does: "connect in a child that shares descriptors but no memory", Needs: machine,
			Try: connectInChild(unix.CLONE_FILES)},
		{Name: "tcp/child-memory", Does: "connect in a child that shares memory but no descriptors", Needs: machine,
			Try: connectInChild(unix.CLONE_VM)},
		{Name: "tcp/child-orphan", Does: "connect in a child whose parent has ended", Needs: machine, Try: connectInOrphan},
		{Name: "tcp/child-leaderless", Does: "connect in a thread whose leader has exited", Needs: machine,
			Try: func(g *Ground) error {
				s, err := streamTo(g.Denied.AddrPort4())
				if err != nil {
					return err
				}
				split := step{number: unix.SYS_CLONE, args: [6]uintptr{thread}, last: true}
				return s.child(0, append([]step{split, s.pause(30 * time.Millisecond)}, s.connectSteps(g)...))
			}},
		{Name: "tcp/child-socket-taken", Does: "connect a socket taken from a child by pidfd_getfd", Needs: machine, Try: connectTaken},
		{Name: "tcp/thread-own-files", Does: "connect in a thread with a descriptor table of its own", Try: connectOwnFiles},
		{Name: "tcp/thread-other-user", Does: "connect in a thread that took another user", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			return asNobody(func() error { return connectAndWrite(g, g.Denied.AddrPort4()) })
		}},
		{Name: "tcp/thread-chroot", Does: "connect from below another root directory", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			return onOwnThread(func() error {
				if err := unix.Unshare(unix.CLONE_FS); err != nil {
					return fmt.Errorf("unshare: %w", err)
				}
				if err := unix.Chroot(g.Dir); err != nil {
					return fmt.Errorf("chroot: %w", err)
				}
				return connectAndWrite(g, g.Denied.AddrPort4())
			})
		}},
	}
}

// connectInChild connects in a child made with the flags of clone(2).
func connectInChild(flags uintptr) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		return s.child(flags, s.connectSteps(g))
	}
}

// connectInOrphan has a child of a child connect once its parent is gone.
func connectInOrphan(g *Ground) error {
	s, err := streamTo(g.Denied.AddrPort4())
	if err != nil {
		return err
	}
	split := step{number: unix.SYS_CLONE, args: [6]uintptr{uintptr(unix.SIGCHLD)}, last: true}
	if err := s.child(0, append([]step{split, s.pause(30 * time.Millisecond)}, s.connectSteps(g)...)); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond) // it is nobody's child here any more
	return nil
}

// connectTaken has a child make a socket, and takes it over.
func connectTaken(g *Ground) error {
	s, err := madeInChild(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	return s.connectAndWrite(g, g.Denied.AddrPort4())
}

// madeInChild takes a socket over that a child made, pidfd_getfd(2).
func madeInChild(kind uintptr) (*sock, error) {
	s, err := wrapSock(0)
	if err != nil {
		return nil, err
	}
	pid, err := s.start(0, []step{
		{number: unix.SYS_CLOSE, args: [6]uintptr{0}}, // what is made next gets this number
		{number: unix.SYS_SOCKET, args: [6]uintptr{unix.AF_INET, kind, 0}},
		s.pause(300 * time.Millisecond),
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = reap(pid) }()
	time.Sleep(50 * time.Millisecond)
	pidfd, err := call(unix.SYS_PIDFD_OPEN, uintptr(pid), 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	if s.fd, err = call(unix.SYS_PIDFD_GETFD, pidfd, 0, 0); err != nil {
		return nil, fmt.Errorf("pidfd_getfd: %w", err)
	}
	return s, nil
}

// connectOwnFiles has one number stand for one socket in this thread and for
// another, connected to the allowed peer, in all others.
func connectOwnFiles(g *Ground) error {
	s, err := streamTo(g.Denied.AddrPort4())
	if err != nil {
		return err
	}
	if err := s.connect(sockaddr(g.Allowed.AddrPort4())); err != nil {
		return err
	}
	return onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_FILES); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		own, err := streamTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		if _, err := call(unix.SYS_DUP3, own.fd, s.fd, 0); err != nil {
			return fmt.Errorf("dup3: %w", err)
		}
		return s.connectAndWrite(g, g.Denied.AddrPort4())
	})
}

// asNobody runs a function as another user, which it takes by the system call
// itself: that only changes the thread.
func asNobody(do func() error) error {
	const nobody = 65534
	return onOwnThread(func() error {
		for _, number := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, err := call(number, nobody, nobody, nobody); err != nil {
				return fmt.Errorf("change user: %w", err)
			}
		}
		return do()
	})
}
