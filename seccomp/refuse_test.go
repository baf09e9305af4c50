package seccomp

import (
	"encoding/binary"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// allowAll is a program that allows every call.
func allowAll() Program {
	p := binary.NativeEndian.AppendUint16(nil, bpfReturn)
	return binary.NativeEndian.AppendUint32(append(p, 0, 0), actAllow)
}

// installRefuse puts the calling thread of a child behind the refuse filter.
func installRefuse() {
	programs, err := BuildPrograms(Options{})
	must(err)
	noNewPrivs()
	must(InstallRefuse(programs.Refuse))
}

// refuseChild makes calls that are refused and, beside each, one like it that
// is not. With "bare" there is no filter, for comparison.
func refuseChild(args []string) {
	if args[0] != "bare" {
		installRefuse()
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	must(err)
	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	_, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 0, 0, 0)
	say("io_uring_setup", errno)
	_, err = SendTo(pair[0], []byte("x"), msgFastOpen, nil)
	say("sendto with MSG_FASTOPEN", err)
	_, err = SendTo(pair[0], []byte("x"), 0, nil)
	say("sendto", err)
	say("sendmsg with MSG_FASTOPEN", unix.Sendmsg(pair[0], []byte("x"), nil, nil, msgFastOpen))
	say("sendmsg", unix.Sendmsg(pair[0], []byte("x"), nil, nil, 0))
	_, _, errno = unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(pair[0]), 0, 0, msgFastOpen, 0, 0)
	say("sendmmsg with MSG_FASTOPEN", errno)
	_, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	say("socket of TCP", err)
	say("TCP_NODELAY", unix.SetsockoptInt(tcp, unix.SOL_TCP, unix.TCP_NODELAY, 1))
	say("TCP_FASTOPEN_CONNECT", unix.SetsockoptInt(tcp, unix.SOL_TCP, tcpFastOpenConnect, 1))
	say("IP_OPTIONS", unix.SetsockoptString(tcp, unix.SOL_IP, ipOptions, "\x01\x01\x01\x00"))
	tcp6, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	must(err)
	say("IPV6_2292PKTOPTIONS", unix.SetsockoptString(tcp6, unix.SOL_IPV6, ipv6PacketOptions2292, ""))
	say("IPV6_UNICAST_HOPS", unix.SetsockoptInt(tcp6, unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, 1))
	loopback, group := "\x7f\x00\x00\x01", "\xef\x01\x02\x03"
	say("IP_ADD_SOURCE_MEMBERSHIP", unix.SetsockoptString(tcp, unix.SOL_IP, unix.IP_ADD_SOURCE_MEMBERSHIP, group+loopback+loopback))
	null, err := unix.Open("/dev/null", unix.O_RDWR, 0)
	must(err)
	// The device knows no such request: EPERM is the filter's.
	say("TUNSETQUEUE", unix.IoctlSetInt(null, unix.TUNSETQUEUE, 0))
	say("own limit", unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &unix.Rlimit{}))
	say("nice of the user", unix.Setpriority(unix.PRIO_USER, 0, 0))
	say("PR_SET_DUMPABLE", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	must(err)
	say("dumpable afterwards", map[int]error{0: unix.EACCES}[dumpable])
	noNewPrivs()
	_, err = setModeFilter(allowAll(), 0)
	say("filter of one's own", err)
	_, err = setModeFilter(allowAll(), seccompNewListener)
	say("listener of one's own", err)
}

func TestRefuseInKernel(t *testing.T) {
	// ENOTSUP is another name for EOPNOTSUPP.
	want := map[string]string{
		"io_uring_setup":             "ENOSYS",
		"sendto with MSG_FASTOPEN":   "ENOTSUP",
		"sendto":                     "ok",
		"sendmsg with MSG_FASTOPEN":  "ENOTSUP",
		"sendmsg":                    "ok",
		"sendmmsg with MSG_FASTOPEN": "ENOTSUP",
		"socket of TCP":              "ok",
		"TCP_NODELAY":                "ok",
		"TCP_FASTOPEN_CONNECT":       "ENOTSUP",
		"IP_OPTIONS":                 "EPERM",
		"IPV6_2292PKTOPTIONS":        "EPERM",
		"IPV6_UNICAST_HOPS":          "ok",
		"IP_ADD_SOURCE_MEMBERSHIP":   "ENODEV",
		"TUNSETQUEUE":                "EPERM",
		"own limit":                  "ok",
		"nice of the user":           "EPERM",
		"PR_SET_DUMPABLE":            "ok",
		"dumpable afterwards":        "ok",
		"filter of one's own":        "ok",
		"listener of one's own":      "EBUSY",
	}
	if diff := cmp.Diff(want, play(t, "refuse", "guarded")); diff != "" {
		t.Errorf("behind the filter (-want +got)\n%s", diff)
	}
	// Without it the same calls pass, so it was the filter that refused.
	bare := play(t, "refuse", "bare")
	if bare["io_uring_setup"] == "ENOSYS" {
		bare["io_uring_setup"] = "EFAULT" // a kernel built without io_uring
	}
	for what, result := range want {
		want[what] = "ok"
		switch {
		case what == "io_uring_setup":
			want[what] = bare[what]
		case what == "TUNSETQUEUE":
			want[what] = "ENOTTY"
		case what == "dumpable afterwards":
			want[what] = "EACCES"
		case result == "ok":
			want[what] = result
		}
	}
	if diff := cmp.Diff(want, bare); diff != "" {
		t.Errorf("without a filter (-want +got)\n%s", diff)
	}
}

// foreignChild makes a call by its x32 number.
func foreignChild([]string) {
	installRefuse()
	_, _, errno := unix.RawSyscall(unix.SYS_GETPID|x32Bit, 0, 0, 0)
	say("x32 getpid", errno)
}

func TestForeignCallKills(t *testing.T) {
	err := child(t, "foreign").Run()
	if runtime.GOARCH != "amd64" {
		if err != nil { // there is no x32: the number is one that nobody has
			t.Fatal(err)
		}
		return
	}
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGSYS {
		t.Fatalf("an x32 call ended the child with %v, want SIGSYS", err)
	}
}

func TestInstallRefusesMalformed(t *testing.T) {
	for _, p := range []Program{nil, {}, make(Program, 7), make(Program, 9)} {
		if err := InstallRefuse(p); err == nil {
			t.Errorf("a program of %d bytes was installed", len(p))
		}
		if _, _, err := InstallNotify(p); err == nil {
			t.Errorf("a program of %d bytes was installed with a listener", len(p))
		}
	}
}
