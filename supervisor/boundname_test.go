package supervisor

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// listenAt binds by a name as it is spelt, and listens.
func listenAt(t *testing.T, typ int, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := seccomp.Bind(fd, pathSockaddr(name)); err != nil {
		t.Fatalf("bind to %s: %v", name, err)
	}
	if typ != unix.SOCK_DGRAM {
		if err := unix.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// must fails a test that can't be set up.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// TestNamedSocketStays puts a socket at "allowed/s" in several ways, before the
// session began or in it, and asks whether it is the one that a rule means.
func TestNamedSocketStays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		typ    int
		put    func(t *testing.T, typ int)
		before bool // the session began afterwards
		during bool // want where it began before
	}{
		{"bound there", unix.SOCK_STREAM, func(t *testing.T, typ int) {
			listenAt(t, typ, filepath.Join(wd(t), "allowed/s"))
		}, true, true},
		{"bound there by a datagram socket", unix.SOCK_DGRAM, func(t *testing.T, typ int) {
			listenAt(t, typ, filepath.Join(wd(t), "allowed/s"))
		}, true, true},
		{"bound by dots and slashes", unix.SOCK_SEQPACKET, func(t *testing.T, typ int) {
			listenAt(t, typ, wd(t)+"/other/..//allowed/./s")
		}, true, true},
		{"bound relatively", unix.SOCK_STREAM, func(t *testing.T, typ int) { listenAt(t, typ, "allowed/s") }, true, true},
		{"bound relatively by another name", unix.SOCK_STREAM, func(t *testing.T, typ int) {
			listenAt(t, typ, "allowed/t")
			must(t, os.Rename("allowed/t", "allowed/s"))
		}, false, false},
		{"bound to a temporary name", unix.SOCK_STREAM, func(t *testing.T, typ int) {
			listenAt(t, typ, filepath.Join(wd(t), "allowed/s.8fz"))
			must(t, os.Link("allowed/s.8fz", "allowed/s"))
			must(t, os.Remove("allowed/s.8fz"))
		}, true, false},
		{"bound to another name", unix.SOCK_STREAM, func(t *testing.T, typ int) {
			listenAt(t, typ, filepath.Join(wd(t), "allowed/t"))
			must(t, os.Rename("allowed/t", "allowed/s"))
		}, false, false},
		{"bound elsewhere", unix.SOCK_DGRAM, func(t *testing.T, typ int) {
			listenAt(t, typ, filepath.Join(wd(t), "other/s"))
			must(t, os.Rename("other/s", "allowed/s"))
		}, false, false},
		{"folder bound elsewhere", unix.SOCK_STREAM, func(t *testing.T, typ int) {
			listenAt(t, typ, filepath.Join(wd(t), "other/s"))
			must(t, os.Remove("allowed"))
			must(t, os.Rename("other", "allowed"))
		}, false, false},
		{"bound through an own link", unix.SOCK_STREAM, func(t *testing.T, typ int) {
			must(t, os.Symlink("allowed", "link"))
			listenAt(t, typ, filepath.Join(wd(t), "link/s"))
		}, os.Geteuid() == 0, false},
		{"bound where a rule allows it too", unix.SOCK_STREAM, func(t *testing.T, typ int) {
			listenAt(t, typ, filepath.Join(wd(t), "also"))
			must(t, os.Rename("also", "allowed/s"))
		}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			must(t, os.Mkdir("allowed", 0o755))
			must(t, os.Mkdir("other", 0o755))
			start, err := fileClock()
			must(t, err)
			tt.put(t, tt.typ)
			end := start
			end.Sec += 3600
			for began, want := range map[unix.Timespec]bool{start: tt.during, end: tt.before} {
				n := examined(t, began, tt.typ)
				bound, got := n.stays(func(path string) bool { return path == filepath.Join(wd(t), "also") })
				if got != want {
					t.Errorf("in a session that began at %v: %t (bound as %q)", began, got, bound)
				}
			}
		})
	}
}

