package supervisor

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
)

// agent is a process that does what the test tells it by its standard input.
type agent struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

// startAgent runs a command until the test ends. Its standard input is closed
// then, on which each ends by itself.
func startAgent(t *testing.T, name string, args ...string) *agent {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return &agent{cmd.Process.Pid, in, bufio.NewReader(out)}
}

// line waits for the next line of its output.
func (a *agent) line(t *testing.T) string {
	t.Helper()
	line, err := a.out.ReadString('\n')
	if err != nil {
		t.Fatalf("read from agent: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (a *agent) tell(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(a.in, text); err != nil {
		t.Fatal(err)
	}
}

// TestHostileNames: a process names itself so as to be taken for another's
// child, or for another user's.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		"plain", ") R 1 1", "a) S 1 (b", "(", "))))", ") Z 1 1 1 1 1 1", "\n) R 1 1\n", "\nUid:\t7\t7\t7\t7", "\nGroups:\t9\n", "\nTgid:\t1\n", "\nSigBlk:\tffff",
	} {
		t.Run(name, func(t *testing.T) {
			a := startAgent(t, "/proc/self/exe", namedArg, name)
			a.line(t)
			comm, err := os.ReadFile("/proc/" + strconv.Itoa(a.pid) + "/comm")
			if err != nil || string(comm) != name[:min(len(name), 15)]+"\n" {
				t.Fatalf("named %q, %v", comm, err)
			}
			stat, err := readStat(a.pid)
			if err != nil {
				t.Fatal(err)
			}
			if stat.ppid != os.Getpid() || !strings.ContainsRune("RSD", rune(stat.state)) || stat.start == 0 {
				t.Errorf("read as %+v", stat)
			}
			got, err := idsOf(a.pid)
			if err != nil {
				t.Fatal(err)
			}
			if got.uid != os.Geteuid() || got.gid != os.Getegid() {
				t.Errorf("user %d, group %d", got.uid, got.gid)
			}
			for _, g := range got.groups {
				if g == 9 {
					t.Errorf("groups %v", got.groups)
				}
			}
			proc := newProcesses().of(a.pid)
			if proc.record.PID != a.pid || proc.record.PPID != os.Getpid() || proc.record.UID != os.Geteuid() {
				t.Errorf("attributed to %+v", proc.record)
			}
			if signalPending(a.pid) {
				t.Error("a signal is pending")
			}
		})
	}
}

