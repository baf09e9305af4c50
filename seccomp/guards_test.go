package seccomp

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestProbes: a guard that the kernel's version brings must be there. One that
// is missing, because it was not enabled or something above refuses it, is a
// failure of the machine that shall be seen.
func TestProbes(t *testing.T) {
	landlock, lockErr := ProbeLandlock()
	cmd := child(t, "idle")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	for _, probe := range []struct {
		name         string
		major, minor int
		err          error
	}{
		{"user notification", 5, 0, NotifyAvailable()},
		{"WAIT_KILLABLE_RECV", 5, 19, WaitKillableAvailable()},
		{"pidfd_getfd", 5, 6, ProbePidfdGetfd(cmd.Process.Pid, 0)},
		{"landlock", 5, 13, lockErr},
		{"landlock network", 6, 7, off(landlock.Net)},
		{"landlock scopes", 6, 12, off(landlock.Scope)},
		{"landlock tracing", 5, 19, off(landlock.Trace)},
	} {
		expected := kernelAtLeast(t, probe.major, probe.minor)
		if on := probe.err == nil; on != expected {
			t.Errorf("%s: on is %v, want %v: %v", probe.name, on, expected, probe.err)
		}
		if probe.err != nil && !errors.Is(probe.err, ErrNotSupported) {
			t.Errorf("%s: %v is not ErrNotSupported", probe.name, probe.err)
		}
	}
	if err := ProbePidfdGetfd(cmd.Process.Pid, 1<<20); !errors.Is(err, ErrNotSupported) {
		t.Errorf("a descriptor that is not there: %v", err)
	}
}

func off(on bool) error {
	if on {
		return nil
	}
	return ErrNotSupported
}

// idleChild waits until its standard input ends.
func idleChild([]string) { _, _ = os.Stdin.Read(make([]byte, 1)) }

