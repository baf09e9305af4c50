package integration

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"boundary/integration/internal/origin"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// installPolicy allows the host that the programs ask for.
func installPolicy(t *testing.T) string {
	outside := startOrigin(t, origin.Options{})
	return "allow \"github\" {\n  hosts = [\"api.github.com\"]\n}\n" + outside.Upstream(caFile(t, outside), allowedHost)
}

// TestInstallCA shows that a program which reads the system's certificates
// alone trusts the session with --install-ca, and that the store is afterwards
// as it was.
func TestInstallCA(t *testing.T) {
	policy := installPolicy(t)
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) {
			sys := newStore(t, l)
			before := sys.files(t)
			s := session{as: asRoot, policy: policy, world: sys.world, wrap: contained(t), command: sys.readsSystem(t)}
			if end := s.run(t); trusted(end.stdout) != 0 {
				t.Fatalf("without the flag it trusts the session: the test shows nothing")
			}
			s.flags = []string{"--install-ca"}
			if end := s.run(t); trusted(end.stdout) != len(sys.read) {
				t.Errorf("%d of %d places hold the authority", trusted(end.stdout), len(sys.read))
			}
			if diff := cmp.Diff(before, sys.files(t)); diff != "" {
				t.Errorf("the store has changed (-before +after):\n%s", diff)
			}
		})
	}
}

// waiting is a session with --install-ca whose agent makes its requests when it
// is told to.
func (s *system) waiting(t *testing.T, policy string) (*running, io.WriteCloser) {
	t.Helper()
	in, out := io.Pipe()
	r := session{
		as: asRoot, policy: policy, world: s.world, wrap: contained(t), flags: []string{"--install-ca"}, stdin: in,
		command: s.readsSystem(t, "wait"),
	}.start(t)
	r.stdout.await(t, 0, "ready\n")
	t.Cleanup(func() { out.Close() })
	return r, out
}

// finish tells the agent to make its requests, and checks them.
func (s *system) finish(t *testing.T, r *running, in io.WriteCloser) {
	t.Helper()
	if _, err := fmt.Fprintln(in); err != nil {
		t.Fatalf("tell agent: %v", err)
	}
	in.Close()
	if end := r.wait(); trusted(end.stdout) != len(s.read) {
		t.Errorf("%d of %d places hold the authority", trusted(end.stdout), len(s.read))
	}
}

// TestInstallCATwice has two sessions at once, and the one that came first end
// first.
func TestInstallCATwice(t *testing.T) {
	policy := installPolicy(t)
	sys := newStore(t, layouts()[0])
	before := sys.files(t)
	first, firstIn := sys.waiting(t, policy)
	second, secondIn := sys.waiting(t, policy)
	sys.finish(t, first, firstIn)
	sys.finish(t, second, secondIn)
	if diff := cmp.Diff(before, sys.files(t)); diff != "" {
		t.Errorf("the store has changed (-before +after):\n%s", diff)
	}
}

// TestInstallCAKilled kills the supervisor: the launcher, which outlives it,
// tidies up.
func TestInstallCAKilled(t *testing.T) {
	policy := installPolicy(t)
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) {
			sys := newStore(t, l)
			before := sys.files(t)
			r, _ := sys.waiting(t, policy)
			r.signal(syscall.SIGKILL)
			eventually(t, patience, func() error { return changed(before, sys.files(t)) })
		})
	}
}

// changed is an error where two stores are not the same.
func changed(before, after map[string]string) error {
	if diff := cmp.Diff(before, after); diff != "" {
		return fmt.Errorf("the store has changed (-before +after):\n%s", diff)
	}
	return nil
}

// TestInstallCASwept kills all of a session at once. What it has left is there
// until the next session of root's, and not taken for that of one that lives.
func TestInstallCASwept(t *testing.T) {
	policy := installPolicy(t)
	sys := newStore(t, layouts()[0])
	before := sys.files(t)
	dead, deadIn := sys.waiting(t, policy)
	all := descendants(t, dead.pid())
	for _, one := range all { // the launcher among them: nobody may tidy up
		if err := syscall.Kill(one.pid, syscall.SIGSTOP); err != nil {
			t.Fatalf("stop process: %v", err)
		}
	}
	dead.signal(syscall.SIGKILL)
	all.kill()
	deadIn.Close()
	<-dead.done
	if changed(before, sys.files(t)) == nil {
		t.Fatal("nothing was left: the test shows nothing")
	}
	alive, in := sys.waiting(t, policy)
	if end := (session{as: asRoot, policy: denyAll, world: sys.world, command: []string{program(t, "true")}}).run(t); end.status != 0 {
		t.Errorf("the next session ended with %d", end.status)
	}
	if names := sys.installed(t); len(names) != 1 {
		t.Errorf("the store holds %q, want those of the session that lives", names)
	}
	sys.finish(t, alive, in)
	if err := changed(before, sys.files(t)); err != nil {
		t.Error(err)
	}
}

// installed lists the anchors that sessions have put there.
func (s *system) installed(t *testing.T) []string {
	var names []string
	for path := range s.files(t) {
		if strings.HasPrefix(path, "/usr/local/share/ca-certificates/boundary-") {
			names = append(names, path)
		}
	}
	return names
}

// TestInstallCAUpdated has the distribution's own program make the store anew
// while a session lives.
func TestInstallCAUpdated(t *testing.T) {
	policy := installPolicy(t)
	sys := newStore(t, layouts()[0])
	update := func() {
		var out []byte
		var err error
		sys.do(func() {
			out, err = exec.Command("update-ca-certificates", "--fresh", "--hooksdir", t.TempDir()).CombinedOutput()
		})
		if err != nil {
			t.Fatalf("update-ca-certificates: %v\n%s", err, out)
		}
	}
	update()
	before := sys.files(t)
	r, in := sys.waiting(t, policy)
	update()
	sys.finish(t, r, in)
	if err := changed(before, sys.files(t)); err != nil {
		t.Error(err)
	}
}

// TestInstallCARefused shows what is said where it can't be done; nothing is
// started then.
func TestInstallCARefused(t *testing.T) {
	command := []string{program(t, "sh"), "-c", "echo started"}
	t.Run("ordinary user", func(t *testing.T) {
		end := session{as: asUser, policy: denyAll, flags: []string{"--install-ca"}, command: command}.run(t)
		checkNotStarted(t, end, "--install-ca: only root")
	})
	t.Run("read-only", func(t *testing.T) {
		sys := newStore(t, layouts()[0])
		before := sys.files(t)
		sys.do(func() {
			for _, folder := range storeFolders[:1] { // the last to be written to
				if err := unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
					t.Errorf("make %s read-only: %v", folder, err)
				}
			}
		})
		end := session{as: asRoot, policy: denyAll, world: sys.world, flags: []string{"--install-ca"}, command: command}.run(t)
		checkNotStarted(t, end, "read-only file system")
		if err := changed(before, sys.files(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("no store", func(t *testing.T) {
		sys := newStore(t, layout{name: "none", make: "touch /etc/ssl/other"})
		end := session{as: asRoot, policy: denyAll, world: sys.world, flags: []string{"--install-ca"}, command: command}.run(t)
		checkNotStarted(t, end, "no certificate store of a known layout")
	})
}

func checkNotStarted(t *testing.T, end result, text string) {
	t.Helper()
	if end.status != 125 || strings.Contains(end.stdout, "started") {
		t.Errorf("it ended with %d, and wrote %q", end.status, end.stdout)
	}
	if !strings.Contains(end.stderr, text) {
		t.Errorf("it does not say %q", text)
	}
}
