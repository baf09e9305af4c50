package seccomp

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

const x32Bit = 0x40000000 // __X32_SYSCALL_BIT, <asm/unistd.h>

// outcome is what the two filters answer together.
type outcome struct{ notify, refuse uint32 }

// reference says the same as the filters, in the plainest way. An int
// parameter is what the kernel makes of the register: its low half.
func reference(d Data, o Options) outcome {
	nr := uint32(d.Nr)
	if d.Arch != nativeArch() {
		return outcome{actKillProcess, actKillProcess}
	}
	if runtime.GOARCH == "amd64" && nr >= x32Bit && nr != ^uint32(0) { // -1: a tracer skips the call
		return outcome{actKillProcess, actKillProcess}
	}
	out := outcome{actAllow, actAllow}
	if refTrapped(d, o) {
		out.notify = actNotify
	}
	if errno, refused := refRefused(d, o); refused {
		out.refuse = actErrno | uint32(errno)
	}
	return out
}

func refTrapped(d Data, o Options) bool {
	level, option := d.Int(1), d.Int(2)
	ip := level == 0 || level == 41 || level == 17 // SOL_IP, SOL_IPV6, SOL_UDP
	switch d.Nr {
	case unix.SYS_SOCKET:
		return !refNativeSocket(d, o)
	case unix.SYS_SOCKETPAIR:
		return o.TrapStreams && d.Args[0] == unix.AF_UNIX
	case unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
		unix.SYS_SENDMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMSG, unix.SYS_RECVMMSG,
		unix.SYS_EXECVE, unix.SYS_EXECVEAT:
		return true
	case unix.SYS_SENDTO, unix.SYS_RECVFROM:
		return d.Args[4] != 0
	case unix.SYS_CLONE:
		return d.Args[0]&0x400 != 0 && d.Args[0]&0x10000 == 0 // CLONE_FILES, CLONE_THREAD
	case unix.SYS_SETSOCKOPT:
		return ip || level == 1 && slices.Contains([]int32{15, 16, 34, 49, 60, 76, 83}, option)
	case unix.SYS_GETSOCKOPT:
		return ip || level == 1 && slices.Contains([]int32{15, 16, 17, 28, 34, 38, 39, 59, 76, 77, 83}, option)
	case unix.SYS_IOCTL:
		return slices.Contains([]int32{0x8915, 0x8917, 0x8919, 0x891b}, level)
	}
	return refAimed(d, o)
}

// refAimed lists what is aimed at another process by its number.
func refAimed(d Data, o Options) bool {
	which := d.Int(0)
	switch d.Nr {
	case unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR, unix.SYS_MIGRATE_PAGES:
		return d.Args[0] != 0
	case unix.SYS_PRLIMIT64:
		return d.Args[0] != 0 && d.Args[2] != 0
	case unix.SYS_SETPRIORITY:
		return which == 0 && d.Args[1] != 0 || which == 1
	case unix.SYS_IOPRIO_SET:
		return which == 1 && d.Args[1] != 0 || which == 2
	case unix.SYS_PTRACE:
		return o.TrapTrace && (which == 16 || which == 0x4206)
	case unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV:
		return o.TrapTrace
	}
	return false
}

// refNativeSocket lists what is made without the supervisor. Domain and
// protocol count with all their bits, so that odd spellings are looked at.
func refNativeSocket(d Data, o Options) bool {
	switch d.Args[0] {
	case unix.AF_UNIX:
		return !o.TrapStreams
	case unix.AF_INET, unix.AF_INET6:
		stream := d.Args[1]&0xf == unix.SOCK_STREAM
		tcp := d.Args[2] == 0 || d.Args[2] == unix.IPPROTO_TCP
		return stream && tcp && !o.TrapStreams
	case unix.AF_NETLINK:
		return d.Args[2] == unix.NETLINK_ROUTE && !o.TrapStreams
	}
	return false
}

