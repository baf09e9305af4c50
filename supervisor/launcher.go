package supervisor

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// LaunchMain is the launcher. It takes its plan from the supervisor, puts one
// of its threads behind the guards, hands the listener over from another, and
// starts the agent from the guarded one: a child has the filters and the
// domain of the thread that forks it. Then it keeps watch over the agent's
// processes (see guardian) until the last has ended.
//
// Where it can't start the agent, the supervisor is told why, and says it.
func LaunchMain() {
	// The main thread stays outside the domain: the kernel takes a process's
	// domain from it when somebody wants to signal or trace the process.
	runtime.LockOSThread()
	if err := closeInherited(stageFD + 1); err != nil {
		return // nothing can be said yet: the supervisor sees the launcher end
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return
	}
	unix.CloseOnExec(stageFD)
	stage := os.NewFile(stageFD, "stage")
	p, err := readPlan(stage)
	if err != nil {
		return // the supervisor gave up, and has said why
	}
	// The guarded thread shares this process's memory with one that is not
	// guarded. Nobody of the same user shall reach it through /proc.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		p.report(stage, "become undumpable", err)
		return
	}
	if p.Installed != nil {
		p.Installed.Hold()
	}
	g := newGuardian(stage, p)
	defer g.removeTrust()
	started := make(chan started)
	go p.launch(stage, started)
	s := <-started
	if s.err != nil {
		p.report(stage, s.step, s.err)
		return
	}
	g.watch(s.pid)
	g.uninstall()
}

// started is what came of a launch.
type started struct {
	pid  int
	step string // where err came from
	err  error
}

// report tells the supervisor which step went wrong.
func (p *plan) report(stage *os.File, step string, err error) {
	var errno syscall.Errno
	errors.As(err, &errno)
	_, _ = stage.Write(message{kind: stageFailed, number: uint32(errno), text: step}.encode())
}

// launch runs on a thread of its own, which is guarded from here on and never
// used for anything else. It stays for as long as the process: the agent's
// parent-death signal is tied to it.
func (p *plan) launch(stage *os.File, done chan<- started) {
	runtime.LockOSThread()
	pid, step, err := p.start(stage)
	done <- started{pid, step, err}
	select {}
}

// start returns the agent's process id, or the step that went wrong and why.
//
// Preconditions: locked thread, not the main one.
func (p *plan) start(stage *os.File) (pid int, step string, err error) {
	if unix.Gettid() == unix.Getpid() {
		return 0, "choose thread", unix.EINVAL // cannot happen: main holds it
	}
	var on uint32
	if p.CloseFiles && closeKernelFiles() == nil {
		on |= listenerFilesClosed // else the supervisor says that it is not
		if p.Cover != nil && coverStores(p.Cover) == nil {
			on |= listenerCovered
		}
	}
	listeners := make(chan listenerFD)
	granted := make(chan error)
	// On the guarded thread sendmsg is trapped, with nobody there yet to
	// answer it.
	go func() { granted <- handOver(stage, <-listeners) }()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, "set no_new_privs", err
	}
	if p.DropCaps {
		if err := seccomp.DropCapabilities(); err != nil {
			return 0, "drop capabilities", err
		}
	}
	if err := p.Landlock.Restrict(); err != nil {
		return 0, "enter Landlock domain", err
	}
	fd, killable, err := seccomp.InstallNotify(p.Programs.Notify)
	if err != nil {
		return 0, "install notify filter", err
	}
	if killable {
		on |= listenerKillable
	}
	listeners <- listenerFD{fd, on}
	if err := <-granted; err != nil {
		return 0, "hand over listener", err
	}
	if err := seccomp.InstallRefuse(p.Programs.Refuse); err != nil {
		return 0, "install refuse filter", err
	}
	closeOnExec()
	pid, err = syscall.ForkExec(string(p.Path), convert[string](p.Argv), &syscall.ProcAttr{
		Env: convert[string](p.Env), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	return pid, stepExec, err
}

// stepExec is the step after which a shell's exit statuses apply.
const stepExec = "exec"

type listenerFD struct {
	fd int
	on uint32 // bits of stageListener
}

// handOver sends the listener and waits for the word to go on.
func handOver(stage *os.File, l listenerFD) error {
	m := message{kind: stageListener, number: l.on}
	if err := unix.Sendmsg(stageFD, m.encode(), unix.UnixRights(l.fd), nil, 0); err != nil {
		return err
	}
	unix.Close(l.fd)
	word, err := readMessage(stage)
	if err != nil {
		return err
	}
	if word.kind != stageGo {
		return unix.ECANCELED
	}
	return nil
}
