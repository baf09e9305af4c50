package supervisor

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// What follows are the readers of an agent's memory and of its entries in
// /proc: all of it is hostile.

func TestSockaddr(t *testing.T) {
	v4 := netip.MustParseAddrPort("192.0.2.7:443")
	v6 := netip.MustParseAddrPort("[2001:db8::1]:443")
	tests := []struct {
		name string
		addr sockaddr
		want netip.AddrPort
		err  error
	}{
		{"IPv4", inetSockaddr(unix.AF_INET, v4), v4, nil},
		{"IPv6", inetSockaddr(unix.AF_INET6, v6), v6, nil},
		{"mapped", inetSockaddr(unix.AF_INET6, v4), v4, nil},
		{"longer than needed", append(inetSockaddr(unix.AF_INET, v4), make([]byte, 112)...), v4, nil},
		{"IPv4 too short", inetSockaddr(unix.AF_INET, v4)[:15], netip.AddrPort{}, unix.EINVAL},
		{"IPv6 without scope", inetSockaddr(unix.AF_INET6, v6)[:24], v6, nil},
		{"IPv6 too short", inetSockaddr(unix.AF_INET6, v6)[:23], netip.AddrPort{}, unix.EINVAL},
		{"unix", sockaddr{unix.AF_UNIX, 0, '/', 'x', 0}, netip.AddrPort{}, unix.EAFNOSUPPORT},
		{"one byte", sockaddr{unix.AF_INET}, netip.AddrPort{}, unix.EAFNOSUPPORT},
		{"empty", sockaddr{}, netip.AddrPort{}, unix.EAFNOSUPPORT},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.addr.addrPort()
			if got != test.want || err != test.err {
				t.Errorf("got %v, %v; want %v, %v", got, err, test.want, test.err)
			}
		})
	}
}

func FuzzSockaddr(f *testing.F) {
	f.Add([]byte(inetSockaddr(unix.AF_INET, netip.MustParseAddrPort("127.0.0.1:80"))))
	f.Add([]byte(inetSockaddr(unix.AF_INET6, netip.MustParseAddrPort("[::1]:80"))))
	f.Add([]byte(inetSockaddr(unix.AF_INET6, netip.MustParseAddrPort("10.0.0.1:80"))))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		ap, err := sockaddr(raw).addrPort()
		if err != nil {
			return
		}
		// What was read must be what a connect of ours to it would reach.
		family := int(sockaddr(raw).family())
		again, err := inetSockaddr(family, ap).addrPort()
		if err != nil || again != ap {
			t.Errorf("%x was read as %v, and written as %v, %v", raw, ap, again, err)
		}
		if ap.Addr().Is4In6() {
			t.Errorf("%x was read as mapped %v", raw, ap)
		}
	})
}

func TestMsghdrSize(t *testing.T) {
	ranges := func(lengths ...uint64) []byte {
		var raw []byte
		for _, n := range lengths {
			raw = binary.NativeEndian.AppendUint64(raw, 0x1000)
			raw = binary.NativeEndian.AppendUint64(raw, n)
		}
		return raw
	}
	tests := []struct {
		name string
		raw  []byte
		want int
	}{
		{"none", nil, 0},
		{"two", ranges(3, 4), 7},
		{"too long", ranges(1 << 32), -1},
		{"overflow", ranges(1<<63, 1<<63, 5), -1},
		{"many that overflow an int", ranges(1<<31, 1<<31, 1<<31), -1},
		{"half an entry", ranges(3)[:9], 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := (&msghdr{iov: parseIovec(test.raw)}).size(); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func FuzzMsghdr(f *testing.F) {
	f.Add(make([]byte, msghdrSize), make([]byte, iovecSize))
	f.Add(bytes.Repeat([]byte{0xff}, msghdrSize), bytes.Repeat([]byte{0xff}, 5*iovecSize))
	f.Fuzz(func(t *testing.T, header, vector []byte) {
		if len(header) < msghdrSize {
			return
		}
		m, _, _ := parseMsghdr(0x2000, header[:msghdrSize])
		m.iov = parseIovec(vector)
		if m.name == 0 && m.nameLen != 0 {
			t.Errorf("a name without an address has %d bytes", m.nameLen)
		}
		if n := m.size(); n > len(m.iov)<<31 || n < -1 {
			t.Errorf("%d ranges have the size %d", len(m.iov), n)
		}
	})
}

// TestStatOfHostileName reads the stat of a process whose name looks like the
// fields that follow it.
func TestStatOfHostileName(t *testing.T) {
	const rename = `
import ctypes, sys
ctypes.CDLL(None).prctl(15, b") R 1 1 1 1", 0, 0, 0)
print("ready", flush=True)
sys.stdin.read()
`
	child := exec.Command("/usr/bin/python3", "-c", rename)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatalf("start child: %v", err)
	}
	defer func() {
		in.Close()
		_ = child.Wait()
	}()
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatalf("wait for child: %v", err)
	}
	stat, err := readStat(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if stat.ppid != os.Getpid() || stat.state == 'R' && stat.start == 1 || stat.argStart == 0 {
		t.Errorf("got %+v, want the parent %d", stat, os.Getpid())
	}
}

func TestStatusLines(t *testing.T) {
	status := []byte("Name:\tx\nUid:\t1\t2\t3\t4\nGroups:\t5 6 \nSigPnd:\t0000000000000002\nSigBlk:\tnonsense\n")
	if diff := cmp.Diff([]int{1, 2, 3, 4}, statusNumbers(status, "Uid")); diff != "" {
		t.Errorf("Uid (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{5, 6}, statusNumbers(status, "Groups")); diff != "" {
		t.Errorf("Groups (-want +got):\n%s", diff)
	}
	if got := statusNumbers(status, "Gid"); got != nil {
		t.Errorf("Gid: got %v, want none", got)
	}
	if got := statusMask(status, "SigPnd"); got != 2 {
		t.Errorf("SigPnd: got %d, want 2", got)
	}
	if got := statusMask(status, "SigBlk"); got != 0 {
		t.Errorf("SigBlk: got %d, want 0", got)
	}
}

func FuzzStageMessage(f *testing.F) {
	f.Add(message{kind: stageEnded, number: 9}.encode())
	f.Add(message{kind: stageFailed, number: 16, text: "exec"}.encode())
	f.Add([]byte{byte(stageFailed), 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := readMessage(bytes.NewReader(raw))
		if err != nil {
			return
		}
		again, err := readMessage(bytes.NewReader(m.encode()))
		if err != nil || again != m {
			t.Errorf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

func TestPlanRoundTrip(t *testing.T) {
	want := &plan{
		Path: "/bin/true", Argv: []rawString{"true", "\xff", ""}, Env: []rawString{"A=b", "C=\xc3("},
		Programs: seccomp.Programs{Notify: []byte{1, 2}, Refuse: []byte{3}}, Landlock: seccomp.Landlock{Net: true, ABI: 4}, DropCaps: true,
		Trust: "/tmp/\xfe",
	}
	var wire bytes.Buffer
	if err := writePlan(&wire, want); err != nil {
		t.Fatal(err)
	}
	got, err := readPlan(&wire)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}
