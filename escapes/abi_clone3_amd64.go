package escapes

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cloneArgs is struct clone_args of <linux/sched.h>.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uintptr
	setTID, setTIDSize, cgroup                                           uintptr
}

const cloneArgsSize = 88

// clone3 makes a child that does something and ends, and waits for it.
func (r *routine) clone3(a cloneArgs, do func()) {
	at := r.lay(words(a.flags, a.pidfd, a.childTID, a.parentTID, a.exitSignal, a.stack, a.stackSize, a.tls, a.setTID, a.setTIDSize, a.cgroup))
	r.call(unix.SYS_CLONE3, at, cloneArgsSize)
	r.onZero(func() {
		do()
		r.exit()
	})
	r.await()
}

// clone3Attempts connect in children as only clone3(2) makes them.
func clone3Attempts() []Attempt {
	const clearHandlers = 1 << 32 // CLONE_CLEAR_SIGHAND
	return describe("connect in a child of clone3, ", []Attempt{
		{Name: "abi/clone3", Does: "with its handlers cleared and a pidfd", Try: writing(func(r *routine, g *Ground) {
			a := cloneArgs{flags: clearHandlers | unix.CLONE_PIDFD, pidfd: r.halves(0), exitSignal: uintptr(unix.SIGCHLD)}
			r.clone3(a, func() { r.dial(g) })
		})},
		{Name: "abi/clone3-stack", Does: "in the attempt's memory on a stack of its own", Try: writing(func(r *routine, g *Ground) {
			const size = 4096
			a := cloneArgs{flags: unix.CLONE_VM | unix.CLONE_FS, exitSignal: uintptr(unix.SIGCHLD), stack: r.lay(make([]byte, size)), stackSize: size}
			r.clone3(a, func() { r.dial(g) })
		})},
		{Name: "abi/clone3-same-number", Does: "with the number of a process that was let through before", Needs: []Need{NeedRoot},
			Try: writing(connectAsSame)},
		{Name: "abi/clone3-cgroup", Does: "in a control group that is given", Needs: []Need{NeedRoot}, Rare: true,
			Try: onRoutine(connectInGroup)},
	})
}

// connectAsSame has a process connect to the allowed peer and end, and then
// makes another with its number (set_tid).
func connectAsSame(r *routine, g *Ground) {
	number := r.halves(0)
	r.call(unix.SYS_CLONE, uintptr(unix.SIGCHLD))
	r.emit(0x89, 0x04, 0x25) // mov [number], eax
	r.emitHalf(uint32(number))
	r.onZero(func() {
		r.socket(unix.SOCK_STREAM)
		r.call(unix.SYS_CONNECT, 0, r.lay(sockaddr(g.Allowed.AddrPort4())), unix.SizeofSockaddrInet4)
		r.exit()
	})
	r.await()
	r.clone3(cloneArgs{exitSignal: uintptr(unix.SIGCHLD), setTID: number, setTIDSize: 1}, func() { r.dial(g) })
}

// connectInGroup names the control group in which it is (CLONE_INTO_CGROUP).
func connectInGroup(g *Ground, r *routine) error {
	path, err := controlGroup()
	if err != nil {
		return err
	}
	dir, err := unix.Open(path, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open control group: %w", err)
	}
	const intoGroup = 1 << 33 // CLONE_INTO_CGROUP
	r.clone3(cloneArgs{flags: intoGroup, exitSignal: uintptr(unix.SIGCHLD), cgroup: uintptr(dir)}, func() { r.dial(g) })
	return nil
}

// controlGroup is the folder of one's own control group of version 2,
// cgroups(7).
func controlGroup() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	_, inside, _ := strings.Cut("\n"+string(own), "\n0::")
	inside, _, _ = strings.Cut(inside, "\n")
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		if f := strings.Fields(lines.Text()); f[2] == "cgroup2" {
			return filepath.Join(f[1], inside), nil
		}
	}
	return "", fmt.Errorf("find control group: %w", os.ErrNotExist)
}
