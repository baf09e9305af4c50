package supervisor

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
	"boundary/seccomp"
)

// process is what was true of a process when it made a call. It is not
// changed afterwards, so records and rules may share it.
type process struct {
	record audit.Process
	policy policies.Process
}

// unknownProcess stands for one that could not be read. No allow rule with a
// `process` or an `ancestor` matches it, and every such deny rule does.
func unknownProcess(pid int) *process {
	return &process{
		record: audit.Process{PID: pid, UID: -1}, policy: policies.Process{Ancestors: []string{unknownProgram}},
	}
}

// unknownProgram stands for an executable that is not known ([policies.Process]).
const unknownProgram = ""

// processes attributes calls to processes. A snapshot is reused while the
// process is the same and has not exec'd: then its start time, its parent and
// where its program lies in memory are as they were.
type processes struct {
	boot     time.Time
	launcher int // the parent of the session's first process and of orphans; set before the first call

	started chan struct{} // closed by begin
	agent   int           // the session's first process; set by begin

	mu    sync.Mutex
	cache map[int]*processSnapshot // guarded by mu, by thread id
}

type processSnapshot struct {
	key  processKey
	proc *process
}

// processKey changes with an exec: address-space randomisation moves the
// stack and the arguments, and the executable's link is read each time.
type processKey struct {
	start, startCode, startStack, argStart uint64
	ppid                                   int
	exe                                    string
	parent                                 *process // the snapshot that the ancestors were taken from
}

// maxProcesses bounds the cache; past it everything is forgotten and read anew.
const maxProcesses = 1024

// maxAncestors bounds the walk up the tree. What stands above is not known.
const maxAncestors = 64

func newProcesses() *processes {
	return &processes{boot: bootTime(), started: make(chan struct{}), cache: map[int]*processSnapshot{}}
}

// begin says which process is the session's first; 0 where none could be
// started. It is called once, soon after the first call can come.
func (p *processes) begin(agent int) {
	p.agent = agent
	close(p.started)
}

// of says which process thread tid belongs to.
//
// Preconditions: the caller asks Listener.Valid between this and any use of
// the answer, so that tid still is the thread that called.
func (p *processes) of(tid int) *process {
	proc := p.lookup(tid, maxAncestors)
	if proc.record.UID < 0 {
		return proc
	}
	// These two can change without an exec.
	cwd, _ := readLink(tid, "/cwd")
	uid := uidOf(tid)
	if cwd == proc.record.Cwd && uid == proc.record.UID {
		return proc
	}
	now := *proc
	now.record.Cwd, now.record.UID = cwd, uid
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.cache[tid]; old != nil && old.proc == proc {
		p.cache[tid] = &processSnapshot{key: old.key, proc: &now}
	}
	return &now
}

// lookup reads without holding mu: an agent can make /proc wait for memory of
// its own (its arguments), and others must not wait with it.
func (p *processes) lookup(tid, depth int) *process {
	var stat procStat
	var exe string
	err := asOwner(tid, func() (err error) {
		if stat, err = readStat(tid); err != nil {
			return err
		}
		exe, err = os.Readlink("/proc/" + strconv.Itoa(tid) + "/exe")
		return err
	})
	if err != nil && stat == (procStat{}) {
		return unknownProcess(tid)
	}
	key := processKey{
		start: stat.start, startCode: stat.startCode, startStack: stat.startStack,
		argStart: stat.argStart, ppid: stat.ppid, exe: exe,
	}
	if stat.ppid > 1 && stat.ppid != p.launcher && stat.ppid != os.Getpid() {
		key.parent = p.above(stat.ppid, depth)
	}
	if old := p.cached(tid); old != nil && old.key == key {
		return old.proc
	}
	tgid, err := seccomp.ThreadGroup(tid)
	if err != nil {
		return unknownProcess(tid)
	}
	var proc *process
	_ = asOwner(tgid, func() (err error) { // what can't be read is empty
		proc, err = p.snapshot(tgid, stat, exe, key.parent)
		return err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.cache) >= maxProcesses {
		clear(p.cache)
	}
	p.cache[tid] = &processSnapshot{key: key, proc: proc}
	return proc
}

// above returns the parent of a process, and beyond the limit one that is not
// known: an agent could else put as many processes between as it takes to hide
// who stands above.
func (p *processes) above(ppid, depth int) *process {
	if depth == 0 {
		return unknownProcess(ppid)
	}
	return p.lookup(ppid, depth-1)
}

// orphan says whether a process below the launcher was not started by it: its
// own parent has ended, and who that was nobody can tell.
func (p *processes) orphan(tgid, ppid int) bool {
	if ppid != p.launcher || ppid == 0 {
		return false
	}
	<-p.started
	return tgid != p.agent
}

func (p *processes) cached(tid int) *processSnapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cache[tid]
}