// landlockChild tries to get out, before and after it entered the domain.
func landlockChild(args []string) {
	port, err := strconv.Atoi(args[0])
	must(err)
	early, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	attempt := func(when string) {
		to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(err)
		say(when+" connect", unix.Connect(fd, to))
		if when == "after" {
			say("after connect of an older socket", unix.Connect(early, to))
		}
		local, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(err)
		say(when+" abstract", unix.Connect(local, &unix.SockaddrUnix{Name: args[1]}))
		say(when+" signal", unix.Kill(os.Getppid(), 0))
		own, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(err)
		say(when+" bind", unix.Bind(own, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		_, err = os.ReadFile("/proc/self/status")
		say(when+" file", err)
	}
	attempt("before")
	l, err := ProbeLandlock()
	must(err)
	noNewPrivs()
	must(l.Restrict())
	attempt("after")
}

func TestLandlockRestrict(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	name := "@boundary-landlock-" + strconv.Itoa(os.Getpid())
	local, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	got := play(t, "landlock", strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port), name)
	want := map[string]string{
		"before connect": "ok", "before abstract": "ok", "before signal": "ok", "before bind": "ok", "before file": "ok",
		"after connect": "EACCES", "after connect of an older socket": "EACCES", "after abstract": "EPERM",
		"after signal": "EPERM", "after bind": "ok", "after file": "ok",
	}
	if !kernelAtLeast(t, 6, 12) {
		want["after abstract"], want["after signal"] = "ok", "ok"
	}
	if !kernelAtLeast(t, 6, 7) {
		want["after connect"], want["after connect of an older socket"] = "ok", "ok"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// traceChild enters the domain that older kernels give, and tries what only it
// forbids, beside what must go on working.
func traceChild(args []string) {
	target, err := strconv.Atoi(args[0])
	must(err)
	attempt := func(when string) {
		_, err := unix.Open("/proc/"+args[0]+"/mem", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		say(when+" memory", err)
		say(when+" ptrace", unix.PtraceSeize(target))
		if when == "before" {
			must(unix.PtraceInterrupt(target))
			_, err := unix.Wait4(target, nil, unix.WALL, nil)
			must(err)
			must(unix.PtraceDetach(target))
		}
		from, to := filepath.Join(args[1], "a", "file"), filepath.Join(args[1], "b", "file")
		say(when+" rename to another folder", os.Rename(from, to))
		must(os.Rename(to, from))
	}
	runtime.LockOSThread()
	attempt("before")
	noNewPrivs()
	must(Landlock{Trace: true}.Restrict())
	attempt("after")
}

func TestLandlockTrace(t *testing.T) {
	if l, err := ProbeLandlock(); err != nil || !l.Trace {
		t.Fatalf("Landlock ABI 2 (Linux 5.19) is needed: ABI %d, %v", l.ABI, err)
	}
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	target := exec.Command("sleep", "60")
	if err := target.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = target.Process.Kill()
		_ = target.Wait()
	}()
	want := map[string]string{
		"before memory": "ok", "before ptrace": "ok", "before rename to another folder": "ok",
		"after memory": "EACCES", "after ptrace": "EPERM", "after rename to another folder": "ok",
	}
	if diff := cmp.Diff(want, play(t, "trace", strconv.Itoa(target.Process.Pid), dir)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLandlockAttrSize(t *testing.T) {
	for _, tt := range []struct {
		name string
		attr *landlockRulesetAttr
		want uintptr
	}{
		{"none", nil, 0},
		{"empty", &landlockRulesetAttr{}, 8},
		{"network", &landlockRulesetAttr{handledAccessNet: 2}, 16},
		{"scope", &landlockRulesetAttr{scoped: 1}, 24},
		{"both", &landlockRulesetAttr{handledAccessNet: 2, scoped: 3}, 24},
	} {
		if got := tt.attr.size(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// capabilitiesChild says which sets still hold what would undo the boundary.
func capabilitiesChild([]string) {
	must(DropCapabilities())
	say("second time", DropCapabilities())
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(unix.Capget(&hdr, &data[0]))
	has := func(c uint) bool {
		d := data[c/32]
		return (d.Effective|d.Permitted|d.Inheritable)>>(c%32)&1 != 0
	}
	bounded := func(c uint) bool {
		v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		return err == nil && v == 1
	}
	root := unix.Geteuid() == 0
	for _, c := range undoing {
		if has(c) || root && bounded(c) {
			say("capability "+strconv.Itoa(int(c)), unix.EEXIST)
		}
	}
	if root && (!has(unix.CAP_CHOWN) || !bounded(unix.CAP_CHOWN)) {
		say("CAP_CHOWN", unix.ENOENT)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	say("raw socket", err)
	unix.Close(fd)
	// An exec gives root all of the bounding set again, and no more.
	must(unix.Exec("/bin/grep", []string{"grep", "-E", "^Cap(Eff|Bnd)", "/proc/self/status"}, nil))
}

func TestDropCapabilities(t *testing.T) {
	got := play(t, "capabilities")
	for _, set := range []string{"CapEff", "CapBnd"} {
		line := ""
		for what, result := range got {
			if len(what) >= len(set) && what[:len(set)] == set {
				line = what[len(set)+1:] + result
				delete(got, what)
			}
		}
		mask, err := strconv.ParseUint(trim(line), 16, 64)
		if err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		for _, c := range undoing {
			// Without CAP_SETPCAP the bounding set can't be changed; it
			// gives an ordinary user nothing.
			if mask>>c&1 != 0 && (set == "CapEff" || os.Geteuid() == 0) {
				t.Errorf("after an exec %s has capability %d", set, c)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"second time": "ok", "raw socket": "EPERM"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func trim(s string) string {
	for len(s) > 0 && (s[0] == ':' || s[0] == '\t' || s[0] == ' ') {
		s = s[1:]
	}
	return s
}

// userChild takes an ordinary user's identity for one thread.
func userChild([]string) {
	say("assume", AssumeUser(65534, 65533, []int{7}))
	groups, err := unix.Getgroups()
	must(err)
	other := make(chan int)
	go func() { other <- unix.Geteuid() }() // on another thread: this one is locked
	if unix.Geteuid() == 65534 && unix.Getegid() == 65533 && len(groups) == 1 && groups[0] == 7 {
		say("this thread", nil)
	}
	if <-other == os.Getuid() {
		say("the others", nil)
	}
	become := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		err := BecomeUser(65534, 65533, nil)
		if err == nil && (unix.Getuid() != 65534 || unix.Getgid() != 65533) {
			err = unix.ENOTRECOVERABLE
		}
		become <- err
	}()
	say("become", <-become)
}

func TestAssumeUser(t *testing.T) {
	want := map[string]string{"assume": "ok", "this thread": "ok", "the others": "ok", "become": "ok"}
	if os.Geteuid() != 0 {
		want = map[string]string{"assume": "setgroups: operation not permitted", "the others": "ok", "become": "setgroups: operation not permitted"}
	}
	if diff := cmp.Diff(want, play(t, "user")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
