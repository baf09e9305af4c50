package supervisor

import (
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/seccomp"
)

// reply is what a handler answers.
type reply struct {
	kind  replyKind
	val   int64
	errno unix.Errno
}

type replyKind uint8

const (
	replyValue    replyKind = iota
	replyErrno              // -1 and errno
	replyContinue           // the kernel runs the call: see package doc
)

func value(v int64) reply         { return reply{kind: replyValue, val: v} }
func fail(errno unix.Errno) reply { return reply{kind: replyErrno, errno: errno} }
func failWith(err error) reply    { return fail(errnoOf(err)) }
func result(n int, e error) reply { return resultOf(int64(n), e) }
func resultOf(n int64, err error) reply {
	if err != nil {
		return failWith(err)
	}
	return value(n)
}

var proceed = reply{kind: replyContinue}

// errnoOf finds the errno in err. An error without one is a fault of ours: the
// call is refused, as everything is that can't be decided.
func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EACCES
}

// call is one trapped system call on its way to an answer.
type call struct {
	s    *Session
	n    seccomp.Notif
	name string // of the system call
	lead *lead
	proc *process

	apart bool // from the lead: it is under way on its own
	group int  // whose share and turn it has; meaningful if apart
	// answered is closed when the caller runs on, for whom waits for that;
	// usually nil.
	answered chan struct{}
}

func (c *call) arg(n int) uint64 { return c.n.Data.Args[n] }
func (c *call) int(n int) int32  { return c.n.Data.Int(n) }
func (c *call) tid() int         { return int(c.n.PID) }

// valid says whether the caller still waits in this very call, so that what
// was read by its thread id did belong to it.
func (c *call) valid() bool { return c.s.listener.Valid(c.n.ID) }

// process says who calls, and looks it up once a call. Where the caller is gone
// meanwhile its thread id may be another's, so nothing is said of it.
func (c *call) process() *process {
	if c.proc == nil {
		c.proc = c.s.procs.of(c.tid())
		if !c.valid() {
			c.proc = unknownProcess(c.tid())
		}
	}
	return c.proc
}

// read copies n bytes of the caller's memory.
func (c *call) read(addr uint64, buf []byte) error {
	return c.memoryError(asOwner(c.tid(), func() error {
		return seccomp.ReadMemory(c.tid(), seccomp.Addr(addr), buf)
	}))
}

func (c *call) write(addr uint64, buf []byte) error {
	return c.memoryError(asOwner(c.tid(), func() error {
		// The memory that is written must be that of the thread that waits.
		if !c.valid() {
			return seccomp.ErrTargetGone
		}
		return seccomp.WriteMemory(c.tid(), seccomp.Addr(addr), buf)
	}))
}

// memoryError turns a refusal to read a process (one that is not dumpable)
// into EACCES, and records it: such a program can have no network. Other errors
// stay, and nil.
func (c *call) memoryError(err error) error {
	if errors.Is(err, unix.EPERM) {
		c.s.refused(c, "unreadable-process")
		return unix.EACCES
	}
	return err
}

// receive is the loop of the goroutine that leads.
func (s *Session) receive() {
	l := newLead(s)
	defer l.timer.Stop()
	for {
		c := call{s: s, lead: l}
		err := s.listener.Receive(&c.n)
		switch {
		case err == nil && s.caution.on():
			go s.receive()
			s.answerApart(&c)
			return
		case err == nil:
			l.begin()
			s.answer(&c, s.dispatch(&c))
			c.finish()
			if !l.end() {
				return
			}
		case errors.Is(err, seccomp.ErrTargetGone):
		case errors.Is(err, seccomp.ErrClosed):
			return
		default:
			// Nothing more can be answered: the agent gets ENOSYS for all
			// when the supervisor ends.
			s.fatal(err)
			return
		}
	}
}

