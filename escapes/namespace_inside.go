package escapes

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// stepConnect is an attempt that serves as a step.
const stepConnect = "tcp/connect"

// insideAttempts use the network from namespaces of their own, where who calls
// looks different to himself than to the supervisor.
func insideAttempts() []Attempt {
	inNamespaces := func(flags uintptr, step string) func(*Ground) error {
		return func(g *Ground) error { return g.step("", step, asOwnRoot(flags)) }
	}
	return []Attempt{
		{Name: "namespace/user", Does: "connect as root of a user namespace", Needs: []Need{NeedUserns},
			Try: inNamespaces(0, stepConnect)},
		{Name: "namespace/pid", Does: "connect from a process namespace", Needs: []Need{NeedUserns},
			Try: inNamespaces(unix.CLONE_NEWPID, stepConnect)},
		{Name: "namespace/fake-proc", Does: "connect with a false /proc mounted", Needs: []Need{NeedUserns},
			Try: inNamespaces(unix.CLONE_NEWPID|unix.CLONE_NEWNS, stepFakeProc)},
		{Name: "namespace/cgroup", Does: "connect from a control group namespace", Needs: []Need{NeedUserns},
			Try: inNamespaces(unix.CLONE_NEWCGROUP, stepConnect)},
		{Name: "namespace/time", Does: "connect from a time namespace", Needs: []Need{NeedUserns}, Try: func(g *Ground) error {
			attr := asOwnRoot(0)
			attr.Unshareflags = unix.CLONE_NEWTIME
			return g.step("", stepConnect, attr)
		}},
		{Name: "namespace/most", Does: "connect from all namespaces but the network's", Needs: []Need{NeedUserns},
			Try: inNamespaces(unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP, stepConnect)},
		{Name: "namespace/old-socket", Does: "connect a socket from before one's own network namespace", Needs: []Need{NeedUserns},
			Try: oldSocket},
		{Name: "namespace/clone-into-cgroup", Does: "connect from a process that was made in a control group", Needs: []Need{NeedRoot},
			Try: cloneIntoGroup},
		{Name: "namespace/own-files", Does: "connect from a thread with descriptors of its own", Try: func(g *Ground) error {
			runtime.LockOSThread() // never unlocked
			if err := unix.Unshare(unix.CLONE_FILES); err != nil {
				return err
			}
			return connectAndWrite(g, g.Denied.AddrPort4())
		}},
	}
}

// Steps of these attempts.
const (
	stepFakeProc  = "step/fake-proc"
	stepOldSocket = "step/old-socket"
)

// fakeProc hides /proc behind an empty file system. Only the own mount
// namespace has that.
func fakeProc(g *Ground) error {
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("hide /proc: %w", err)
	}
	return connectAndWrite(g, g.Denied.AddrPort4())
}

// oldSocketNumber is the number of the socket that is handed on.
const oldSocketNumber = 3

// oldSocket hands a socket to a process in a network namespace that leads
// nowhere: the socket still belongs to the old one.
func oldSocket(g *Ground) error {
	fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(fd, "socket")
	defer file.Close()
	cmd := g.stepCommand("", stepOldSocket, asOwnRoot(unix.CLONE_NEWNET))
	cmd.ExtraFiles = []*os.File{file}
	return cmd.Run()
}

func connectOldSocket(g *Ground) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	name := sockaddr(g.Denied.AddrPort4())
	if _, err := call(unix.SYS_CONNECT, oldSocketNumber, m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	_, err = unix.Write(oldSocketNumber, []byte(g.Token))
	return err
}

// cloneIntoGroup makes a process right in another control group, clone3(2).
func cloneIntoGroup(g *Ground) error {
	dir := cgroupRoot()
	if dir == "" {
		return os.ErrNotExist
	}
	dir += "/boundary-" + g.Token
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer removeGroup(dir)
	group, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer group.Close()
	return g.step("", stepConnect, &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())})
}
