package seccomp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// NotifID identifies one pending notification of one listener
// (struct seccomp_notif, member id).
type NotifID uint64

// Notif is one trapped system call (struct seccomp_notif). The arguments are
// a copy of the registers at entry: the target can no longer change them.
type Notif struct {
	ID   NotifID
	PID  uint32 // thread id of the caller, in the supervisor's PID namespace; 0 if it is not visible there
	_    uint32 // flags, always 0
	Data Data
}

// Data is struct seccomp_data.
type Data struct {
	Nr   int32
	Arch uint32
	IP   uint64
	Args [6]uint64
}

// Int returns argument n as the kernel reads an int parameter: its low 32 bits.
func (d *Data) Int(n int) int32 { return int32(uint32(d.Args[n])) }

// Sentinel errors of the package.
var (
	// ErrNotSupported is wrapped by probes and operations that this kernel,
	// or the container's own filter, does not give.
	ErrNotSupported = errors.New("not supported here")
	// ErrTargetGone says that the target died, or that a signal ended its
	// call, before it could be answered. Nothing needs to be done then.
	ErrTargetGone = errors.New("target is gone")
	// ErrClosed says that no process uses the filter any more.
	ErrClosed = errors.New("no filtered process is left")
)

// Listener owns the descriptor on which the kernel hands over trapped calls.
// Its methods are safe for concurrent use; Close must not be called while
// another goroutine is inside one of them.
type Listener struct {
	fd int
}

// NewListener takes ownership of fd, a descriptor that seccomp(2) returned
// for SECCOMP_FILTER_FLAG_NEW_LISTENER, and marks it close-on-exec.
//
// It probes that the notification ioctls work at all: a security module can
// refuse them, and then nothing may be started. Where the kernel knows it
// (6.6), the listener is switched to synchronous wake-ups.
func NewListener(fd int) (*Listener, error) {
	unix.CloseOnExec(fd)
	l := &Listener{fd: fd}
	// No notification has the id 0 (ids count up from a random number), so
	// a working ioctl answers ENOENT.
	if err := ioctlIDValid(fd, 0); err != nil && err != unix.ENOENT {
		unix.Close(fd)
		return nil, fmt.Errorf("use seccomp listener: %w", err)
	}
	// EINVAL before 6.6: slower, not weaker.
	_ = ioctlSetFlags(fd, seccompUserNotifFdSyncWakeUp)
	return l, nil
}

// Receive waits for the next notification. It returns ErrTargetGone when the
// call was interrupted in between (call again) and ErrClosed when the last
// filtered process has gone.
//
// Before Linux 6.11 the wait goes on for ever once the last filtered process
// has gone: the caller must not depend on ErrClosed to end.
func (l *Listener) Receive(n *Notif) error {
	for {
		*n = Notif{}
		err := ioctlRecv(l.fd, n)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.ENOENT:
			// Both an interrupted call and the end of the last process say
			// ENOENT; only POLLHUP tells which it was.
			if l.hungUp() {
				return ErrClosed
			}
			return ErrTargetGone
		default:
			return fmt.Errorf("receive notification: %w", err)
		}
	}
}

func (l *Listener) hungUp() bool {
	p := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if err == unix.EINTR {
			continue
		}
		return err == nil && n > 0 && p[0].Revents&unix.POLLHUP != 0
	}
}

// Valid says whether the notification still waits for its answer. Only while
// it does is the target's thread stopped in that very call, so what was read
// from /proc or from its memory before a true answer did belong to it.
func (l *Listener) Valid(id NotifID) bool {
	for {
		// EINTR says nothing of the notification: a signal for this process
		// (Go's preemption) came while another thread held the listener's
		// lock (kernel/seccomp.c, seccomp_notify_id_valid).
		if err := ioctlIDValid(l.fd, id); err != unix.EINTR {
			return err == nil
		}
	}
}

// Return answers the call with val.
func (l *Listener) Return(id NotifID, val int64) error {
	return l.send(&notifResp{id: id, val: val})
}

// Fail answers the call with -1 and errno.
func (l *Listener) Fail(id NotifID, errno unix.Errno) error {
	return l.send(&notifResp{id: id, err: -int32(errno)})
}

// Continue lets the kernel run the call as the target made it. The kernel
// reads memory and descriptor table again, so the caller must know that no
// memory or descriptor that the target swaps in can do harm
// (seccomp_unotify(2), SECCOMP_USER_NOTIF_FLAG_CONTINUE).
func (l *Listener) Continue(id NotifID) error {
	return l.send(&notifResp{id: id, flags: seccompUserNotifFlagContinue})
}

func (l *Listener) send(r *notifResp) error {
	for {
		err := ioctlSend(l.fd, r)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.ENOENT:
			return ErrTargetGone
		default:
			return fmt.Errorf("answer notification: %w", err)
		}
	}
}

// AddFD puts a duplicate of srcFD into the target and returns its number
// there; the caller keeps srcFD and answers the call.
//
// SECCOMP_ADDFD_FLAG_SEND, which would answer in the same step, is not used:
// a signal for this process (Go's preemption) in the middle of it leaves the
// notification marked as answered, with the value 0 and no descriptor added.
// Without the flag the kernel takes the request back, and it runs again.
//
// Errors: ErrTargetGone; EMFILE where the target's table is full.
func (l *Listener) AddFD(id NotifID, srcFD int, cloexec bool) (int, error) {
	a := notifAddFD{id: id, srcFD: uint32(srcFD)}
	if cloexec {
		a.newFDFlags = unix.O_CLOEXEC
	}
	for {
		fd, err := ioctlAddFD(l.fd, &a)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR:
			continue
		case unix.ENOENT, unix.ESRCH:
			return -1, ErrTargetGone
		default:
			return -1, fmt.Errorf("add descriptor: %w", err)
		}
	}
}

// Close gives the listener up: from then on every trapped call of a process
// that still lives fails with ENOSYS.
func (l *Listener) Close() error {
	if err := unix.Close(l.fd); err != nil {
		return fmt.Errorf("close seccomp listener: %w", err)
	}
	return nil
}
