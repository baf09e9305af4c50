package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// trappedFD is where a trapped child has its socket to the test.
const trappedFD = 3

// trappedChild puts its thread behind the notify filter, hands the listener
// over from another, and makes calls.
func trappedChild([]string) {
	programs, err := BuildPrograms(Options{})
	must(err)
	noNewPrivs()
	fd, killable, err := InstallNotify(programs.Notify)
	must(err)
	_, _, err = InstallNotify(programs.Notify)
	say("second listener", errors.Unwrap(err))
	handed := make(chan error)
	go func() {
		note := byte('-')
		if killable {
			note = 'k'
		}
		if err := unix.Sendmsg(trappedFD, []byte{note}, unix.UnixRights(fd), nil, 0); err != nil {
			handed <- err
			return
		}
		unix.Close(fd)
		_, err := unix.Read(trappedFD, make([]byte, 1))
		handed <- err
	}()
	must(<-handed)

	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) // native
	must(err)
	say("connect", unix.Connect(tcp, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 7}, Port: 443}))
	name, err := unix.Getsockname(tcp)
	must(err)
	if in, ok := name.(*unix.SockaddrInet4); ok && *in == (unix.SockaddrInet4{Addr: [4]byte{198, 51, 100, 9}, Port: 8080}) {
		say("getsockname", nil)
	}
	pipe, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(err)
	_, err = unix.Write(pipe, []byte("through the pipe"))
	say("write", err)
	flags, err := unix.FcntlInt(uintptr(pipe), unix.F_GETFD, 0)
	must(err)
	say("close-on-exec", map[bool]error{false: unix.EBADF}[flags&unix.FD_CLOEXEC != 0])
	_, err = unix.Getpeername(tcp)
	say("getpeername", err)
}

// trapped starts the child and receives its listener.
func trapped(t *testing.T) (cmd *exec.Cmd, stdout io.Reader, l *Listener) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	t.Cleanup(func() { ours.Close() })
	cmd = child(t, "trapped")
	cmd.ExtraFiles = []*os.File{theirs}
	stdout, err = cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() { cmd.Process.Kill() })
	note, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, oobn, _, _, err := unix.Recvmsg(pair[0], note, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatalf("receive listener: %v", err)
	}
	if got := note[0] == 'k'; got != kernelAtLeast(t, 5, 19) {
		t.Errorf("WAIT_KILLABLE_RECV is %v", got)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("receive listener: %d messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("receive listener: %v, %v", fds, err)
	}
	l, err = NewListener(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if _, err := ours.Write([]byte("g")); err != nil {
		t.Fatal(err)
	}
	return cmd, stdout, l
}

// next receives the next notification, which must be of one call.
func next(t *testing.T, l *Listener, nr int32) *Notif {
	t.Helper()
	n := new(Notif)
	for {
		err := l.Receive(n)
		if errors.Is(err, ErrTargetGone) {
			continue // interrupted: it comes again
		}
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		if n.Data.Nr != nr || n.Data.Arch != nativeArch() {
			_ = l.Fail(n.ID, unix.ENOSYS) // the child shall not wait for ever
			t.Fatalf("call %d of arch %#x, want %d", n.Data.Nr, n.Data.Arch, nr)
		}
		return n
	}
}

func TestListener(t *testing.T) {
	cmd, stdout, l := trapped(t)
	t.Run("connect", func(t *testing.T) { answerConnect(t, l, cmd.Process.Pid) })
	t.Run("getsockname", func(t *testing.T) { answerGetsockname(t, l) })
	t.Run("socket", func(t *testing.T) { answerSocket(t, l) })
	t.Run("getpeername", func(t *testing.T) {
		n := next(t, l, unix.SYS_GETPEERNAME)
		if err := l.Continue(n.ID); err != nil {
			t.Error(err)
		}
	})
	t.Run("end", func(t *testing.T) {
		out, err := io.ReadAll(stdout)
		if err != nil {
			t.Fatal(err)
		}
		want := "second listener: EBUSY\nconnect: EHOSTUNREACH\ngetsockname: ok\nwrite: ok\nclose-on-exec: ok\ngetpeername: ENOTCONN\n"
		if diff := cmp.Diff(want, string(out)); diff != "" {
			t.Errorf("what the child saw (-want +got)\n%s", diff)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		wantClosed(t, l)
	})
}

func answerConnect(t *testing.T, l *Listener, pid int) {
	n := next(t, l, unix.SYS_CONNECT)
	tid := int(n.PID)
	if leader, err := ThreadGroup(tid); err != nil || leader != pid {
		t.Errorf("thread %d is of process %d, %v; want %d", tid, leader, err, pid)
	}
	want := append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET), 1, 187, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0)
	got := make([]byte, n.Data.Int(2))
	if err := ReadMemory(tid, Addr(n.Data.Args[1]), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("address (-want +got)\n%s", diff)
	}
	at := Addr(n.Data.Args[1])
	parts := []Range{{at + 4, 4}, {at, 0}, {at + 2, 2}, {at, 1 << 40}}
	buf := make([]byte, 6)
	if got, err := ReadRanges(tid, parts, buf); got != 6 || err != nil || !bytes.Equal(buf, []byte{192, 0, 2, 7, 1, 187}) {
		t.Errorf("ranges: %d, %v, %v", got, err, buf)
	}
	if got, err := ReadRanges(tid, parts[:1], buf); got != 4 || err != nil {
		t.Errorf("ranges that hold less: %d, %v", got, err)
	}
	if err := ReadMemory(tid, 0, buf); !errors.Is(err, unix.EFAULT) {
		t.Errorf("read at 0: %v", err)
	}
	if err := ReadMemory(tid, 0, nil); err != nil {
		t.Errorf("read of nothing: %v", err)
	}
	if err := WriteMemory(tid, 0, buf); !errors.Is(err, unix.EFAULT) {
		t.Errorf("write at 0: %v", err)
	}
	duplicate(t, tid, int(n.Data.Int(0)))
	if !l.Valid(n.ID) || l.Valid(n.ID+1) {
		t.Errorf("valid: %v, and of another: %v", l.Valid(n.ID), l.Valid(n.ID+1))
	}
	if err := l.Fail(n.ID, unix.EHOSTUNREACH); err != nil {
		t.Error(err)
	}
	// An answered notification is gone.
	if l.Valid(n.ID) {
		t.Error("still valid after the answer")
	}
	// ENOENT once the target runs again, EINPROGRESS until then.
	if err := l.Return(n.ID, 0); err == nil {
		t.Error("a second answer was taken")
	}
}

