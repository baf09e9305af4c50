package escapes

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ownerAttempts have the kernel send the signal: the victim is made the owner
// of a descriptor at which something happens, fcntl(2).
func ownerAttempts() []Attempt {
	list := []Attempt{
		{Name: "process/owner-pipe", Does: "make a process the owner of a pipe and write to it", Try: each(func(_ *Ground, pid int) error {
			return onPipe(func(fd int) error { return control(fd, unix.F_SETOWN, pid) })
		})},
		{Name: "process/owner-group", Does: "make a process group the owner of a pipe", Try: each(func(_ *Ground, pid int) error {
			group, err := unix.Getpgid(pid)
			if err != nil {
				return err
			}
			return onPipe(func(fd int) error { return control(fd, unix.F_SETOWN, -group) })
		})},
		{Name: "process/owner-thread", Does: "make a thread the owner of a pipe (F_SETOWN_EX)", Try: each(func(_ *Ground, pid int) error {
			return onPipe(func(fd int) error { return ownThread(fd, pid) })
		})},
		{Name: "process/owner-socket", Does: "make a process the owner of a socket (FIOSETOWN)", Try: each(ownSocket)},
		{Name: "process/owner-lease", Does: "make a process the owner of a lease and break it", Try: each(ownLease)},
		{Name: "process/owner-notify", Does: "make a process the owner of a watched folder", Try: each(ownFolder)},
	}
	for i := range list {
		list[i].Guards = scopeGuard
	}
	return list
}

// Of fcntl(2), what x/sys has not.
const (
	fSetSig   = 10
	fSetOwnEx = 15
	fOwnerTID = 0
	dnCreate  = 1 << 2
	dnAlways  = 1 << 31
)

func control(fd, command, value int) error {
	_, err := unix.FcntlInt(uintptr(fd), command, value)
	return err
}

// signalled has a descriptor signal its owner with SIGUSR1 when it becomes
// ready.
func signalled(fd int) error {
	if err := control(fd, fSetSig, int(unix.SIGUSR1)); err != nil {
		return fmt.Errorf("set signal: %w", err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	return control(fd, unix.F_SETFL, flags|unix.O_ASYNC)
}

// onPipe lets own choose the owner of a pipe's end, and writes to the other.
func onPipe(own func(fd int) error) error {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	return onPair(p[0], p[1], own)
}

func onPair(from, to int, own func(fd int) error) error {
	defer unix.Close(from)
	defer unix.Close(to)
	if err := own(from); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	if err := signalled(from); err != nil {
		return err
	}
	_, err := unix.Write(to, []byte("x"))
	return err
}

func ownThread(fd, tid int) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	m.half(0, fOwnerTID)
	m.half(4, uint32(tid))
	_, err = call(unix.SYS_FCNTL, uintptr(fd), fSetOwnEx, m.at(0))
	return err
}

// ownSocket uses the ioctl that sockets have for it, which takes a pointer.
func ownSocket(_ *Ground, pid int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	const fioSetOwn = 0x8901 // FIOSETOWN, <asm/sockios.h>
	return onPair(pair[0], pair[1], func(fd int) error { return unix.IoctlSetPointerInt(fd, fioSetOwn, pid) })
}

// ownLease takes a lease on a file and opens the file again, which breaks it.
func ownLease(g *Ground, pid int) error {
	path := filepath.Join(g.Dir, "leased")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	fd := int(file.Fd())
	if err := control(fd, unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		return fmt.Errorf("take lease: %w", err)
	}
	if err := control(fd, unix.F_SETOWN, pid); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	if err := control(fd, fSetSig, int(unix.SIGUSR1)); err != nil {
		return fmt.Errorf("set signal: %w", err)
	}
	// It does not wait for the lease to be given up: EWOULDBLOCK.
	_, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	return err
}

// ownFolder watches a folder the old way (F_NOTIFY) and makes a file there.
func ownFolder(g *Ground, pid int) error {
	folder, err := os.Open(g.Dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	fd := int(folder.Fd())
	if err := control(fd, fSetSig, int(unix.SIGUSR1)); err != nil {
		return fmt.Errorf("set signal: %w", err)
	}
	if err := control(fd, unix.F_NOTIFY, dnCreate|dnAlways); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	// F_NOTIFY made the caller the owner.
	if err := control(fd, unix.F_SETOWN, pid); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.Dir, fmt.Sprintf("made-%d-%d", os.Getpid(), pid)), nil, 0o600); err != nil {
		return err
	}
	time.Sleep(look)
	return nil
}
