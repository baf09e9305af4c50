package supervisor

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// bindAbstract makes a socket of a type with an abstract name.
func bindAbstract(t *testing.T, typ int, name string) inode {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := seccomp.Bind(fd, abstractSockaddr("@"+name)); err != nil {
		t.Fatal(err)
	}
	if typ != unix.SOCK_DGRAM {
		if err := unix.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
	}
	ino, err := inodeOf(os.Getpid(), int32(fd))
	if err != nil {
		t.Fatal(err)
	}
	return ino
}

// TestAbstractHolders: a name belongs to a socket of one type. The session's
// datagram socket does not make another program's listener its own.
func TestAbstractHolders(t *testing.T) {
	for _, suffix := range []string{"", " @x", "\x00y", " 0001 01 7 @z"} {
		name := fmt.Sprintf("boundary-test-%d%s", os.Getpid(), suffix)
		for typ, ino := range map[int]inode{
			unix.SOCK_STREAM:    bindAbstract(t, unix.SOCK_STREAM, name),
			unix.SOCK_DGRAM:     bindAbstract(t, unix.SOCK_DGRAM, name),
			unix.SOCK_SEQPACKET: bindAbstract(t, unix.SOCK_SEQPACKET, name),
		} {
			got, err := abstractHolders(name, typ)
			if diff := cmp.Diff([]inode{ino}, got); diff != "" || err != nil {
				t.Errorf("%q, type %d: %v (-want +got)\n%s", name, typ, err, diff)
			}
		}
	}
}

// TestBindForgedName: a name with a line break would be a line of its own in
// the table that abstractHolders reads.
func TestBindForgedName(t *testing.T) {
	const line = "x\n0 0 0 00010000 0001 01 7 @victim"
	for _, addr := range []sockaddr{abstractSockaddr("@" + line), pathSockaddr("/tmp/" + line), pathSockaddr("\n")} {
		if got := (&call{}).bindUnix(nil, addr); got != fail(unix.EINVAL) {
			t.Errorf("bind to %q: %+v", addr, got)
		}
	}
	// What lies behind the end of a path is not of it, and may be anything.
	for _, addr := range []sockaddr{append(pathSockaddr("/tmp/x"), '\n'), {unix.AF_UNIX, 0}, {unix.AF_UNIX}} {
		if breaksLine(addr) {
			t.Errorf("%q was refused", addr)
		}
	}
}
