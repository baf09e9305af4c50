package supervisor

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// netlinkMessage is one message of a dump; a size of -1 is the true one.
func netlinkMessage(typ uint16, size int, body []byte) []byte {
	if size < 0 {
		size = netlinkHeaderSize + len(body)
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(size))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(append(b, make([]byte, 10)...), body...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func diagMessage(port uint16, ino uint32) []byte {
	body := make([]byte, inetDiagMsgSize)
	body[0], body[inetDiagMsgSrc], body[inetDiagMsgSrc+3] = unix.AF_INET, 127, 1
	binary.BigEndian.PutUint16(body[inetDiagMsgSport:], port)
	binary.NativeEndian.PutUint32(body[inetDiagMsgInode:], ino)
	return netlinkMessage(sockDiagByFamily, -1, body)
}

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func TestListeningDump(t *testing.T) {
	at := netip.MustParseAddr("127.0.0.1")
	done := netlinkMessage(netlinkMsgDone, -1, make([]byte, 4))
	for _, tt := range []struct {
		name string
		raw  []byte
		want map[inode]netip.Addr
		done bool
		fail bool
	}{
		{"nothing", nil, map[inode]netip.Addr{}, false, false},
		{"two and the end", join(diagMessage(80, 7), diagMessage(80, 8), done), map[inode]netip.Addr{7: at, 8: at}, true, false},
		{"more to come", diagMessage(80, 7), map[inode]netip.Addr{7: at}, false, false},
		{"another port", join(diagMessage(81, 7), diagMessage(80, 8)), map[inode]netip.Addr{8: at}, false, false},
		{"nothing behind the end", join(done, diagMessage(80, 7)), map[inode]netip.Addr{}, true, false},
		{"refused", netlinkMessage(netlinkMsgError, -1, make([]byte, 20)), map[inode]netip.Addr{}, true, true},
		{"short body", netlinkMessage(sockDiagByFamily, -1, make([]byte, inetDiagMsgSize-1)), map[inode]netip.Addr{}, false, false},
		{"no length", netlinkMessage(sockDiagByFamily, 0, make([]byte, 80)), map[inode]netip.Addr{}, true, true},
		{"length beyond the end", netlinkMessage(sockDiagByFamily, 1<<20, make([]byte, 80)), map[inode]netip.Addr{}, true, true},
		{"greatest length", netlinkMessage(sockDiagByFamily, 1<<32-1, nil), map[inode]netip.Addr{}, true, true},
		{"half a header", make([]byte, netlinkHeaderSize-1), map[inode]netip.Addr{}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := map[inode]netip.Addr{}
			done, err := splitNetlink(tt.raw, func(msg []byte) { noteListening(msg, 80, got) })
			if done != tt.done || (err != nil) != tt.fail {
				t.Errorf("done %v, %v", done, err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func FuzzListeningDump(f *testing.F) {
	f.Add(diagMessage(80, 7))
	f.Add(netlinkMessage(netlinkMsgDone, -1, nil))
	f.Add(netlinkMessage(sockDiagByFamily, 17, make([]byte, 3)))
	f.Fuzz(func(t *testing.T, b []byte) {
		found := map[inode]netip.Addr{}
		_, _ = splitNetlink(b, func(msg []byte) { noteListening(msg, 80, found) })
		if len(found) > len(b)/(netlinkHeaderSize+inetDiagMsgSize) {
			t.Fatalf("%d sockets in %d bytes", len(found), len(b))
		}
	})
}

// listenerInode is the socket behind a listener of the test's.
func listenerInode(t *testing.T, l net.Listener) inode {
	t.Helper()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); err != nil {
		t.Fatal(err)
	}
	return inode(st.Ino)
}

// TestListeners asks the real kernel.
func TestListeners(t *testing.T) {
	for _, tt := range []struct {
		name, network, at string
		wild              wildcard
		reaches           map[string]bool
	}{
		{"exact IPv4", "tcp4", "127.0.0.1:0", wildcard{}, map[string]bool{"127.0.0.1": true, "127.0.0.2": false, "::1": false}},
		{"exact IPv6", "tcp6", "[::1]:0", wildcard{}, map[string]bool{"127.0.0.1": false, "::1": true}},
		{"narrowed IPv4", "tcp4", "127.0.0.1:0", wildcard{v4: true}, map[string]bool{"127.0.0.1": true, "127.0.0.2": true, "::1": false}},
		{"narrowed both", "tcp4", "127.0.0.1:0", wildcard{v4: true, v6: true}, map[string]bool{"127.0.0.9": true, "::1": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen(tt.network, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			at, ino, known := addrPortOf(l.Addr()), listenerInode(t, l), newListeners()
			if tt.wild != (wildcard{}) {
				known.narrow(ino, tt.wild)
			}
			known.add(ino, at)
			dial := func(addr string) netip.AddrPort {
				return netip.AddrPortFrom(netip.MustParseAddr(addr), at.Port())
			}
			for addr, want := range tt.reaches {
				if got, ok := known.find(dial(addr)); ok != want || ok && got != at {
					t.Errorf("%s leads to %s, %v; want %v", addr, got, ok, want)
				}
			}
			if _, ok := known.find(netip.AddrPortFrom(at.Addr(), at.Port()^1)); ok {
				t.Error("another port leads there")
			}
			// Whoever takes the port afterwards is not of the session.
			l.Close()
			if again, err := net.Listen(tt.network, at.String()); err == nil {
				defer again.Close()
			}
			if got, ok := known.find(at); ok {
				t.Errorf("after its end it leads to %s", got)
			}
		})
	}
}
