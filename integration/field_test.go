package integration

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"boundary/escapes"

	"golang.org/x/sys/unix"
)

// place is a thread with namespaces of its own, which lives until the test
// ends and does there what it is asked to.
type place struct {
	tid  int
	work chan func()
}

// newPlace makes a thread, has it enter what it shall, and keeps it.
func newPlace(t *testing.T, enter func() error) *place {
	t.Helper()
	p := &place{work: make(chan func())}
	ready := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and with it
		// its namespaces.
		runtime.LockOSThread()
		p.tid = unix.Gettid()
		err := enter()
		ready <- err
		if err != nil {
			return
		}
		for do := range p.work {
			do()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make namespace: %v", err)
	}
	t.Cleanup(func() { close(p.work) })
	return p
}

// do runs a function on the place's thread.
func (p *place) do(what func() error) error {
	done := make(chan error)
	p.work <- func() { done <- what() }
	return <-done
}

// run runs a program in the place.
func (p *place) run(line string) error {
	words := strings.Fields(line)
	cmd := exec.Command(words[0], words[1:]...)
	var out []byte
	err := p.do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// Addresses of the field, all of blocks that are reserved for documentation
// (RFC 5737, RFC 3849).
var (
	deniedPeer  = escapes.Peer{V4: netip.MustParseAddr("203.0.113.66"), V6: netip.MustParseAddr("2001:db8:1::66"), Port: 4466}
	allowedPeer = escapes.Peer{V4: netip.MustParseAddr("203.0.113.10"), V6: netip.MustParseAddr("2001:db8:1::10"), Port: 4410}
	nameAddress = netip.MustParseAddrPort("203.0.113.53:53")
	hostV4      = netip.MustParseAddr("192.0.2.1")
	hostV6      = netip.MustParseAddr("2001:db8::1")
)

// field is where escapes are tried: a machine, inside, and the world around
// it, outside, joined by one link.
type field struct {
	as              mode
	inside, outside *place
	referee         *escapes.Referee
	dir             string
}

// newField makes the two places and the referee between them.
func newField(t *testing.T, as mode, raceFor time.Duration) *field {
	t.Helper()
	requireRoot(t)
	f := &field{as: as, dir: as.dir(t)}
	f.outside = newPlace(t, func() error { return enterNetwork(false, "") })
	f.inside = newPlace(t, func() error { return enterNetwork(true, f.dir) })
	for _, line := range []string{
		"ip link add inner type veth peer name outer netns " + strconv.Itoa(f.outside.tid),
		"ip addr add 192.0.2.1/24 brd + dev inner", "ip addr add 2001:db8::1/64 dev inner nodad", "ip link set inner up",
		"ip route add default via 192.0.2.2",
	} {
		f.must(t, f.inside, line)
	}
	for _, line := range []string{
		"ip addr add 192.0.2.2/24 brd + dev outer", "ip addr add 2001:db8::2/64 dev outer nodad", "ip link set outer up",
		"ip addr add 203.0.113.66/32 dev lo", "ip addr add 203.0.113.10/32 dev lo", "ip addr add 203.0.113.53/32 dev lo",
		"ip addr add 2001:db8:1::66/128 dev lo nodad", "ip addr add 2001:db8:1::10/128 dev lo nodad",
	} {
		f.must(t, f.outside, line)
	}
	f.must(t, f.inside, "ip -6 route add default via 2001:db8::2")
	f.makeTunnel(t)
	f.openReferee(t, raceFor)
	return f
}

func (f *field) must(t *testing.T, where *place, line string) {
	t.Helper()
	if err := where.run(line); err != nil {
		t.Fatal(err)
	}
}

// enterNetwork makes a network namespace, and for the machine inside a mount
// namespace in which the referee is the nameserver, and whose files about names
// root may write to.
func enterNetwork(inside bool, dir string) error {
	// A name of its own too, that root may change.
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil || !inside {
		return err
	}
	// As Docker sets them: ports below 1024 and ping sockets for everybody.
	for file, text := range map[string]string{"ip_unprivileged_port_start": "0", "ping_group_range": "0 2147483647"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+file, []byte(text), 0); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"resolv.conf": "nameserver " + nameAddress.Addr().String() + "\noptions timeout:1 attempts:1\n",
		"hosts":       "127.0.0.1 localhost\n::1 localhost\n",
	} {
		from := filepath.Join(dir, name)
		if err := os.WriteFile(from, []byte(text), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(from, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// openReferee opens the referee, and writes the policy.
func (f *field) openReferee(t *testing.T, raceFor time.Duration) {
	t.Helper()
	who := f.as.account()
	gives := []escapes.Need{escapes.NeedOuter, escapes.NeedWeb}
	if f.as == asRoot {
		gives = append(gives, escapes.NeedRoot)
	} else {
		gives = append(gives, escapes.NeedOrdinary)
	}
	if runtime.GOARCH == "amd64" {
		gives = append(gives, escapes.NeedAMD64)
	}
	referee, err := escapes.NewReferee(escapes.Options{
		Self: shop.boundary(t), Dir: f.dir,
		Credential: &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)},
		Outside:    f.outside.do, Inside: f.inside.do,
		Denied: deniedPeer, Allowed: allowedPeer, Nameserver: nameAddress,
		Outer: "inner", Host4: hostV4, Host6: hostV6, Device: "outer",
		Gives: append(gives, escapes.NeedUserns, escapes.NeedURing, escapes.NeedTunnel, escapes.NeedHelpers), RaceFor: raceFor,
		Tunnel: spareTunnel, Helpers: f.helpers(t),
	})
	if err != nil {
		t.Fatalf("open referee: %v", err)
	}
	f.referee = referee
	t.Cleanup(func() {
		if err := referee.Close(); err != nil {
			t.Errorf("close referee: %v", err)
		}
	})
	f.as.write(t, filepath.Join(f.dir, "policy.hcl"), referee.Policy())
}

// free returns how an attempt is run with nothing around it.
func (f *field) free(argv []string) *exec.Cmd {
	return f.command(argv)
}

// held returns how an attempt is run behind a boundary (its binary is given),
// itself run under a profile of confine's; "" for none.
func (f *field) held(t *testing.T, boundary, profile string) func(argv []string) *exec.Cmd {
	t.Helper()
	prefix := []string{boundary, "exec", "-p", "policy.hcl", "--audit", filepath.Join(f.dir, "audit.jsonl")}
	if profile != "" {
		prefix = append([]string{shop.confine(t), profile}, prefix...)
	}
	prefix = append(prefix, "--")
	return func(argv []string) *exec.Cmd { return f.command(append(prefix[:len(prefix):len(prefix)], argv...)) }
}

// command is a command of the mode's user in the field.
func (f *field) command(argv []string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = f.dir, environment(f.dir)
	cmd.SysProcAttr = f.as.attributes()
	return cmd
}