func (s *Session) answer(c *call, r reply) {
	var err error
	switch r.kind {
	case replyValue:
		err = s.listener.Return(c.n.ID, r.val)
	case replyErrno:
		if r.errno == 0 {
			r.errno = unix.EACCES
		}
		err = s.listener.Fail(c.n.ID, r.errno)
	case replyContinue:
		err = s.listener.Continue(c.n.ID)
	}
	if err != nil && !errors.Is(err, seccomp.ErrTargetGone) {
		s.log.WithError(err).Error("answer lost")
	}
	if c.answered != nil {
		close(c.answered)
	}
}

// dispatch answers by system call. The filter traps no call that is not here;
// one that comes all the same is refused, as is one whose handler fails in a
// way that was not foreseen.
func (s *Session) dispatch(c *call) (r reply) {
	defer func() {
		if p := recover(); p != nil {
			s.log.WithField("syscall", c.name).WithField("stack", string(debug.Stack())).Error("bug in a handler")
			_ = s.record(&audit.Record{Event: audit.Error, Reason: "bug", Message: fmt.Sprintf("%s: %v", c.name, p)})
			r = fail(unix.EACCES)
		}
	}()
	if r, ok := deliberate(c); ok {
		return r
	}
	if h, ok := s.handlers[c.n.Data.Nr]; ok {
		c.name = h.name
		return h.answer(c)
	}
	return fail(unix.ENOSYS)
}

type handler struct {
	name   string
	answer func(*call) reply
}

func newHandlers() map[int32]handler {
	return map[int32]handler{
		unix.SYS_SOCKET:      {"socket", (*call).socket},
		unix.SYS_SOCKETPAIR:  {"socketpair", (*call).socketpair},
		unix.SYS_CONNECT:     {"connect", (*call).connect},
		unix.SYS_BIND:        {"bind", (*call).bind},
		unix.SYS_LISTEN:      {"listen", (*call).listen},
		unix.SYS_GETSOCKNAME: {"getsockname", (*call).getsockname},
		unix.SYS_GETPEERNAME: {"getpeername", (*call).getpeername},
		unix.SYS_SENDTO:      {"sendto", (*call).sendto},
		unix.SYS_SENDMSG:     {"sendmsg", (*call).sendmsg},
		unix.SYS_SENDMMSG:    {"sendmmsg", (*call).sendmmsg},
		unix.SYS_RECVFROM:    {"recvfrom", (*call).recvfrom},
		unix.SYS_RECVMSG:     {"recvmsg", (*call).recvmsg},
		unix.SYS_RECVMMSG:    {"recvmmsg", (*call).recvmmsg},
		unix.SYS_SETSOCKOPT:  {"setsockopt", (*call).setsockopt},
		unix.SYS_GETSOCKOPT:  {"getsockopt", (*call).getsockopt},
		unix.SYS_IOCTL:       {"ioctl", (*call).ioctl},

		unix.SYS_EXECVE:   {"execve", (*call).execve},
		unix.SYS_EXECVEAT: {"execveat", (*call).execveat},

		unix.SYS_PRLIMIT64:          {"prlimit64", (*call).aimedFirst},
		unix.SYS_SCHED_SETAFFINITY:  {"sched_setaffinity", (*call).aimedFirst},
		unix.SYS_SCHED_SETSCHEDULER: {"sched_setscheduler", (*call).aimedFirst},
		unix.SYS_SCHED_SETPARAM:     {"sched_setparam", (*call).aimedFirst},
		unix.SYS_SCHED_SETATTR:      {"sched_setattr", (*call).aimedFirst},
		unix.SYS_MIGRATE_PAGES:      {"migrate_pages", (*call).aimedFirst},
		unix.SYS_SETPRIORITY:        {"setpriority", (*call).priority},
		unix.SYS_IOPRIO_SET:         {"ioprio_set", (*call).ioPriority},
		unix.SYS_PTRACE:             {"ptrace", (*call).aimedSecond},
		unix.SYS_PROCESS_VM_READV:   {"process_vm_readv", (*call).aimedFirst},
		unix.SYS_PROCESS_VM_WRITEV:  {"process_vm_writev", (*call).aimedFirst},
	}
}