// snapshot returns what can be read, and why not all could.
func (p *processes) snapshot(pid int, stat procStat, exe string, parent *process) (*process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	cwd, err := os.Readlink(dir + "/cwd")
	cmdline, _ := os.ReadFile(dir + "/cmdline")
	out := &process{
		record: audit.Process{
			PID: pid, PPID: stat.ppid, Exe: exe, Argv: splitArgv(cmdline), Cwd: cwd,
			UID: uidOf(pid), StartTime: p.boot.Add(time.Duration(startOf(pid, stat)) * tick),
		},
		policy: policies.Process{Exe: exe},
	}
	if !samePath(dir+"/exe", exe) {
		out.policy.Exe = unknownProgram
	}
	switch {
	case p.orphan(pid, stat.ppid):
		out.policy.Ancestors = []string{unknownProgram}
	case parent != nil:
		out.record.Ancestors = append([]audit.Ancestor{{PID: parent.record.PID, Exe: parent.record.Exe}},
			parent.record.Ancestors...)
		out.policy.Ancestors = append([]string{parent.policy.Exe}, parent.policy.Ancestors...)
	}
	return out, err
}

// startOf is when a process began, and not one of its threads, of which stat may
// be; that stands where the process can't be read.
func startOf(pid int, stat procStat) uint64 {
	if own, err := readStat(pid); err == nil {
		return own.start
	}
	return stat.start
}

// samePath says whether a link of /proc leads to what its text names. In a mount
// namespace of its own a process gives a file any name it likes.
func samePath(link, text string) bool {
	behind, err := os.Stat(link)
	if err != nil {
		return false
	}
	named, err := openPlain(text)
	if err != nil {
		return false
	}
	defer named.Close()
	info, err := named.Stat()
	return err == nil && os.SameFile(behind, info)
}

// openPlain opens (O_PATH) what a text names in the supervisor's view. The text
// is what the kernel made of a path, so no symbolic link is in it: one that is
// found there now was put there to deceive.
func openPlain(text string) (*os.File, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, text, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), text), nil
}

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every
// architecture that Go runs on (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// procStat holds some fields of /proc/PID/stat (proc_pid_stat(5)).
type procStat struct {
	state                                  byte
	ppid, group                            int
	start, startCode, startStack, argStart uint64
}

func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	// The second field is the program's name in parentheses; it may hold
	// anything, parentheses too. What follows the last one is numbers.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	number := func(field int) uint64 { // numbered as in the manual page
		if field-3 >= len(fields) {
			return 0
		}
		n, _ := strconv.ParseUint(string(fields[field-3]), 10, 64)
		return n
	}
	var state byte
	if len(fields) > 0 {
		state = fields[0][0]
	}
	return procStat{
		state: state, ppid: int(number(4)), group: int(number(5)), start: number(22), startCode: number(26),
		startStack: number(28), argStart: number(48),
	}, nil
}

// splitArgv reads /proc/PID/cmdline. It is empty where it could not be read,
// and for a process that has ended.
func splitArgv(cmdline []byte) []string {
	if len(cmdline) == 0 {
		return nil
	}
	var argv []string
	for _, arg := range bytes.Split(bytes.TrimSuffix(cmdline, []byte{0}), []byte{0}) {
		argv = append(argv, string(arg))
	}
	return argv
}

// uidOf is the effective user of a process; -1 is one that can't be told.
func uidOf(pid int) int {
	who, err := idsOf(pid)
	if err != nil {
		return -1
	}
	return who.uid
}

// bootTime is when the clock of /proc/PID/stat began (proc_stat(5), btime).
func bootTime() time.Time {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	_, after, _ := bytes.Cut(stat, []byte("\nbtime "))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	sec, _ := strconv.ParseInt(string(line), 10, 64)
	return time.Unix(sec, 0).UTC()
}
