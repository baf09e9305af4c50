package escapes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// corePattern says what the kernel runs, outside and as root, when a program
// crashes, core(5). Like the other settings that are not of a namespace, it is
// only written with what stands there.
const corePattern = "proc/sys/kernel/core_pattern"

// settingAttempts write the kernel's settings: for those the kernel asks who
// owns the file, which is root, and not for capabilities.
func settingAttempts() []Attempt {
	return []Attempt{
		{Name: "host/core-pattern", Does: "say what runs when a program crashes", Try: func(*Ground) error { return rewrite("/" + corePattern) }},
		{Name: "host/core-pattern-inherited", Does: "the same from an inherited folder", Try: func(g *Ground) error {
			return rewrite(fmt.Sprintf("/proc/self/fd/%d/%s", g.Inherited["root"], corePattern))
		}},
		{Name: "host/core-pattern-other-root", Does: "the same by the root folder of a process outside", Guards: ptraceGuard,
			Try: each(func(_ *Ground, pid int) error { return rewrite(procFile(pid, "root/"+corePattern)) })},
		{Name: "host/core-pattern-splice", Does: "the same by splice from a pipe", Try: func(*Ground) error { return spliceInto("/" + corePattern) }},
		{Name: "host/fs-setting", Does: "say whether privileged programs dump core", Try: func(*Ground) error {
			return rewrite("/proc/sys/fs/suid_dumpable")
		}},
		{Name: "host/sys-file", Does: "write a file of /sys", Try: func(*Ground) error {
			const path = "/sys/kernel/mm/transparent_hugepage/enabled"
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			_, chosen, _ := bytes.Cut(text, []byte("["))
			chosen, _, _ = bytes.Cut(chosen, []byte("]"))
			return writeOnly(path, chosen)
		}},
		{Name: "host/net-setting", Does: "write a network setting", Needs: inField, Try: func(g *Ground) error {
			return writeOnly("/proc/sys/net/ipv6/conf/lo/hop_limit", fmt.Appendln(nil, 100+g.number()))
		}},
		{Name: "host/net-setting-fresh", Does: "write a network setting in a /proc of one's own", Needs: append(inField, NeedUserns),
			Try: func(g *Ground) error { return g.step("", stepFreshProc, asOwnRoot(unix.CLONE_NEWPID|unix.CLONE_NEWNS)) }},
		{Name: "host/name", Does: "rename the machine", Needs: inField, Try: func(g *Ground) error {
			return unix.Sethostname([]byte(newLinkName(g)))
		}},
		{Name: "host/name-file", Does: "rename the machine by its file", Needs: inField, Try: func(g *Ground) error {
			return writeOnly("/proc/sys/kernel/hostname", []byte(newLinkName(g)))
		}},
		{Name: "host/clock", Does: "set the clock", Try: func(*Ground) error { return errors.Join(shiftClock(0, 1), shiftClock(-1, 999_999_999)) }},
	}
}

// shiftClock sets the clock forward, adjtimex(2). It is only moved by a
// nanosecond, and back.
func shiftClock(seconds, nanoseconds int64) error {
	const setOffset, nano = 0x100, 0x2000 // ADJ_SETOFFSET, ADJ_NANO
	_, err := unix.Adjtimex(&unix.Timex{Modes: setOffset | nano, Time: unix.Timeval{Sec: seconds, Usec: nanoseconds}})
	return err
}

// stepFreshProc mounts a /proc of its own process and network namespace, and
// writes a setting there.
const stepFreshProc = "step/fresh-proc"

func freshProc(g *Ground) error {
	dir := filepath.Join(g.Dir, "proc-"+strconv.Itoa(os.Getpid())+"-"+newLinkName(g))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("proc", dir, "proc", 0, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return writeOnly(filepath.Join(dir, "sys/net/core/somaxconn"), fmt.Appendln(nil, 5000+g.number()))
}

// asOwnRoot makes a process that is root in a user namespace of its own, where
// it is who it was.
func asOwnRoot(namespaces uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | namespaces,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// writeOnly writes a file that exists, in one call.
func writeOnly(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(text)
	return err
}

// rewrite writes a file with what stands there.
func rewrite(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return writeOnly(path, text)
}

// spliceInto is rewrite with bytes that come out of a pipe, splice(2).
func spliceInto(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := unix.Write(p[1], text); err != nil {
		return err
	}
	_, err = unix.Splice(p[0], nil, int(file.Fd()), nil, len(text), 0)
	return err
}