// duplicate takes the child's TCP socket by its thread.
func duplicate(t *testing.T, tid, fd int) {
	t.Helper()
	pidfd, err := OpenThread(tid)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	dup, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dup)
	if proto, err := unix.GetsockoptInt(dup, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || proto != unix.IPPROTO_TCP {
		t.Errorf("the duplicate is of protocol %d, %v", proto, err)
	}
}

func answerGetsockname(t *testing.T, l *Listener) {
	n := next(t, l, unix.SYS_GETSOCKNAME)
	name := append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET), 0x1f, 0x90, 198, 51, 100, 9, 0, 0, 0, 0, 0, 0, 0, 0)
	at := Addr(n.Data.Args[1])
	if got, err := WriteRanges(int(n.PID), []Range{{at, 4}, {at + 4, 12}}, name); got != len(name) || err != nil {
		t.Errorf("write ranges: %d, %v", got, err)
	}
	size := binary.NativeEndian.AppendUint32(nil, uint32(len(name)))
	if err := WriteMemory(int(n.PID), Addr(n.Data.Args[2]), size); err != nil {
		t.Error(err)
	}
	if err := l.Return(n.ID, 0); err != nil {
		t.Error(err)
	}
	// x/sys asks for the protocol, to know how to read the name.
	if err := l.Continue(next(t, l, unix.SYS_GETSOCKOPT).ID); err != nil {
		t.Error(err)
	}
}

func answerSocket(t *testing.T, l *Listener) {
	n := next(t, l, unix.SYS_SOCKET)
	if n.Data.Int(0) != unix.AF_INET || n.Data.Int(1) != unix.SOCK_DGRAM|unix.SOCK_CLOEXEC {
		t.Errorf("arguments %#x", n.Data.Args)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if fd, err := l.AddFD(n.ID, 1<<20, true); fd != -1 || err == nil || errors.Is(err, ErrTargetGone) {
		t.Errorf("a descriptor that is not there: %d, %v", fd, err)
	}
	fd, err := l.AddFD(n.ID, int(w.Fd()), true)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := l.Return(n.ID, int64(fd)); err != nil {
		t.Error(err)
	}
	want := "through the pipe"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Errorf("read %q, %v", got, err)
	}
}

// wantClosed: the last filtered process has gone. Before Linux 6.11 Receive
// would wait for ever, so there only poll is asked.
func wantClosed(t *testing.T, l *Listener) {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(l.fd)}}
	deadline := time.Now().Add(5 * time.Second)
	for p[0].Revents&unix.POLLHUP == 0 {
		if _, err := unix.Poll(p, 100); err != nil && err != unix.EINTR || time.Now().After(deadline) {
			t.Fatalf("no POLLHUP: %v", err)
		}
	}
	if !kernelAtLeast(t, 6, 11) {
		return
	}
	if err := l.Receive(new(Notif)); !errors.Is(err, ErrClosed) {
		t.Errorf("receive: %v, want ErrClosed", err)
	}
}

func TestListenerTargetKilled(t *testing.T) {
	cmd, _, l := trapped(t)
	n := next(t, l, unix.SYS_CONNECT)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("wait: %v", err)
	}
	if l.Valid(n.ID) {
		t.Error("valid after the end")
	}
	for name, answer := range map[string]func() error{
		"return":   func() error { return l.Return(n.ID, 0) },
		"fail":     func() error { return l.Fail(n.ID, unix.EACCES) },
		"continue": func() error { return l.Continue(n.ID) },
		"add":      func() error { _, err := l.AddFD(n.ID, 0, false); return err },
	} {
		if err := answer(); !errors.Is(err, ErrTargetGone) {
			t.Errorf("%s: %v, want ErrTargetGone", name, err)
		}
	}
	wantClosed(t, l)
}

// TestListenerClosed: without a supervisor no trapped call is carried.
func TestListenerClosed(t *testing.T) {
	cmd, stdout, l := trapped(t)
	next(t, l, unix.SYS_CONNECT)
	if err := unix.Close(l.fd); err != nil {
		t.Fatal(err)
	}
	l.fd = -1
	out, _ := io.ReadAll(stdout)
	_ = cmd.Wait() // it can't go on without getsockname
	if want := "second listener: EBUSY\nconnect: ENOSYS\n"; string(out) != want {
		t.Errorf("the child saw %q, want %q", out, want)
	}
}

func TestNewListenerRefusesOthers(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	dup, err := unix.Dup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewListener(dup); err == nil {
		t.Error("a pipe became a listener")
	}
	if err := unix.Close(dup); err != unix.EBADF {
		t.Errorf("the descriptor was left open: %v", err)
	}
}

func TestThreadGroupGone(t *testing.T) {
	if pid, err := ThreadGroup(-1); err == nil {
		t.Errorf("thread -1 is of process %d", pid)
	}
	if fd, err := OpenThread(-1); err == nil {
		unix.Close(fd)
		t.Error("thread -1 was opened")
	}
}