// TestProcesses follows one process through an exec.
func TestProcesses(t *testing.T) {
	a := startAgent(t, "/bin/sh", "-c", `/bin/sh -c 'echo $$; read x; exec cat' inner; true`)
	inner, err := strconv.Atoi(a.line(t))
	if err != nil {
		t.Fatal(err)
	}
	p := newProcesses()
	before := p.of(inner)
	shell := exeOf(t, a.pid)
	want := audit.Process{
		PID: inner, PPID: a.pid, Exe: shell, Argv: []string{"/bin/sh", "-c", "echo $$; read x; exec cat", "inner"},
		Cwd: workingDir(t), UID: os.Geteuid(), StartTime: before.record.StartTime,
		Ancestors: []audit.Ancestor{{PID: a.pid, Exe: shell}},
	}
	if diff := cmp.Diff(want, before.record); diff != "" {
		t.Errorf("before exec (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{shell}, before.policy.Ancestors); diff != "" || before.policy.Exe != shell {
		t.Errorf("for rules: %s (-want +got)\n%s", before.policy.Exe, diff)
	}
	if again := p.of(inner); again != before {
		t.Error("the same process was read anew")
	}
	a.tell(t, "go\nhello\n") // the shell takes one line, cat says the other
	if got := a.line(t); got != "hello" {
		t.Fatalf("read %q", got)
	}
	after := p.of(inner)
	want.Exe, want.Argv = exeOf(t, inner), []string{"cat"}
	if diff := cmp.Diff(want, after.record); diff != "" || want.Exe == shell {
		t.Errorf("after exec (-want +got)\n%s", diff)
	}
	if before.record.Exe != shell {
		t.Error("the snapshot of before changed")
	}
	// The launcher is where a session ends.
	p.launcher = a.pid
	p.begin(inner)
	if top := p.of(inner); len(top.record.Ancestors) != 0 || len(top.policy.Ancestors) != 0 {
		t.Errorf("ancestors above the session: %v", top.record.Ancestors)
	}
}

// TestProcessMoves: what is recorded of a process is true when it calls, also
// where it has changed without an exec.
func TestProcessMoves(t *testing.T) {
	a := startAgent(t, "/proc/self/exe", movedArg)
	a.line(t)
	p := newProcesses()
	before := p.of(a.pid)
	a.tell(t, "go\n")
	a.line(t)
	want := before.record
	want.Cwd = "/"
	if os.Geteuid() == 0 {
		want.UID = otherUser
	}
	after := p.of(a.pid)
	if diff := cmp.Diff(want, after.record); diff != "" || before.record.Cwd == "/" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if again := p.of(a.pid); again != after {
		t.Error("the same process was read anew")
	}
}

// hiddenRule denies what is below a program that is not known.
const hiddenRule = `
allow "all" {
  hosts   = ["*"]
  private = true
}
deny "below-make" {
  hosts    = ["*"]
  ancestor = ["make"]
}
`

// deniedBelow says whether the rule is about a process.
func deniedBelow(t *testing.T, proc *process) bool {
	t.Helper()
	q := policies.Request{Protocol: policies.HTTP, Host: "a.test", Port: 80, Method: "GET", Path: "/", Process: proc.policy}
	return !testSession(t, hiddenRule).policy.Decide(q).Allowed
}

// TestHiddenAncestors: who stands above a process can't be told where its parent
// has ended, where it can't be read, and where too many processes stand between.
// A rule that denies what is below a program must deny then.
func TestHiddenAncestors(t *testing.T) {
	p := newProcesses()
	first, orphan := startAgent(t, "cat").pid, startAgent(t, "cat").pid
	p.launcher = os.Getpid()
	p.begin(first)
	if deniedBelow(t, p.of(first)) {
		t.Error("the first process is taken to be below another")
	}
	if !deniedBelow(t, p.of(orphan)) {
		t.Error("an orphan is not taken to be below what it was below")
	}
	if !deniedBelow(t, unknownProcess(1)) {
		t.Error("a process that can't be read is not taken to be below another")
	}
	const nest = `[ $1 = 0 ] && { echo $$; read x; exit; }; /bin/sh -c "$0" "$0" $(($1-1)); true`
	for levels, hidden := range map[int]bool{maxAncestors - 1: false, maxAncestors: false, maxAncestors + 1: true} {
		a := startAgent(t, "/bin/sh", "-c", nest, nest, strconv.Itoa(levels))
		inner, err := strconv.Atoi(a.line(t))
		if err != nil {
			t.Fatal(err)
		}
		p := newProcesses()
		p.launcher = os.Getpid()
		p.begin(a.pid)
		if got := deniedBelow(t, p.of(inner)); got != hidden {
			t.Errorf("with %d above: denied %t, want %t", levels, got, hidden)
		}
	}
}

func TestProcessGone(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	p := newProcesses()
	got := p.of(cmd.Process.Pid)
	if diff := cmp.Diff(unknownProcess(cmd.Process.Pid).record, got.record); diff != "" || got.policy.Exe != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := idsOf(cmd.Process.Pid); err == nil {
		t.Error("a process that is gone has a user")
	}
	if umaskOf(cmd.Process.Pid) != 0o777 || uidOf(cmd.Process.Pid) != -1 {
		t.Error("a process that is gone has a mask or a user")
	}
	if !signalPending(cmd.Process.Pid) {
		t.Error("a receive would wait for a process that is gone")
	}
}

func TestProcessesBounded(t *testing.T) {
	p := newProcesses()
	for tid := range maxProcesses {
		p.cache[-tid] = &processSnapshot{}
	}
	p.of(startAgent(t, "cat").pid)
	if len(p.cache) > maxProcesses {
		t.Errorf("%d snapshots", len(p.cache))
	}
}

func exeOf(t *testing.T, pid int) string {
	t.Helper()
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func workingDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Readlink("/proc/self/cwd")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStatusNumbers(t *testing.T) {
	const status = "Name:\tx\nUmask:\t0022\nUid:\t1\t2\t3\t4\nGroups:\t \nGid:\t5 6\nBad:\t1 x\nNegative:\t-1\nLast:\t7"
	for _, tt := range []struct {
		name string
		want []int
	}{
		{"Uid", []int{1, 2, 3, 4}}, {"Gid", []int{5, 6}}, {"Groups", nil}, {"Bad", nil}, {"Negative", []int{-1}},
		{"Last", []int{7}}, {"Name", nil}, {"id", nil}, {"Missing", nil}, {"", nil},
	} {
		if diff := cmp.Diff(tt.want, statusNumbers([]byte(status), tt.name)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestStatusMask(t *testing.T) {
	const status = "Name:\tx\nSigPnd:\t0000000000000200\nSigBlk:\tffffffffffffffff\nBad:\txyz\nLong:\t10000000000000000\nEmpty:\t\n"
	for name, want := range map[string]uint64{
		"SigPnd": 0x200, "SigBlk": ^uint64(0), "Bad": 0, "Long": 0, "Empty": 0, "Missing": 0,
	} {
		if got := statusMask([]byte(status), name); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("Name:\tx\nUid:\t1\t2\t3\t4\nSigPnd:\t00ff\n"))
	f.Add([]byte("\nUid:\nUid:\t1\n"))
	f.Add([]byte("\nUid:\t99999999999999999999 1\n"))
	f.Add([]byte("\nSigPnd:"))
	f.Fuzz(func(t *testing.T, status []byte) {
		numbers := statusNumbers(status, "Uid")
		var line []byte
		for l := range bytes.SplitSeq(status, []byte("\n")) {
			if rest, ok := bytes.CutPrefix(l, []byte("Uid:")); ok && len(numbers) > 0 {
				line = rest
				break
			}
		}
		if fields := bytes.Fields(line); numbers != nil && !bytes.HasPrefix(status, []byte("Uid:")) && len(fields) != len(numbers) {
			t.Fatalf("%q read as %v", status, numbers)
		}
		_ = statusMask(status, "SigPnd")
	})
}

func TestSplitArgv(t *testing.T) {
	for cmdline, want := range map[string][]string{
		"sh\x00":               {"sh"},
		"sh\x00-c\x00true\x00": {"sh", "-c", "true"},
		"sh\x00\x00":           {"sh", ""},
		"sh\x00\x00x":          {"sh", "", "x"},
		"set by itself":        {"set by itself"},
		"\x00":                 {""}, // of no arguments the kernel makes an empty one
		"":                     nil,
	} {
		if diff := cmp.Diff(want, splitArgv([]byte(cmdline))); diff != "" {
			t.Errorf("%q (-want +got)\n%s", cmdline, diff)
		}
	}
}

func FuzzSplitArgv(f *testing.F) {
	f.Add([]byte("sh\x00-c\x00\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, cmdline []byte) {
		if got := strings.Join(splitArgv(cmdline), "\x00"); got != string(bytes.TrimSuffix(cmdline, []byte{0})) {
			t.Fatalf("%q split into %q", cmdline, got)
		}
	})
}

func TestInodeOf(t *testing.T) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	// A file may be named like a socket; the link to it has a folder before.
	file, err := os.Create(t.TempDir() + "/socket:[5]")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	self := os.Getpid()
	for _, tt := range []struct {
		name string
		fd   int32
		want inode
		err  error
	}{
		{"socket", int32(fd), inode(st.Ino), nil},
		{"file", int32(file.Fd()), 0, unix.ENOTSOCK},
		{"not open", 1 << 20, 0, unix.EBADF},
		{"negative", -1, 0, unix.EBADF},
	} {
		if got, err := inodeOf(self, tt.fd); got != tt.want || err != tt.err {
			t.Errorf("%s: %d, %v; want %d, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestStartOfProcess: a call of a younger thread is recorded with its process's
// beginning.
func TestStartOfProcess(t *testing.T) {
	own, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	procs := newProcesses()
	want := procs.of(os.Getpid()).record.StartTime
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		younger := make(chan bool)
		go func() {
			runtime.LockOSThread() // and not unlocked: the next has a new one
			stat, err := readStat(unix.Gettid())
			if err != nil || stat.start == own.start {
				younger <- false
				return
			}
			if got := procs.of(unix.Gettid()).record.StartTime; !got.Equal(want) {
				t.Errorf("the process began at %v, by its thread at %v", want, got)
			}
			younger <- true
		}()
		if <-younger {
			return
		}
	}
	t.Fatal("no thread is younger than the process")
}
