package supervisor

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

var compareMsghdr = cmp.AllowUnexported(msghdr{})

func TestParseMsghdr(t *testing.T) {
	words := make([]byte, msghdrSize)
	for i, w := range []uint64{0x1000, 0xdead_0000_0010, 0x2000, 3, 0x3000, 24, 0xffff} {
		binary.NativeEndian.PutUint64(words[8*i:], w)
	}
	m, iov, count := parseMsghdr(0x500, words)
	want := &msghdr{at: 0x500, name: 0x1000, nameLen: 0x10, control: 0x3000, controlLen: 24}
	if diff := cmp.Diff(want, m, compareMsghdr); diff != "" || iov != 0x2000 || count != 3 {
		t.Errorf("vector %#x of %d (-want +got)\n%s", iov, count, diff)
	}
	// A length without a name means nothing (recvmsg(2)).
	binary.NativeEndian.PutUint64(words, 0)
	if m, _, _ := parseMsghdr(0, words); m.nameLen != 0 {
		t.Errorf("name of %d bytes at NULL", m.nameLen)
	}
}

func TestParseIovec(t *testing.T) {
	var b []byte
	for _, w := range []uint64{1, 2, ^uint64(0), 1 << 63} {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	want := []seccomp.Range{{Base: 1, Len: 2}, {Base: ^seccomp.Addr(0), Len: 1 << 63}}
	if diff := cmp.Diff(want, parseIovec(b)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := parseIovec(b[:31]); len(got) != 1 {
		t.Errorf("%d ranges of 31 bytes", len(got))
	}
}

// TestReadMsghdrBounds reads headers of this very process.
func TestReadMsghdrBounds(t *testing.T) {
	c := &call{}
	c.n.PID = uint32(unix.Getpid())
	if _, err := c.readMsghdr(0); errnoOf(err) != unix.EFAULT {
		t.Errorf("at 0: %v", err)
	}
	if _, err := c.readMsghdr(^uint64(0) - 8); errnoOf(err) != unix.EFAULT {
		t.Errorf("at the end of memory: %v", err)
	}
	for _, m := range []*msghdr{{iov: []seccomp.Range{{Len: 65508}}}, {iov: []seccomp.Range{{Len: 1 << 63}, {Len: 1 << 63}}}} {
		if _, err := c.gather(m, maxDatagram); errnoOf(err) != unix.EMSGSIZE {
			t.Errorf("gather %+v: %v", m.iov, err)
		}
	}
	if _, err := c.gather(&msghdr{iov: []seccomp.Range{{Len: 1}}}, maxDatagram); errnoOf(err) != unix.EFAULT {
		t.Errorf("gather at 0: %v", err)
	}
}
