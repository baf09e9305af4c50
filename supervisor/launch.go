package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// Launcher is a started launcher that waits for its plan. Until it gets one
// nothing of the agent's has run; Abandon ends it.
type Launcher struct {
	pid   int
	agent int // the agent's first process, once it runs
	stage *os.File
	cred  *Credential // as which it runs
}

// Credential is the user as which the agent runs; nil keeps the caller's.
type Credential = syscall.Credential

// StartLauncher re-executes this program as the launcher. It can be called
// before the policy is read, so that the two start-ups overlap.
func StartLauncher(cred *Credential) (*Launcher, error) {
	// Orphans of the session stay below the supervisor: it is their parent
	// for reaping and for what Yama lets it see.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become subreaper: %w", err)
	}
	// A process of the same user shall not read the supervisor's memory.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become undumpable: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make stage socket: %w", err)
	}
	defer unix.Close(pair[1])
	attr := &syscall.ProcAttr{
		Files: []uintptr{0, 1, 2, uintptr(pair[1])},
		Env:   os.Environ(),
		Sys:   &syscall.SysProcAttr{Credential: cred},
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], Stage}, attr)
	if err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start launcher: %w", err)
	}
	return &Launcher{pid: pid, stage: os.NewFile(uintptr(pair[0]), "stage"), cred: cred}, nil
}

// Abandon ends a launcher that got no plan, and reaps it.
func (l *Launcher) Abandon() {
	l.stage.Close()
	_ = syscall.Kill(l.pid, syscall.SIGKILL)
	_, _ = syscall.Wait4(l.pid, nil, 0, nil)
}

// prepare sends the plan and takes the listener. The launcher then waits for
// release.
//
// The second result holds bits of stageListener.
func (l *Launcher) prepare(p *plan) (fd int, on uint32, err error) {
	if err := writePlan(l.stage, p); err != nil {
		return -1, 0, err
	}
	buf, oob := make([]byte, messageSize), make([]byte, unix.CmsgSpace(4))
	n, oobn, err := l.receive(buf, oob)
	if err != nil {
		return -1, 0, fmt.Errorf("receive listener: %w", err)
	}
	m, err := readMessage(io.MultiReader(bytes.NewReader(buf[:n]), l.stage))
	if err != nil {
		return -1, 0, fmt.Errorf("receive listener: launcher ended: %w", err)
	}
	if m.kind == stageFailed {
		return -1, 0, stageError(m)
	}
	fds, err := parseRights(oob[:oobn])
	if err != nil || len(fds) != 1 || m.kind != stageListener {
		return -1, 0, fmt.Errorf("receive listener: %d descriptors: %w", len(fds), err)
	}
	return fds[0], m.number, nil
}

func (l *Launcher) receive(buf, oob []byte) (n, oobn int, err error) {
	for {
		n, oobn, _, _, err = unix.Recvmsg(int(l.stage.Fd()), buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			return n, oobn, err
		}
	}
}

// release lets the launcher start the agent and waits until it has.
func (l *Launcher) release() error {
	if _, err := l.stage.Write(message{kind: stageGo}.encode()); err != nil {
		return fmt.Errorf("release launcher: %w", err)
	}
	m, err := readMessage(l.stage)
	if err != nil {
		return fmt.Errorf("start agent: launcher ended: %w", err)
	}
	if m.kind != stageStarted {
		return stageError(m)
	}
	l.agent = int(m.number)
	return nil
}

// StageError says which step of the launch failed; the agent was not started.
type StageError struct {
	Op  string
	Err error
}

func (e *StageError) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the errno.
func (e *StageError) Unwrap() error { return e.Err }

func stageError(m message) error { return &StageError{Op: m.text, Err: syscall.Errno(m.number)} }

func parseRights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// probeGetfd says whether the supervisor may duplicate the agent's descriptors.
//
// Preconditions: the launcher has no plan yet; with one it is not dumpable.
func (l *Launcher) probeGetfd() error { return seccomp.ProbePidfdGetfd(l.pid, stageFD) }
