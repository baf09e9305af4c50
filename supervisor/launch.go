package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// Launcher is a started launcher that waits for its plan. Until it gets one
// nothing of the agent's has run; Abandon ends it.
type Launcher struct {
	pid   int
	stage *os.File
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
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: cred},
	}
	pid, err := forkExec(attr)
	if err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start launcher: %w", err)
	}
	return &Launcher{pid: pid, stage: os.NewFile(uintptr(pair[0]), "stage")}, nil
}

// forkExec forks from a thread that lives as long as the supervisor: the
// parent-death signal is sent when the forking thread ends, not the process
// (prctl(2), PR_SET_PDEATHSIG).
func forkExec(attr *syscall.ProcAttr) (int, error) {
	type result struct {
		pid int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		pid, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], Stage}, attr)
		done <- result{pid, err}
		select {} // keeps the thread
	}()
	r := <-done
	return r.pid, r.err
}

// Abandon ends a launcher that got no plan, and reaps it.
func (l *Launcher) Abandon() {
	l.stage.Close()
	_ = syscall.Kill(l.pid, syscall.SIGKILL)
	_, _ = syscall.Wait4(l.pid, nil, 0, nil)
}

// prepare sends the plan and takes the listener. The launcher then waits for
// release.
func (l *Launcher) prepare(p *plan) (fd int, killable bool, err error) {
	if err := writeMessage(l.stage, p); err != nil {
		return -1, false, err
	}
	msg, oob := make([]byte, 2), make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(int(l.stage.Fd()), msg, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err != nil:
		return -1, false, fmt.Errorf("receive listener: %w", err)
	case n == 0:
		return -1, false, errors.New("launcher ended before it handed over its listener")
	case msg[0] == stageFailed:
		rest := io.MultiReader(bytes.NewReader(msg[1:n]), l.stage)
		return -1, false, readStageError(rest)
	case n < 2:
		return -1, false, errors.New("launcher sent half a message")
	}
	fds, err := parseRights(oob[:oobn])
	if err != nil || len(fds) != 1 {
		return -1, false, fmt.Errorf("receive listener: %d descriptors: %w", len(fds), err)
	}
	return fds[0], msg[1] == 1, nil
}

// release lets the launcher exec the agent and waits until it has.
func (l *Launcher) release() error {
	if _, err := l.stage.Write([]byte{stageGo}); err != nil {
		return fmt.Errorf("release launcher: %w", err)
	}
	word := make([]byte, 1)
	_, err := io.ReadFull(l.stage, word)
	defer l.stage.Close()
	if err == io.EOF {
		return nil // closed by the exec
	}
	if err != nil {
		return fmt.Errorf("wait for exec: %w", err)
	}
	return readStageError(l.stage)
}

// StageError says which step of the launch failed; the agent was not started.
type StageError struct {
	Op  string
	Err error
}

func (e *StageError) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the errno.
func (e *StageError) Unwrap() error { return e.Err }

func readStageError(r io.Reader) error {
	var e stageError
	if err := readMessage(r, &e); err != nil {
		return fmt.Errorf("launcher ended: %w", err)
	}
	return &StageError{Op: e.Op, Err: syscall.Errno(e.Errno)}
}

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
func (l *Launcher) probeGetfd() error { return seccomp.ProbePidfdGetfd(l.pid, stageFD) }
