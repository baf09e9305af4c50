package seccomp

import (
	"errors"
	"fmt"
	"io"
	"os"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Program is a classic BPF program for seccomp(2): an array of struct
// sock_filter in the machine's own byte order.
type Program []byte

// Programs are the two filters that stand around an agent. The kernel runs
// both and takes the stricter answer, in which an errno counts as stricter
// than a notification (seccomp(2)): what Refuse refuses, no supervisor can
// let through by mistake.
type Programs struct {
	// Notify traps what the supervisor answers. It is installed first, with
	// a listener.
	Notify Program
	// Refuse answers alone what is never carried.
	Refuse Program
}

// Options of BuildPrograms.
type Options struct {
	// TrapStreams traps the creation of TCP, AF_UNIX and netlink sockets too. It is
	// for machines where pidfd_getfd(2) is refused: there the supervisor can
	// act only on sockets that it made itself.
	TrapStreams bool
	// TrapTrace traps the tracing of other processes. It is for machines
	// where no Landlock domain forbids it towards processes outside.
	TrapTrace bool
}

// BuildPrograms makes the filters for this machine's architecture. Calls of
// any other architecture, x32 among them, kill the process.
//
// Every comparison is on register arguments. The kernel reads an int
// parameter from the low half of a register while a filter sees all 64 bits,
// so refusals compare under a mask of 32 bits, and what may pass unseen is
// what equals a value in all 64.
func BuildPrograms(o Options) (Programs, error) {
	notify, err := export(func(b *builder) { b.notifyRules(o) })
	if err != nil {
		return Programs{}, fmt.Errorf("build notify filter: %w", err)
	}
	refuse, err := export(func(b *builder) { b.refuseRules(o) })
	if err != nil {
		return Programs{}, fmt.Errorf("build refuse filter: %w", err)
	}
	return Programs{Notify: notify, Refuse: refuse}, nil
}

// builder collects rules and the first error, so that the rules read as a list.
type builder struct {
	filter *libseccomp.ScmpFilter
	err    error
}

func export(rules func(*builder)) (Program, error) {
	filter, err := libseccomp.NewFilter(libseccomp.ActAllow)
	if err != nil {
		return nil, fmt.Errorf("new filter: %w", err)
	}
	defer filter.Release()
	if err := filter.SetBadArchAction(libseccomp.ActKillProcess); err != nil {
		return nil, fmt.Errorf("set action for foreign architectures: %w", err)
	}
	b := &builder{filter: filter}
	rules(b)
	if b.err != nil {
		return nil, b.err
	}
	return exportBPF(filter)
}

func exportBPF(filter *libseccomp.ScmpFilter) (Program, error) {
	fd, err := unix.MemfdCreate("boundary-filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "boundary-filter")
	defer f.Close()
	if err := filter.ExportBPF(f); err != nil {
		return nil, fmt.Errorf("export filter: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind filter: %w", err)
	}
	return io.ReadAll(f)
}

func (b *builder) add(action libseccomp.ScmpAction, call string, conds ...libseccomp.ScmpCondition) {
	if b.err != nil {
		return
	}
	nr, err := libseccomp.GetSyscallFromName(call)
	if err != nil {
		b.err = fmt.Errorf("system call %s: %w", call, err)
		return
	}
	if len(conds) == 0 {
		err = b.filter.AddRule(nr, action)
	} else {
		err = b.filter.AddRuleConditional(nr, action, conds)
	}
	if err != nil {
		b.err = fmt.Errorf("rule for %s: %w", call, err)
	}
}

func (b *builder) notify(call string, conds ...libseccomp.ScmpCondition) {
	b.add(libseccomp.ActNotify, call, conds...)
}

func (b *builder) refuse(errno unix.Errno, call string, conds ...libseccomp.ScmpCondition) {
	b.add(libseccomp.ActErrno.SetReturnCode(int16(errno)), call, conds...)
}

// cond compares all 64 bits of an argument.
func (b *builder) cond(arg uint, op libseccomp.ScmpCompareOp, v uint64) libseccomp.ScmpCondition {
	c, err := libseccomp.MakeCondition(arg, op, v)
	b.err = errors.Join(b.err, err)
	return c
}

// masked matches where the argument's bits under mask equal v.
func (b *builder) masked(arg uint, mask, v uint64) libseccomp.ScmpCondition {
	c, err := libseccomp.MakeCondition(arg, libseccomp.CompareMaskedEqual, mask, v)
	b.err = errors.Join(b.err, err)
	return c
}

// low32 matches where the argument, read as an int, equals v.
func (b *builder) low32(arg uint, v uint32) libseccomp.ScmpCondition {
	return b.masked(arg, 0xffffffff, uint64(v))
}
