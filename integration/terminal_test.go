package integration

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal, pty(7).
type terminal struct {
	master, slave *os.File
	screen        *output // all that was written to it
}

// openTerminal opens one of 41 lines and 97 columns for the mode's user. It
// ends with the test.
func openTerminal(t *testing.T, as mode) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("open terminal: %v", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlock terminal: %v", err)
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("read terminal's number: %v", err)
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("open terminal: %v", err)
	}
	as.own(t, name)
	tty := &terminal{master: master, slave: slave, screen: newOutput()}
	tty.resize(t, 41, 97)
	read := make(chan struct{})
	go func() {
		defer close(read)
		// It ends when the master is closed, or with EIO when the last one has
		// closed the other end: nothing to report.
		_, _ = io.Copy(tty.screen, master)
	}()
	t.Cleanup(func() {
		slave.Close()
		master.Close()
		<-read
		if t.Failed() {
			t.Logf("screen:\n%s", tty.screen)
		}
	})
	return tty
}

// resize changes the terminal's size.
func (tty *terminal) resize(t *testing.T, rows, columns uint16) {
	t.Helper()
	raw, err := tty.master.SyscallConn()
	if err != nil {
		t.Fatalf("use terminal: %v", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatalf("set terminal's size: %v", err)
	}
}

// write types text.
func (tty *terminal) write(t *testing.T, text string) {
	t.Helper()
	if _, err := tty.master.WriteString(text); err != nil {
		t.Fatalf("type %q: %v", text, err)
	}
}

// TestInterrupt types Ctrl-C: the command and boundary both end.
func TestInterrupt(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		tty := openTerminal(t, as)
		r := session{as: as, policy: denyAll, terminal: tty.slave, command: []string{"sh", "-c", "echo ready; exec sleep 1000"}}.start(t)
		tty.screen.await(t, 0, "ready")
		tty.write(t, "\x03")
		if end := r.wait(); end.status != 130 {
			t.Errorf("the status is %d, want 130", end.status)
		}
	})
}

// TestInterruptCaught types Ctrl-C to a command that handles it and goes on;
// boundary must neither end itself nor have it delivered twice.
func TestInterruptCaught(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		tty := openTerminal(t, as)
		// Written past Python's buffer, which a handler must not enter.
		script := `import os, signal, sys
n = 0
def count(*_):
    global n
    n += 1
    os.write(1, b"interrupt %d\n" % n)
signal.signal(signal.SIGINT, count)
os.write(1, b"ready\n")
line = sys.stdin.readline()
os.write(1, b"line %s after %d\n" % (line.strip().encode(), n))
`
		r := session{as: as, policy: denyAll, terminal: tty.slave, command: []string{program(t, "python3"), "-c", script}}.start(t)
		at := tty.screen.await(t, 0, "ready")
		tty.write(t, "\x03")
		tty.screen.await(t, at, "interrupt 1")
		tty.write(t, "hello\n")
		tty.screen.await(t, at, "line hello after 1")
		if end := r.wait(); end.status != 0 {
			t.Errorf("the status is %d, want 0", end.status)
		}
	})
}

// TestWindowSize asks for the terminal's size within the boundary, before and
// after it was changed.
func TestWindowSize(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		tty := openTerminal(t, as)
		script := `trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.02; done`
		r := session{as: as, policy: denyAll, terminal: tty.slave, command: []string{"bash", "-c", script}}.start(t)
		at := tty.screen.await(t, 0, "41 97")
		tty.resize(t, 50, 120)
		tty.screen.await(t, at, "50 120")
		if end := r.wait(); end.status != 0 {
			t.Errorf("the status is %d, want 0", end.status)
		}
	})
}

// TestJobControl stops and continues boundary in an interactive shell, and
// runs an interactive shell within boundary.
func TestJobControl(t *testing.T) {
	eachMode(t, func(t *testing.T, as mode) {
		tty := openTerminal(t, as)
		dir := as.dir(t)
		as.write(t, dir+"/policy.hcl", denyAll)
		shell := commandIn(t, as, dir, []string{program(t, "bash"), "--norc", "--noprofile", "--noediting", "-i"})
		shell.Env = append(shell.Env, "PS1=prompt$ ", "BOUNDARY="+shop.boundary(t))
		shell.Stdin, shell.Stdout, shell.Stderr = tty.slave, tty.slave, tty.slave
		shell.SysProcAttr.Setpgid = false
		shell.SysProcAttr.Setsid, shell.SysProcAttr.Setctty = true, true
		if err := shell.Start(); err != nil {
			t.Fatalf("start shell: %v", err)
		}
		ended := make(chan error, 1)
		go func() { ended <- shell.Wait() }()
		t.Cleanup(func() {
			all := descendants(t, shell.Process.Pid)
			_ = shell.Process.Kill() // it has ended, unless the test failed
			all.kill()
		})

		at := tty.screen.await(t, 0, "prompt$ ")
		tty.write(t, `$BOUNDARY exec --audit audit.jsonl -p policy.hcl -- sh -c 'echo rea""dy; read line; echo "got $line"'`+"\n")
		at = tty.screen.await(t, at, "ready\r\n")
		tty.write(t, "\x1a")
		at = tty.screen.await(t, at, "Stopped")
		at = tty.screen.await(t, at, "prompt$ ")
		tty.write(t, "fg\n")
		at = tty.screen.await(t, at, "BOUNDARY exec")
		tty.write(t, "hello\n")
		at = tty.screen.await(t, at, "got hello")

		at = tty.screen.await(t, at, "prompt$ ")
		tty.write(t, "$BOUNDARY exec --audit inner.jsonl -p policy.hcl -- bash --norc --noprofile --noediting -i\n")
		at = tty.screen.await(t, at, "prompt$ ")
		// One process, since a shell that is just then in vfork(2) can't stop.
		tty.write(t, strings.Join(python(t, "stopped.py"), " ")+"\n")
		at = tty.screen.await(t, at, "running\r\n")
		tty.write(t, "\x1a")
		at = tty.screen.await(t, at, "Stopped")
		at = tty.screen.await(t, at, "prompt$ ")
		tty.write(t, "fg\n")
		at = tty.screen.await(t, at, "continued\r\n")
		tty.write(t, "\x03")
		at = tty.screen.await(t, at, "prompt$ ")
		tty.write(t, "exit 4\n")
		at = tty.screen.await(t, at, "inner.jsonl")
		tty.write(t, "echo status $?; exit 0\n")
		tty.screen.await(t, at, "status 4\r\n")
		if status := exitStatus(<-ended); status != 0 {
			t.Errorf("the shell ended with %d", status)
		}
	})
}
