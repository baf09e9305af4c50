package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for something before it fails.
	patience = 20 * time.Second
	// longest is how long a session may take before it is killed.
	longest = 2 * time.Minute
)

// session is one `boundary exec` to be run.
type session struct {
	as       mode
	policy   string   // text of policy.hcl; empty gives no -p
	flags    []string // further flags of exec
	command  []string // the agent
	env      []string // added to environment()
	stdin    io.Reader
	files    []*os.File // inherited as descriptors 3 and up
	terminal *os.File   // standard streams and controlling terminal
	world    *world     // nil is the machine's own network
	place    *place     // where to start it, in place of world
	dir      string     // working folder; empty makes one
	wrap     []string   // program to run boundary under
}

// running is a session that was started.
type running struct {
	t              testing.TB
	cmd            *exec.Cmd
	dir            string
	audit          string
	stdout, stderr *output
	done           chan struct{} // closed when status is set
	status         int
}

// environment returns what a program of the tests finds in its environment.
// It names no proxy and no certificates.
func environment(dir string) []string {
	return []string{
		"PATH=" + systemPath, "HOME=" + dir, "TMPDIR=" + dir, "LANG=C", "TERM=xterm",
		"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "NO_UPDATE_NOTIFIER=1",
	}
}

// start starts the session. What is still running at the end of the test is
// killed.
func (s session) start(t testing.TB) *running {
	t.Helper()
	if s.dir == "" {
		s.dir = s.as.dir(t)
	}
	r := &running{
		t: t, dir: s.dir, audit: filepath.Join(s.dir, "audit.jsonl"),
		stdout: newOutput(), stderr: newOutput(), done: make(chan struct{}),
	}
	argv := append(s.wrap[:len(s.wrap):len(s.wrap)], shop.boundary(t), "exec", "--audit", r.audit)
	if s.policy != "" {
		s.as.write(t, filepath.Join(s.dir, "policy.hcl"), s.policy)
		argv = append(argv, "-p", "policy.hcl")
	}
	argv = append(argv, s.flags...)
	argv = append(argv, "--")
	argv = s.as.wrap(t, append(argv, s.command...))
	r.cmd = exec.Command(argv[0], argv[1:]...)
	r.cmd.Dir, r.cmd.Env = s.dir, append(environment(s.dir), s.env...)
	r.cmd.SysProcAttr = s.as.attributes()
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = s.stdin, r.stdout, r.stderr
	r.cmd.ExtraFiles = s.files
	r.cmd.WaitDelay = time.Second
	if s.terminal != nil {
		r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = s.terminal, s.terminal, s.terminal
		r.cmd.SysProcAttr.Setpgid = false
		r.cmd.SysProcAttr.Setsid, r.cmd.SysProcAttr.Setctty = true, true
	}
	start := s.world.start
	if s.place != nil {
		start = s.place.start
	}
	r.launch(start)
	return r
}

// launch starts the command and has its end noticed.
func (r *running) launch(start func(*exec.Cmd) error) {
	r.t.Helper()
	if err := start(r.cmd); err != nil {
		r.t.Fatalf("start %s: %v", r.cmd.Args, err)
	}
	go func() {
		r.status = exitStatus(r.cmd.Wait())
		close(r.done)
	}()
	limit := time.AfterFunc(longest, r.kill)
	r.t.Cleanup(func() {
		limit.Stop()
		r.kill()
		<-r.done
		if r.t.Failed() {
			r.t.Logf("command: %q\nstatus: %d\nstdout:\n%s\nstderr:\n%s\naudit log:\n%s",
				r.cmd.Args, r.status, r.stdout, r.stderr, fileText(r.audit))
		}
	})
}

// run starts the session and waits for its end.
func (s session) run(t testing.TB) result {
	t.Helper()
	return s.start(t).wait()
}

// pid returns the supervisor's process number.
func (r *running) pid() int { return r.cmd.Process.Pid }

// kill ends the session with every process of it.
func (r *running) kill() {
	select {
	case <-r.done:
	default:
		all := descendants(r.t, r.pid())
		// It may have ended meanwhile, and then there is nothing to kill.
		_ = syscall.Kill(r.pid(), syscall.SIGKILL)
		all.kill()
	}
}

// signal sends a signal to the supervisor alone.
func (r *running) signal(sig syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(r.pid(), sig); err != nil {
		r.t.Fatalf("send %s to boundary: %v", sig, err)
	}
}

// result is what became of a session.
type result struct {
	status         int
	stdout, stderr string
	records        records
}

// wait waits for the end and checks the audit log as such: its chain and its
// numbers hold, and it begins and ends as a session does.
func (r *running) wait() result {
	r.t.Helper()
	<-r.done
	end := result{status: r.status, stdout: r.stdout.String(), stderr: r.stderr.String()}
	if r.started() {
		end.records = readRecords(r.t, r.audit)
		end.records.checkSession(r.t)
	}
	return end
}

// started reports whether there is a log to look at. Where boundary could not
// start the command it need not have begun one; but one that was begun must
// be whole.
func (r *running) started() bool {
	if r.status < 125 || r.status > 127 {
		return true
	}
	info, err := os.Stat(r.audit)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// exitStatus returns the status as a shell gives it.
func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.Sys().(syscall.WaitStatus).Signaled() {
			return 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
		}
		return exit.ExitCode()
	}
	return -1
}

// fileText returns a file for a failure's report.
func fileText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	const most = 20_000
	if len(text) > most {
		return fmt.Sprintf("%s\n… %d bytes left out", text[:most], len(text)-most)
	}
	return string(text)
}

// output collects what a program writes, and can be waited on.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer  // guarded by mu
	changed chan struct{} // closed and replaced with each write, guarded by mu
}

// newOutput returns an empty output.
func newOutput() *output { return &output{changed: make(chan struct{})} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

// String returns what was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the text after the first `from` bytes contains want, and
// returns the place behind it.
func (o *output) await(t testing.TB, from int, want string) int {
	t.Helper()
	return o.awaitWithin(t, patience, from, want)
}

// awaitWithin is await with another limit.
func (o *output) awaitWithin(t testing.TB, most time.Duration, from int, want string) int {
	t.Helper()
	limit := time.After(most)
	for {
		o.mu.Lock()
		text, changed := o.text.Bytes(), o.changed
		at := bytes.Index(text[min(from, len(text)):], []byte(want))
		o.mu.Unlock()
		if at >= 0 {
			return from + at + len(want)
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("output lacks %q after its first %d bytes:\n%s", want, from, o)
		}
	}
}

// eventually fails the test where check does not return nil within limit.
func eventually(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	if err := within(limit, check); err != nil {
		t.Fatalf("not within %v: %v", limit, err)
	}
}

// within calls check until it returns nil or the limit is over, and returns
// its last error.
func within(limit time.Duration, check func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-tick.C
	}
}
