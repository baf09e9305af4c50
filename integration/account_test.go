package integration

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// ordinaryName is the account that root runs the tests' ordinary user as. It
// has a name because some programs (PostgreSQL's) ask for it.
const ordinaryName = "boundary-test"

// account is a user.
type account struct {
	name     string
	uid, gid int
}

// ordinaryUser returns the user for the tests that are not to be root: the
// one who runs them, or for root an account that is made where it is missing.
func ordinaryUser() (*account, error) {
	if os.Getuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("find own account: %w", err)
		}
		return accountOf(me)
	}
	found, err := user.Lookup(ordinaryName)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		err = tool(".", nil, "useradd", "--system", "--user-group", "--no-create-home",
			"--home-dir", "/nonexistent", "--shell", "/bin/sh", ordinaryName)
		if err != nil {
			return nil, fmt.Errorf("make account: %w", err)
		}
		found, err = user.Lookup(ordinaryName)
	}
	if err != nil {
		return nil, fmt.Errorf("find account %s: %w", ordinaryName, err)
	}
	return accountOf(found)
}

// accountOf reads the numbers of an account.
func accountOf(u *user.User) (*account, error) {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("read user number: %w", err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("read group number: %w", err)
	}
	return &account{name: u.Username, uid: uid, gid: gid}, nil
}

// mode is the way in which boundary is run.
type mode string

const (
	asUser mode = "user"   // an ordinary user without capabilities: the main case
	asRoot mode = "root"   // root with all capabilities
	docker mode = "docker" // an ordinary user under Docker's default profile
	// dockerRoot is root under that profile, with the capabilities that Docker
	// leaves to root. A container has a system of its own: see newSystem.
	dockerRoot mode = "docker-root"
)

// eachMode runs a test in every mode that this machine can give: all three
// for root, and what is left for anybody else.
//
// Every test of a session runs so, but for these:
//   - TestEscapes and TestKernelGuards have stances of their own, Docker's
//     profile among them;
//   - TestProcessOne and TestDefaultLog, of which user and profile are a part;
//   - TestRoot, TestUserChanged and TestUserFlag need root: on the machine, and
//     under Docker's profile with what Docker leaves to root;
//   - TestChroot needs CAP_SYS_ADMIN, which Docker takes away;
//   - TestDoctorAttackOut and TestDoctorAttackNothing bring profiles of their
//     own, of kernels on which Docker's can't be had either;
//   - TestDockerProfile is about that profile;
//   - TestUsage, TestPackages, TestImports, TestClientsDirect and
//     TestResolversDirect start no session.
func eachMode(t *testing.T, test func(t *testing.T, as mode)) {
	t.Helper()
	modes := []mode{asUser, asRoot, docker}
	if os.Getuid() != 0 {
		modes = []mode{asUser, docker}
	}
	for _, as := range modes {
		t.Run(string(as), func(t *testing.T) { test(t, as) })
	}
}

// account returns who runs boundary in this mode.
func (m mode) account() *account {
	if m == asRoot || m == dockerRoot {
		return &account{name: "root"}
	}
	return shop.user
}

// attributes returns what a process of this mode starts with. It leads a
// process group of its own, so that a test can end it with all below it.
func (m mode) attributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if who := m.account(); who.uid != os.Getuid() {
		attributes.Credential = &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}
	}
	return attributes
}

// wrap returns the command line under which argv runs in this mode.
func (m mode) wrap(t testing.TB, argv []string) []string {
	t.Helper()
	if m != docker && m != dockerRoot {
		return argv
	}
	return append([]string{shop.confine(t), string(m)}, argv...)
}

// dir returns a new folder that belongs to the mode's user, and is removed
// after the test.
func (m mode) dir(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp(shop.base, "test-")
	if err != nil {
		t.Fatalf("make folder: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	m.own(t, path)
	return path
}

// own gives a file to the mode's user.
func (m mode) own(t testing.TB, path string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	who := m.account()
	if err := os.Chown(path, who.uid, who.gid); err != nil {
		t.Fatalf("give %s to %s: %v", path, who.name, err)
	}
}

// write makes a file of the mode's user.
func (m mode) write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatalf("write file: %v", err)
	}
	m.own(t, path)
}

// requireRoot ends a test that needs what only root has, such as a network
// namespace with the standard ports. It is the only skip in the project: what a
// kernel or a machine lacks makes tests fail (see TestGuards).
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("BOUNDARY_REQUIRE") == "all" {
		t.Fatal("this test needs root, and BOUNDARY_REQUIRE=all demands it")
	}
	t.Skip("this test needs root: it makes a network namespace or reads another user's /proc entries")
}
