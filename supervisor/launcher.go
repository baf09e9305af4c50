package supervisor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// LaunchMain is the launcher: it takes its plan from the supervisor, puts one
// thread behind the guards, hands the listener over from another thread, and
// becomes the agent. It returns only when that fails; the supervisor has been
// told why by then, and says it to the user.
func LaunchMain() {
	runtime.LockOSThread()
	// Whatever the caller left open is gone before the agent starts. The
	// stage socket itself goes with the exec.
	if err := unix.CloseRange(stageFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		markCloseOnExec()
	}
	stage := os.NewFile(stageFD, "stage")
	var p plan
	if err := readMessage(stage, &p); err != nil {
		return // the supervisor gave up, and has said why
	}
	op, err := p.launch()
	var errno syscall.Errno
	errors.As(err, &errno)
	// write(2) is not trapped, so this thread may say it itself.
	_, _ = stage.Write([]byte{stageFailed})
	_ = writeMessage(stage, stageError{Op: op, Errno: int(errno)})
}

// markCloseOnExec does what CLOSE_RANGE_CLOEXEC (5.11) does, one by one.
func markCloseOnExec() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscanf(e.Name(), "%d", &fd); err == nil && fd >= stageFD {
			unix.CloseOnExec(fd)
		}
	}
}

// launch returns the step that went wrong and why.
//
// Preconditions: locked thread. Afterwards the thread is fit only to exec or
// to exit.
func (p *plan) launch() (string, error) {
	listeners := make(chan listenerFD)
	granted := make(chan error)
	// The second thread: it stays outside the filter, which traps sendmsg
	// on the first with nobody there yet to answer.
	go func() {
		runtime.LockOSThread()
		granted <- handOver(<-listeners)
	}()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return "set no_new_privs", err
	}
	if p.DropCaps {
		if err := seccomp.DropCapabilities(); err != nil {
			return "drop capabilities", err
		}
	}
	if err := p.Landlock.Restrict(); err != nil {
		return "enter Landlock domain", err
	}
	fd, killable, err := seccomp.InstallNotify(p.Programs.Notify)
	if err != nil {
		return "install notify filter", err
	}
	listeners <- listenerFD{fd, killable}
	if err := <-granted; err != nil {
		return "hand over listener", err
	}
	if err := seccomp.InstallRefuse(p.Programs.Refuse); err != nil {
		return "install refuse filter", err
	}
	return "exec", syscall.Exec(p.Path, p.Argv, p.Env)
}

type listenerFD struct {
	fd       int
	killable bool
}

// handOver sends the listener and waits for the word to go on.
func handOver(l listenerFD) error {
	msg := []byte{stageListener, 0}
	if l.killable {
		msg[1] = 1
	}
	if err := unix.Sendmsg(stageFD, msg, unix.UnixRights(l.fd), nil, 0); err != nil {
		return err
	}
	unix.Close(l.fd)
	word := make([]byte, 1)
	for {
		n, err := unix.Read(stageFD, word)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0 || word[0] != stageGo:
			return unix.ECANCELED
		}
		return nil
	}
}
