package supervisor

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHeldFinder(t *testing.T) {
	f := newHeldFinder(newShares(64))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// A process has it as descriptor 3, as an agent would.
	dup, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(dup), "socket")
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
	defer in.Close()
	if _, err := f.find(cmd.Process.Pid, 3); err != unix.EACCES {
		t.Errorf("a socket that is not kept: %v", err)
	}
	ino, err := f.keep(fd, nobody, 1)
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.find(cmd.Process.Pid, 3)
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
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range collectAfter {
		if gone := f.collect(); (len(gone) > 0) != (i == collectAfter-1) {
			t.Errorf("look %d collected %v", i+1, gone)
		}
	}
	if err := unix.Close(fd); err != unix.EBADF {
		t.Errorf("the duplicate is open: %v", err)
	}
}

func TestHeldSettled(t *testing.T) {
	f := newHeldFinder(newShares(64))
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
