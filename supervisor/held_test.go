package supervisor

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// isChild stands for what tells a session's processes.
func isChild(pid int) bool {
	stat, err := readStat(pid)
	return err == nil && stat.ppid == os.Getpid()
}

// startHolder starts a process that has a socket, which is no more the test's, as
// descriptor 3 until it is ended, as an agent would.
func startHolder(t *testing.T, fd int) (pid int, end func()) {
	t.Helper()
	file := os.NewFile(uintptr(fd), "socket")
	cmd := exec.CommandContext(t.Context(), "/bin/cat")
	cmd.ExtraFiles = []*os.File{file}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	return cmd.Process.Pid, func() {
		t.Helper()
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantCollected looks as often as it takes until a socket that nobody has is
// collected, and not once less.
func wantCollected(t *testing.T, f *heldFinder) {
	t.Helper()
	for i := range collectAfter {
		if gone := f.collect(); (len(gone) > 0) != (i == collectAfter-1) {
			t.Errorf("look %d collected %v", i+1, gone)
		}
	}
}

func TestHeldFinder(t *testing.T) {
	f := newHeldFinder(isChild, newShares(64))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	dup, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	pid, end := startHolder(t, dup)
	if _, err := f.find(pid, 3); err != unix.EACCES {
		t.Errorf("a socket that is not kept: %v", err)
	}
	ino, err := f.keep(fd, nobody, 1)
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.find(pid, 3)
	if err != nil {
		t.Fatal(err)
	}
	if k.ino != ino || k.domain != unix.AF_INET || k.typ != unix.SOCK_STREAM || k.proto != unix.IPPROTO_TCP || k.fd == fd {
		t.Errorf("found %+v", k)
	}
	k.close()
	for range 2 * collectAfter {
		if gone := f.collect(); len(gone) > 0 {
			t.Errorf("collected %v while a process has it", gone)
		}
	}
	if f.collectPort(0) {
		t.Error("collected by port while a process has it")
	}
	end()
	wantCollected(t, f)
	if err := unix.Close(fd); err != unix.EBADF {
		t.Errorf("the duplicate is open: %v", err)
	}
}

func TestHeldSettled(t *testing.T) {
	f := newHeldFinder(isChild, newShares(64))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ino, err := f.keep(fd, nobody, 1)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := f.find(os.Getpid(), int32(fd)); err != nil || k.ino != ino {
		t.Errorf("found %+v, %v", k, err)
	} else {
		k.close()
	}
	f.settled(ino)
	f.settled(ino)
	if len(f.held) != 0 {
		t.Errorf("held: %v", f.held)
	}
	if err := unix.Close(fd); err != unix.EBADF {
		t.Errorf("the duplicate is open: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := f.keep(int(r.Fd()), nobody, 1); err == nil {
		t.Error("a pipe is kept")
	}
}

// TestHeldUnderWay: a socket that only a message holds is not collected.
func TestHeldUnderWay(t *testing.T) {
	f := newHeldFinder(isChild, newShares(64))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.keep(fd, nobody, 0); err != nil {
		t.Fatal(err)
	}
	// Another process has the receiving end.
	_, end := startHolder(t, pair[1])
	for range 2 * collectAfter {
		if gone := f.collect(); len(gone) > 0 {
			t.Fatalf("collected %v while it is under way", gone)
		}
	}
	end()
	wantCollected(t, f)
}

// TestTakesNoName: of the sockets that an agent can have, only unix datagram
// sockets can be sent to others than their peer.
func TestTakesNoName(t *testing.T) {
	for _, tt := range []struct {
		family, typ int
		want        bool
	}{
		{unix.AF_UNIX, unix.SOCK_STREAM, true},
		{unix.AF_UNIX, unix.SOCK_SEQPACKET, true},
		{unix.AF_UNIX, unix.SOCK_DGRAM, false},
		{unix.AF_UNIX, unix.SOCK_RAW, false}, // a datagram socket
		{unix.AF_INET, unix.SOCK_STREAM, true},
		{unix.AF_INET6, unix.SOCK_STREAM, true},
		{unix.AF_NETLINK, unix.SOCK_RAW, true},
	} {
		fd, err := unix.Socket(tt.family, tt.typ|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := takesNoName(os.Getpid(), int32(fd))
		if got != tt.want || err != nil {
			t.Errorf("family %d, type %d: %t, %v", tt.family, tt.typ, got, err)
		}
		unix.Close(fd)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if harmless, err := takesNoName(os.Getpid(), int32(r.Fd())); harmless && err == nil {
		t.Error("a pipe is taken for a socket")
	}
}

// TestUnixTypeOf: the table tells the type, and nothing of a socket that is in
// another network namespace, or gone.
func TestUnixTypeOf(t *testing.T) {
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		pair, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ino, err := inodeOf(os.Getpid(), int32(pair[0]))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unixTypeOf(ino); got != typ || err != nil {
			t.Errorf("got %d, %v; want %d", got, err, typ)
		}
		unix.Close(pair[0])
		unix.Close(pair[1])
		if got, err := unixTypeOf(ino); got != 0 || err != nil {
			t.Errorf("of a closed socket: %d, %v", got, err)
		}
	}
}