// wd is the working directory, without symbolic links.
func wd(t *testing.T) string {
	t.Helper()
	dir, err := os.Readlink("/proc/self/cwd")
	must(t, err)
	return dir
}

func examined(t *testing.T, began unix.Timespec, typ int) *namedSocket {
	t.Helper()
	file, err := os.OpenFile("allowed/s", unix.O_PATH, 0)
	must(t, err)
	defer file.Close()
	s := &Session{began: began, root: os.Geteuid() == 0}
	n, err := s.examineNamed(file, filepath.Join(wd(t), "allowed/s"), typ)
	must(t, err)
	if len(n.names) != 1 {
		t.Errorf("the kernel tells the names %q", n.names)
	}
	return n
}

// TestUnknownName: where the kernel tells no name (another network namespace), a
// file that is older than the session and was changed in it was moved.
func TestUnknownName(t *testing.T) {
	at := func(sec int64) unix.StatxTimestamp { return unix.StatxTimestamp{Sec: sec} }
	for _, tt := range []struct {
		born, changed int64
		mounted, want bool
	}{
		{born: 1, changed: 1, want: true},
		{born: 1, changed: 5, want: false},
		{born: 5, changed: 6, want: true},
		{born: 0, changed: 6, want: false}, // a file system without times of birth
		{born: 1, changed: 5, mounted: true, want: true},
	} {
		n := &namedSocket{since: unix.Timespec{Sec: 3}, born: at(tt.born), changed: at(tt.changed), mounted: tt.mounted}
		if _, got := n.stays(nil); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}

// TestExaminedInOtherView: another file at the path in the supervisor's view is
// an error.
func TestExaminedInOtherView(t *testing.T) {
	t.Chdir(t.TempDir())
	listenAt(t, unix.SOCK_STREAM, "a")
	listenAt(t, unix.SOCK_STREAM, "b")
	file, err := os.OpenFile("a", unix.O_PATH, 0)
	must(t, err)
	defer file.Close()
	if n, err := (&Session{}).examineNamed(file, filepath.Join(wd(t), "b"), unix.SOCK_STREAM); err == nil {
		t.Errorf("examined %+v", n)
	}
}

func TestMountDevice(t *testing.T) {
	const table = "22 1 254:1 / / rw - ext4 /dev/vda rw\n36 22 0:35 / /tmp rw - tmpfs tmpfs rw\nnonsense\n37 22 x:y / /x rw\n"
	for id, want := range map[string]uint32{"22": 254<<20 | 1, "36": 35} {
		if got, known := mountDevice(table, id); got != want || !known {
			t.Errorf("%s: %#x, %t", id, got, known)
		}
	}
	for _, id := range []string{"", "1", "37", "nonsense"} {
		if got, known := mountDevice(table, id); known {
			t.Errorf("%q: %#x", id, got)
		}
	}
}

func FuzzParseBound(f *testing.F) {
	attribute := func(typ uint16, value string) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(attributeHeader+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, typ), value...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	head := append([]byte{unix.AF_UNIX, unix.SOCK_STREAM, tcpListenState, 0}, make([]byte, unixDiagMsgSize-4)...)
	f.Add(join(head, attribute(unixDiagName, "/run/x\x00y"), attribute(unixDiagVFS, "12345678")))
	f.Add(join(head, attribute(unixDiagName, "\x00abstract")))
	f.Add(join(head, attribute(unixDiagVFS, "123"), []byte{0xff, 0xff, 0, 0}))
	f.Add(join(head, []byte{3, 0, 0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		b, ok := parseBound(msg)
		switch {
		case ok && b.name == "":
			t.Error("a socket without a name")
		case ok && b.path && strings.Contains(b.name, "\x00"):
			t.Errorf("the path %q", b.name)
		case ok && b.typ != unix.SOCK_DGRAM && msg[2] != tcpListenState:
			t.Error("a connection")
		}
	})
}
