package supervisor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// arena is memory of an agent's, who is a thread of this very process.
type arena []byte

const arenaSize = 1 << 16

func (a arena) base() uint64 { return uint64(reflect.ValueOf([]byte(a)).Pointer()) }

// waitingCall traps a call of a thread of this process, so that what reads an
// agent's memory, and asks whether he still waits, does so in earnest.
func waitingCall(tb testing.TB) *call {
	tb.Helper()
	programs, err := seccomp.BuildPrograms(seccomp.Options{})
	must(tb, err)
	type installed struct {
		fd  int
		err error
	}
	ready := make(chan installed)
	go func() {
		runtime.LockOSThread() // never unlocked: the filter ends with the thread
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		var fd int
		if err == nil {
			fd, _, err = seccomp.InstallNotify(programs.Notify)
		}
		ready <- installed{fd, err}
		if err == nil {
			_, _, _ = unix.Syscall(unix.SYS_GETSOCKNAME, 1<<20, 0, 0) // until the listener is closed
		}
	}()
	got := <-ready
	must(tb, got.err)
	c := &call{s: testSession(tb, ""), name: "sendmmsg"}
	c.s.listener, err = seccomp.NewListener(got.fd)
	must(tb, err)
	tb.Cleanup(func() { c.s.listener.Close() })
	for {
		if err = c.s.listener.Receive(&c.n); !errors.Is(err, seccomp.ErrTargetGone) {
			break
		}
	}
	must(tb, err)
	c.n.Data.Nr = unix.SYS_SENDMMSG
	return c
}

// newArena maps memory with nothing behind it.
func newArena(tb testing.TB) arena {
	tb.Helper()
	m, err := unix.Mmap(-1, 0, 2*arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	must(tb, err)
	must(tb, unix.Mprotect(m[arenaSize:], unix.PROT_NONE))
	tb.Cleanup(func() { _ = unix.Munmap(m) })
	return arena(m[:arenaSize])
}

// at returns what lies in the arena, nil where a part lies outside.
func (a arena) at(addr, n uint64) []byte {
	from := addr - a.base()
	if from > arenaSize || n > arenaSize-from {
		return nil
	}
	return a[from : from+n]
}

// fill puts bytes into the arena. Small numbers that stand where an address
// would become addresses of the arena.
func (a arena) fill(memory []byte) {
	clear(a)
	copy(a, memory)
	for i := 0; i+8 <= min(len(memory), arenaSize); i += 16 {
		if word := binary.NativeEndian.Uint64(a[i:]); word < arenaSize {
			binary.NativeEndian.PutUint64(a[i:], a.base()+word)
		}
	}
}

// FuzzMessages reads the messages of a sendmmsg(2): headers, vectors, data,
// names and control messages.
func FuzzMessages(f *testing.F) {
	one := words(0x400, 16, 0x100, 2, 0x500, 24, 0, 0)
	vector := words(0x600, 5, 0x700, 7)
	f.Add(uint32(1), 0, append(append(one, make([]byte, 0x100-len(one))...), vector...))
	f.Add(uint32(3), 0, bytes.Repeat(one, 3))
	f.Add(uint32(5), arenaSize-msghdrSize, []byte{})
	f.Add(uint32(2), 0, bytes.Repeat([]byte{0xff}, 4096))
	f.Add(uint32(1), 0, words(0, 0, 0x40, 1025, 0, 0, 0, 0))
	const few = 16 // messages: many take long
	c, mem := waitingCall(f), newArena(f)
	k := &socket{fd: -1, domain: unix.AF_UNIX, typ: unix.SOCK_DGRAM}
	f.Fuzz(func(t *testing.T, count uint32, at int, memory []byte) {
		mem.fill(memory)
		sent, count := uint32(0), count%few
		r := c.sendEach(mem.base()+uint64(at), count, func(m *msghdr) reply {
			sent++
			checkMessage(t, c, mem, m)
			files, err := c.copyControl(&outbound{k: k, m: m})
			files.close()
			if len(files.fds) > maxRights {
				t.Errorf("%d descriptors are passed", len(files.fds))
			}
			return result(len(files.fds), err)
		})
		switch {
		case r.kind == replyContinue:
			t.Error("a message is sent natively")
		case sent > count:
			t.Errorf("%d of %d messages are sent", sent, count)
		case r.kind == replyValue && r.val > int64(sent):
			t.Errorf("%d of %d are said to be sent", r.val, sent)
		}
	})
}

// checkMessage compares what was read with what lies in memory.
func checkMessage(t *testing.T, c *call, mem arena, m *msghdr) {
	t.Helper()
	if len(m.iov) > maxIov {
		t.Fatalf("a vector of %d", len(m.iov))
	}
	if name := mem.at(m.name, uint64(m.nameLen)); name != nil {
		to, err := c.readSockaddr(m.name, int32(m.nameLen))
		if (err == nil) != (len(name) <= maxSockaddr) || err == nil && !bytes.Equal(to, name) {
			t.Errorf("the name is %x, %v; want %x", to, err, name)
		}
	}
	var want []byte
	for _, r := range m.iov {
		part := mem.at(uint64(r.Base), r.Len)
		if part == nil {
			return // what lies outside may be read or not
		}
		if want = append(want, part...); len(want) > maxDatagram {
			break
		}
	}
	got, err := c.gather(m, maxDatagram)
	if len(want) > maxDatagram {
		if err != unix.EMSGSIZE {
			t.Errorf("of more than a datagram: %v", err)
		}
		return
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the data is %x, %v; want %x", got, err, want)
	}
	from := len(want) / 3
	if part, err := c.gatherPart(m, from, len(want)-from); err != nil || !bytes.Equal(part, want[from:]) {
		t.Errorf("from %d on the data is %x, %v; want %x", from, part, err, want[from:])
	}
}

func words(values ...uint64) (b []byte) {
	for _, v := range values {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return b
}

// FuzzControl has the kernel read the same control messages: what it takes is
// taken, and passes as much.
func FuzzControl(f *testing.F) {
	f.Add(unix.UnixRights(0))
	f.Add(append(unix.UnixRights(0, 1, 2), unix.UnixRights(2)...))
	f.Add(unix.UnixCredentials(&unix.Ucred{Pid: int32(unix.Getpid()), Uid: uint32(unix.Getuid()), Gid: uint32(unix.Getgid())}))
	f.Add(appendControl(nil, unix.SOL_IP, unix.IP_PKTINFO, make([]byte, 12)))
	f.Add(appendControl(unix.UnixRights(0), unix.SOL_SOCKET, 7, nil))
	f.Add(words(16, 1<<32|1))
	f.Add(words(1<<63, 1<<32|1, 0))
	f.Add(words(15, 1<<32|1))
	f.Add(append(words(17, 1<<32|1), 0)) // a quarter of a descriptor
	c, mem := waitingCall(f), newArena(f)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(f, err)
	k := &socket{fd: pair[0], domain: unix.AF_UNIX, typ: unix.SOCK_DGRAM}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 || len(raw) > arenaSize {
			return
		}
		copy(mem, raw)
		o := &outbound{k: k, m: &msghdr{control: mem.base(), controlLen: uint64(len(raw))}}
		files, err := c.copyControl(o)
		files.close()
		_, kernel := seccomp.SendMessage(pair[0], []byte{0}, raw, unix.MSG_DONTWAIT, nil)
		if kernel == nil {
			passed := receivedFiles(t, pair[1])
			if err != nil || passed != len(files.fds) {
				t.Errorf("%x: %d descriptors, %v; the kernel passes %d", raw, len(files.fds), err, passed)
			}
		}
		if err == nil && kernel == unix.EINVAL && !claims(raw) {
			t.Errorf("%x is taken, the kernel refuses it", raw)
		}
	})
}