func refRefused(d Data, o Options) (unix.Errno, bool) {
	const fastOpen = 0x20000000
	a, b, c := d.Int(0), d.Int(1), d.Int(2)
	switch d.Nr {
	case unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER:
		return unix.ENOSYS, true
	case unix.SYS_CLONE3:
		return unix.ENOSYS, true
	case unix.SYS_SENDTO, unix.SYS_SENDMMSG:
		return unix.EOPNOTSUPP, d.Int(3)&fastOpen != 0
	case unix.SYS_SENDMSG:
		return unix.EOPNOTSUPP, c&fastOpen != 0
	case unix.SYS_SOCKET:
		return unix.EPROTONOSUPPORT, c == 262 // IPPROTO_MPTCP
	case unix.SYS_SETSOCKOPT:
		return refOption(b, c)
	case unix.SYS_SECCOMP:
		return unix.EBUSY, a == 1 && b&8 != 0 // SECCOMP_SET_MODE_FILTER, NEW_LISTENER
	case unix.SYS_PRCTL:
		return 0, a == unix.PR_SET_DUMPABLE && d.Args[1] == 0
	case unix.SYS_SETPRIORITY:
		return unix.EPERM, a == 2
	case unix.SYS_IOPRIO_SET:
		return unix.EPERM, a == 3
	case unix.SYS_REQUEST_KEY:
		return unix.ENOKEY, d.Args[2] != 0
	case unix.SYS_SOCKETPAIR:
		return unix.EOPNOTSUPP, d.Args[0] != unix.AF_UNIX
	case unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE, unix.SYS_KCMP:
		return unix.EPERM, o.TrapTrace
	case unix.SYS_IOCTL:
		return unix.EPERM, b == unix.TIOCSTI || b == 0x541c || b == 0x400454ca || b == 0x400454d9 // TIOCLINUX, TUNSETIFF, TUNSETQUEUE
	}
	return 0, false
}

func refOption(level, option int32) (unix.Errno, bool) {
	switch [2]int32{level, option} {
	case [2]int32{6, 30}: // TCP_FASTOPEN_CONNECT
		return unix.EOPNOTSUPP, true
	case [2]int32{6, 31}: // TCP_ULP
		return unix.ENOPROTOOPT, true
	case [2]int32{6, 19}, // TCP_REPAIR
		[2]int32{1, 25}, [2]int32{1, 62}, // SO_BINDTODEVICE, SO_BINDTOIFINDEX
		[2]int32{0, 4},                    // IP_OPTIONS
		[2]int32{41, 57}, [2]int32{41, 5}, // IPV6_RTHDR and its older number
		[2]int32{41, 6}: // IPV6_2292PKTOPTIONS
		return unix.EPERM, true
	case [2]int32{0, 35}, [2]int32{0, 39}, [2]int32{0, 42}, [2]int32{0, 46}, // joins of groups
		[2]int32{41, 20}, [2]int32{41, 27}, [2]int32{41, 42}, [2]int32{41, 46}:
		return unix.ENODEV, true
	}
	return 0, false
}

type builtFilters struct {
	options  Options
	programs Programs
}

func buildBoth(tb testing.TB) []builtFilters {
	tb.Helper()
	var out []builtFilters
	for _, o := range []Options{{}, {TrapStreams: true}, {TrapTrace: true}} {
		p, err := BuildPrograms(o)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, builtFilters{o, p})
	}
	return out
}

func compare(tb testing.TB, filters []builtFilters, d Data) {
	tb.Helper()
	for _, f := range filters {
		notify, err := f.programs.Notify.run(d)
		if err != nil {
			tb.Fatalf("notify filter: %v", err)
		}
		refuse, err := f.programs.Refuse.run(d)
		if err != nil {
			tb.Fatalf("refuse filter: %v", err)
		}
		if got, want := (outcome{notify, refuse}), reference(d, f.options); got != want {
			tb.Fatalf("%+v, call %d (%#x), arch %#x, args %#x: got %#x, want %#x",
				f.options, d.Nr, uint32(d.Nr), d.Arch, d.Args, got, want)
		}
	}
}

// calls are those that a filter looks at, and some beside them.
var calls = []int32{
	unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
	unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMSG, unix.SYS_RECVMMSG,
	unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT, unix.SYS_IOCTL, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER,
	unix.SYS_IO_URING_REGISTER, unix.SYS_SECCOMP, unix.SYS_PRCTL, unix.SYS_PRLIMIT64,
	unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR, unix.SYS_MIGRATE_PAGES,
	unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_REQUEST_KEY, unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE, unix.SYS_KCMP,
	unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN, unix.SYS_SOCKETPAIR, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EXECVE,
	unix.SYS_EXECVEAT, unix.SYS_CLONE, unix.SYS_CLONE3,
}

// words are the values at which some comparison turns, and their neighbours.
var words = []uint64{
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17, 19, 20, 25, 27, 28, 29, 30, 31, 34, 35, 38, 39, 41, 42, 46, 49, 57, 58, 59, 60, 62, 76, 77, 83, 132, 255, 262, 0x400, 0x10000, 0x10400,
	0x800, 0x4206, 0x5412, 0x541c, 0x8915, 0x8917, 0x8919, 0x891b, 0x8927, 0x80000, 0x80001, 0x80002, 0x20000000, 0x20004000, 0x400454ca, 0x400454d9, 0xdfffffff, 0xffffffff,
}

// TestFiltersByTable tries every pair of turning points in the first three
// arguments' places, with and without bits in the upper halves.
func TestFiltersByTable(t *testing.T) {
	filters := buildBoth(t)
	const high = 0xdead_0000_0000_0000
	for _, nr := range calls {
		for _, v := range words {
			for _, w := range words {
				for _, args := range [][6]uint64{
					{v, w}, {v, 1, w}, {3, v, w}, {3, 4, v, w}, {3, 4, 5, w, v},
					{v | high, w}, {v, w | high}, {3, v | high, w | high},
				} {
					compare(t, filters, Data{Nr: nr, Arch: nativeArch(), Args: args})
				}
			}
		}
	}
}

// TestFiltersByChance mixes turning points and noise in all places.
func TestFiltersByChance(t *testing.T) {
	filters := buildBoth(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		d := Data{Nr: calls[rng.IntN(len(calls))], Arch: nativeArch()}
		if rng.IntN(8) == 0 {
			d.Nr = int32(rng.IntN(600))
		}
		for i := range d.Args {
			d.Args[i] = words[rng.IntN(len(words))]
			if rng.IntN(4) == 0 {
				d.Args[i] |= uint64(rng.Uint32()) << 32
			}
			if rng.IntN(16) == 0 {
				d.Args[i] = rng.Uint64()
			}
		}
		compare(t, filters, d)
	}
}

// TestForeignCalls: what is not the machine's own way to call the kernel kills
// the process, whatever its arguments are.
func TestForeignCalls(t *testing.T) {
	filters := buildBoth(t)
	arches := []uint32{0, archI386, archARM, archRISCV, archAMD64 &^ 0x40000000, ^uint32(0)}
	if runtime.GOARCH == "amd64" {
		arches = append(arches, archARM64)
	} else {
		arches = append(arches, archAMD64)
	}
	for _, arch := range arches {
		for nr := range int32(600) {
			d := Data{Nr: nr, Arch: arch}
			compare(t, filters, d)
			if got := reference(d, Options{}); got != (outcome{actKillProcess, actKillProcess}) {
				t.Fatalf("arch %#x, call %d: %#x", arch, nr, got)
			}
		}
	}
	for _, nr := range append(calls, 0, 520, 0x3fffffff, -2, -1) {
		compare(t, filters, Data{Nr: nr | x32Bit, Arch: nativeArch(), Args: [6]uint64{2, 1}})
		compare(t, filters, Data{Nr: nr, Arch: nativeArch()})
	}
}

func FuzzFilters(f *testing.F) {
	filters := buildBoth(f)
	for _, nr := range calls {
		f.Add(nr, nativeArch(), uint64(2), uint64(1), uint64(6), uint64(0), uint64(0), uint64(0))
	}
	high := uint64(1) << 32
	f.Add(int32(unix.SYS_SOCKET), nativeArch(), uint64(2)|high, uint64(1), uint64(6), uint64(0), uint64(0), uint64(0))
	f.Add(int32(unix.SYS_SOCKET), nativeArch(), uint64(2), uint64(0x80001), uint64(262)|high, uint64(0), uint64(0), uint64(0))
	f.Add(int32(unix.SYS_SETSOCKOPT), nativeArch(), uint64(3), uint64(41)|high, uint64(57)|high, uint64(0), uint64(0), uint64(0))
	f.Add(int32(unix.SYS_SENDTO), nativeArch(), uint64(3), uint64(0), uint64(0), uint64(0x20000000)|high, high, uint64(0))
	f.Add(int32(unix.SYS_PRCTL), nativeArch(), uint64(4), high, uint64(0), uint64(0), uint64(0), uint64(0))
	f.Add(int32(unix.SYS_CONNECT|x32Bit), nativeArch(), uint64(3), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Add(int32(102), uint32(archI386), uint64(3), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Add(int32(-1), nativeArch(), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, nr int32, arch uint32, a, b, c, d, e, g uint64) {
		compare(t, filters, Data{Nr: nr, Arch: arch, Args: [6]uint64{a, b, c, d, e, g}})
	})
}