// claims says whether there are credentials among control messages: what they
// say the kernel looks at, and copyControl does not.
func claims(raw []byte) bool {
	messages, err := unix.ParseSocketControlMessage(raw)
	return err == nil && slices.ContainsFunc(messages, func(m unix.SocketControlMessage) bool {
		return m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_CREDENTIALS
	})
}

// receivedFiles takes a message, and says how many descriptors came with it.
func receivedFiles(t *testing.T, fd int) (n int) {
	t.Helper()
	control := make([]byte, maxControlRoom)
	_, size, _, _, err := unix.Recvmsg(fd, make([]byte, 1), control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	must(t, err)
	messages, err := unix.ParseSocketControlMessage(control[:size])
	must(t, err)
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			n += len(fds)
			passed{fds: fds}.close()
		}
	}
	return n
}

// FuzzUnixName reads addresses of AF_UNIX as bind(2) and connect(2) are given
// them.
func FuzzUnixName(f *testing.F) {
	f.Add([]byte(pathSockaddr("/run/x")))
	f.Add([]byte(abstractSockaddr("@name")))
	f.Add([]byte{unix.AF_UNIX})
	f.Add([]byte{unix.AF_UNIX, 0})
	f.Add(bytes.Repeat([]byte{unix.AF_UNIX}, maxSunLen+1))
	c, mem := waitingCall(f), newArena(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		copy(mem, raw)
		addr, err := c.readSockaddr(mem.base(), int32(len(raw)))
		if (err == nil) != (len(raw) <= maxSockaddr) || err == nil && !bytes.Equal(addr, raw) {
			t.Fatalf("%x was read as %x, %v", raw, addr, err)
		}
		target, err := c.unixTarget(&socket{typ: unix.SOCK_STREAM}, addr)
		if target != nil && err == nil {
			target.close()
		}
		if err == nil && (len(addr) <= sunPath || len(addr) > maxSunLen || addr.family() != unix.AF_UNIX) {
			t.Errorf("%x names %q", raw, target.shown)
		}
		if err == nil && target.own {
			t.Errorf("%q is taken for the session's own", target.shown)
		}
	})
}
