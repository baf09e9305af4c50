package supervisor

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
	"boundary/seccomp"
)

// unixNames are the unix socket addresses that processes of the session bound.
type unixNames struct {
	mu       sync.Mutex
	files    map[fileID]bool  // guarded by mu
	abstract map[string]inode // guarded by mu: the socket that bound the name
}

// fileID names a file for good: inode numbers are used again, but not for two
// files that were born at the same moment.
type fileID struct {
	dev, ino uint64
	born     unix.StatxTimestamp
}

// maxUnixNames bounds what an agent that binds without end can make the
// supervisor hold. Past it all is forgotten, and reachable by rule only.
const maxUnixNames = 1 << 16

func newUnixNames() *unixNames {
	return &unixNames{files: map[fileID]bool{}, abstract: map[string]inode{}}
}

func (u *unixNames) addFile(id fileID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.files) >= maxUnixNames {
		clear(u.files)
	}
	u.files[id] = true
}

func (u *unixNames) addAbstract(name string, ino inode) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.abstract) >= maxUnixNames {
		clear(u.abstract)
	}
	u.abstract[name] = ino
}

func (u *unixNames) hasFile(id fileID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.files[id]
}

// owns says whether a name is that of one of the session's own sockets. A name
// that was given up can be taken by a program outside, with another socket.
func (u *unixNames) owns(name string, holders []inode) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	ino, ok := u.abstract[name]
	return ok && slices.Contains(holders, ino)
}

// abstractHolders asks /proc/net/unix (proc_pid_net(5)) which sockets can be
// reached by an abstract name from a socket of a type: listeners and datagram
// sockets. The kernel keeps the names of each type apart, so a name that is the
// session's for one type may be another program's for the next. A connection
// that a listener accepted has the name too. Each NUL of a name is written "@"
// there.
//
// The table is text: a name that holds a line break could write a line of its
// own into it. bindUnix lets no process of the session have such a name.
func abstractHolders(name string, typ int) ([]inode, error) {
	table, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		return nil, unix.EACCES
	}
	const (
		flagsField, typeField, inodeField, pathField = 3, 4, 6, 7
		listens                                      = "00010000" // __SO_ACCEPTCON
	)
	wantType := fmt.Sprintf("%04X", typ)
	want := "@" + strings.ReplaceAll(name, "\x00", "@")
	var holders []inode
	for line := range strings.Lines(string(table)) {
		before, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " @")
		fields := strings.Fields(before)
		if "@"+path != want || len(fields) != pathField || fields[typeField] != wantType ||
			fields[flagsField] != listens && typ != unix.SOCK_DGRAM {
			continue
		}
		if n, err := strconv.ParseUint(fields[inodeField], 10, 64); err == nil {
			holders = append(holders, inode(n))
		}
	}
	return holders, nil
}

// fileIDOf identifies an open file, and says whether it is a socket. A file
// system that knows no time of birth identifies nothing.
func fileIDOf(fd int, path string) (id fileID, isSocket bool, err error) {
	var st unix.Statx_t
	const mask = unix.STATX_TYPE | unix.STATX_INO | unix.STATX_BTIME
	if err := unix.Statx(fd, path, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, mask, &st); err != nil {
		return fileID{}, false, err
	}
	isSocket = st.Mode&unix.S_IFMT == unix.S_IFSOCK
	if st.Mask&unix.STATX_BTIME == 0 {
		return fileID{}, isSocket, nil
	}
	return fileID{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino, born: st.Btime}, isSocket, nil
}

// fileClock is the clock by which the kernel stamps files, in its coarse steps.
func fileClock() (unix.Timespec, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now)
	return now, err
}

// olderThan says whether the file was born before a time. One of an unknown
// time of birth is.
func (id fileID) olderThan(t unix.Timespec) bool {
	return id.born.Sec < t.Sec || id.born.Sec == t.Sec && int64(id.born.Nsec) < t.Nsec
}

// unixTarget is the peer that an agent means, found once.
type unixTarget struct {
	addr  sockaddr // by which the supervisor reaches that very socket
	shown string   // for records and rules: a path, or "@name"
	own   bool     // a process of the session bound it
	other bool     // the path is another file's too, or in the supervisor's view
	file  *os.File // keeps a path's inode while it is connected to
}

func (t *unixTarget) close() {
	if t.file != nil {
		t.file.Close()
	}
}

const sunPath = 2 // offset of sun_path in struct sockaddr_un

// unixTarget finds what an AF_UNIX address names, in the agent's view. A path
// is opened without following what comes later: the socket is then reached by
// its inode, so that no swap of the path can lead elsewhere (the file is
// opened O_PATH, and named as /proc/self/fd/N).
func (c *call) unixTarget(k *socket, addr sockaddr) (*unixTarget, error) {
	if addr.family() != unix.AF_UNIX || len(addr) <= sunPath || len(addr) > maxSunLen {
		return nil, unix.EINVAL
	}
	if addr[sunPath] == 0 {
		name := string(addr[sunPath+1:])
		holders, err := abstractHolders(name, k.typ)
		if err == nil && len(holders) == 0 {
			err = unix.ECONNREFUSED // nobody has it: no denial
		}
		return &unixTarget{addr: addr, shown: "@" + name, own: c.s.unixNames.owns(name, holders)}, err
	}
	path, _, _ := bytes.Cut(addr[sunPath:], []byte{0})
	file, err := c.openInView(string(path))
	if err != nil {
		return nil, err
	}
	id, isSocket, err := fileIDOf(int(file.Fd()), "")
	if err == nil && !isSocket {
		err = unix.ECONNREFUSED
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	shown, err := os.Readlink(fdPath(file.Fd()))
	if err != nil {
		file.Close()
		return nil, unix.EACCES
	}
	return &unixTarget{
		other: !samePath(fdPath(file.Fd()), shown) || manyNames(file), addr: pathSockaddr(fdPath(file.Fd())), shown: shown,
		own: c.s.unixNames.hasFile(id), file: file,
	}, nil
}

// manyNames says whether a file has further hard links: an agent can put those
// of its user under a path that a rule allows.
func manyNames(file *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(file.Fd()), &st) != nil || st.Nlink > 1
}

// fdPath is a path that leads to what a descriptor of the supervisor's is open
// on, whatever became of its name.
func fdPath(fd uintptr) string { return "/proc/self/fd/" + strconv.Itoa(int(fd)) }

const maxSunLen = 110 // sizeof(struct sockaddr_un)

func pathSockaddr(path string) sockaddr {
	a := make(sockaddr, sunPath, sunPath+len(path)+1)
	a[0] = unix.AF_UNIX
	return append(append(a, path...), 0)
}

// openInView opens a path as the calling thread would find it: below its own
// root and, where it is relative, from its own working directory.
func (c *call) openInView(path string) (*os.File, error) {
	v, err := c.viewOf(path)
	if err != nil {
		return nil, err
	}
	defer v.dir.Close()
	return v.open(v.path, 0)
}

// view is how a path of the calling thread's is resolved.
type view struct {
	dir  *os.File // where it begins
	path string
	how  uint64 // of openat2(2)
	same bool   // the supervisor finds the same files under the same names
}

// viewOf returns where a path of the calling thread's begins; the caller closes
// the directory.
func (c *call) viewOf(path string) (view, error) {
	proc := "/proc/" + strconv.Itoa(c.tid())
	root, err := c.openDir(proc + "/root")
	if err != nil {
		return view{}, unix.EACCES
	}
	v := view{dir: root, path: c.ownProc(path), same: c.sameView(root)}
	switch {
	case !filepath.IsAbs(path):
		root.Close()
		if v.dir, err = c.openDir(proc + "/cwd"); err != nil {
			return view{}, unix.EACCES
		}
	case !v.same:
		v.how = unix.RESOLVE_IN_ROOT
	}
	if !c.valid() {
		v.dir.Close()
		return view{}, unix.EINTR
	}
	return v, nil
}

// open opens a path of the view's, with further flags.
func (v view) open(path string, flags uint64) (*os.File, error) {
	fd, err := unix.Openat2(int(v.dir.Fd()), path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: v.how})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openDir opens a directory of the calling process's.
func (c *call) openDir(path string) (dir *os.File, err error) {
	err = asOwner(c.tid(), func() (err error) {
		dir, err = os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return dir, err
}

// ownProc makes a path that begins with the caller's own directory in /proc
// mean that of the caller, and not of the supervisor who resolves it.
func (c *call) ownProc(path string) string {
	tid := strconv.Itoa(c.tid())
	if rest, ok := strings.CutPrefix(path, "/proc/self/"); ok {
		return "/proc/" + tid + "/" + rest
	}
	if rest, ok := strings.CutPrefix(path, "/proc/thread-self/"); ok {
		return "/proc/" + tid + "/task/" + tid + "/" + rest
	}
	return path
}

// sameView says whether the calling thread's root directory and its mounts are
// those of the session's own: the supervisor then finds the same files.
func (c *call) sameView(root *os.File) bool {
	var a, b unix.Stat_t
	if unix.Fstat(int(root.Fd()), &a) != nil || unix.Stat("/", &b) != nil || a.Dev != b.Dev || a.Ino != b.Ino {
		return false
	}
	its, err := readLink(c.tid(), "/ns/mnt")
	return err == nil && its == c.s.mounts
}

func (c *call) connectUnix(k *socket, addr sockaddr) reply {
	if addr.family() == unix.AF_UNSPEC && len(addr) >= 2 {
		return result(0, seccomp.Connect(k.fd, addr))
	}
	if r, ok := c.s.repeats.again(c, k.ino, netip.AddrPort{}); ok {
		return r
	}
	target, r := c.allowedUnix(k, addr)
	if target == nil {
		return r
	}
	defer target.close()
	repeated := c.s.repeats.begin(c, k.ino, netip.AddrPort{})
	err := c.s.asAgent(c, func() error {
		return c.connectPatiently(k, func() error { return seccomp.Connect(k.fd, target.addr) })
	})
	if repeated && err == unix.EISCONN {
		err = nil // by its first run
	}
	if err == nil && k.typ != unix.SOCK_DGRAM {
		c.s.repeats.note(c, k.ino, netip.AddrPort{}, value(0))
		c.s.finder.settled(k.ino)
	}
	return result(0, err)
}

// allowedUnix finds the peer and decides; without a peer the reply stands.
func (c *call) allowedUnix(k *socket, addr sockaddr) (*unixTarget, reply) {
	target, err := c.unixTarget(k, addr)
	if err != nil {
		return nil, failWith(err) // nothing is there: no denial
	}
	if target.own {
		if !c.valid() {
			target.close()
			return nil, fail(unix.EINTR)
		}
		return target, reply{}
	}
	v := policies.Decision{Reason: "other-view"} // a mount namespace shows any file under any path
	if !target.other {
		v = c.s.policy.Decide(policies.Request{Protocol: policies.Unix, Path: target.shown, Process: c.process().policy})
	}
	rec := &audit.Record{
		Event: audit.Connect, ID: audit.NewID(), Decision: audit.Deny, Rule: v.Rule, RuleAt: v.RuleAt, Reason: v.Reason,
		Protocol: "unix", Path: target.shown, Process: &c.process().record,
	}
	if v.Allowed {
		rec.Decision = audit.Allow
	}
	if !c.valid() {
		target.close()
		return nil, fail(unix.EINTR)
	}
	if err := c.s.record(rec); err != nil || !v.Allowed {
		target.close()
		return nil, fail(unix.EACCES)
	}
	return target, reply{}
}

// breaksLine says whether the name would show in the table that abstractHolders
// reads as more than one line. A path ends at its first NUL.
func breaksLine(addr sockaddr) bool {
	name := addr[min(sunPath, len(addr)):]
	if len(name) > 0 && name[0] != 0 {
		name, _, _ = bytes.Cut(name, []byte{0})
	}
	return bytes.IndexByte(name, '\n') >= 0
}

// bindUnix binds with the copied address.
func (c *call) bindUnix(k *socket, addr sockaddr) reply {
	if addr.family() != unix.AF_UNIX || len(addr) > maxSunLen {
		return fail(unix.EINVAL)
	}
	if breaksLine(addr) {
		return fail(unix.EINVAL)
	}
	if len(addr) > sunPath && addr[sunPath] != 0 {
		return c.bindPath(k, addr)
	}
	if !c.valid() {
		return fail(unix.EINTR)
	}
	if err := seccomp.Bind(k.fd, addr); err != nil {
		return failWith(err)
	}
	if len(addr) > sunPath {
		c.s.unixNames.addAbstract(string(addr[sunPath+1:]), k.ino)
	} else if sa, err := unix.Getsockname(k.fd); err == nil {
		// Autobind: five hexadecimal digits, with an "@" of x/sys's before.
		if name, ok := sa.(*unix.SockaddrUnix); ok && len(name.Name) > 1 {
			c.s.unixNames.addAbstract(name.Name[1:], k.ino)
		}
	}
	return value(0)
}

// bindPath binds to a path of the agent's, and makes the file as it would have
// been: with the agent's file mode mask and user.
func (c *call) bindPath(k *socket, addr sockaddr) reply {
	raw, _, _ := bytes.Cut(addr[sunPath:], []byte{0})
	path, parent, err := c.bindable(string(raw))
	if err != nil {
		return failWith(err)
	}
	if parent != nil {
		defer parent.Close()
	}
	umask := umaskOf(c.tid())
	if !c.valid() {
		return fail(unix.EINTR)
	}
	var id fileID
	err = c.s.asAgent(c, func() error {
		start, err := fileClock()
		if err != nil {
			return err
		}
		if err := bindMasked(k.fd, path, umask); err != nil {
			return err
		}
		// The path may lead elsewhere by now. A file that is older than this
		// call is not the one that it made.
		if bound, isSocket, err := fileIDOf(unix.AT_FDCWD, path); err == nil && isSocket && !bound.olderThan(start) {
			id = bound // else gone again: reachable for nobody
		}
		return nil
	})
	if err != nil {
		return failWith(err)
	}
	if id != (fileID{}) {
		c.s.unixNames.addFile(id)
	}
	return value(0)
}

// bindable turns a path of the calling thread's into one of the supervisor's.
// Where that would be too long for an address, or is seen differently there, it
// leads through the open parent directory.
func (c *call) bindable(path string) (string, *os.File, error) {
	v, err := c.viewOf(path)
	if err != nil {
		return "", nil, err
	}
	defer v.dir.Close()
	if v.same {
		full := v.path
		if !filepath.IsAbs(full) {
			cwd, err := os.Readlink(fdPath(v.dir.Fd()))
			if err != nil {
				return "", nil, unix.EACCES
			}
			full = cwd + "/" + full
		}
		if len(full) < maxSunLen-sunPath {
			return full, nil, nil
		}
	}
	slash := strings.LastIndexByte(v.path, '/') // not filepath.Dir, which takes ".." by its letters
	above, base := "./"+v.path[:slash+1], v.path[slash+1:]
	if filepath.IsAbs(v.path) {
		above = v.path[:slash+1]
	}
	parent, err := v.open(above, unix.O_DIRECTORY)
	if err != nil {
		return "", nil, err
	}
	return fdPath(parent.Fd()) + "/" + base, parent, nil
}

// bindMasked binds under another process's file mode mask. The kernel gives
// the file the mode of the socket's own inode, less the mask of the caller
// (net/unix/af_unix.c, unix_bind_bsd); the supervisor's mask is empty, so the
// agent's is taken off the inode's mode meanwhile.
func bindMasked(fd int, path string, umask int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	mode := st.Mode & 0o7777
	if err := unix.Fchmod(fd, mode&^uint32(umask)); err != nil {
		return err
	}
	err := seccomp.Bind(fd, pathSockaddr(path))
	_ = unix.Fchmod(fd, mode) // shown by fstat only
	return err
}

// umaskOf reads a thread's file mode mask (proc_pid_status(5)).
func umaskOf(tid int) int {
	const all = 0o777 // when in doubt, nobody may
	status, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return all
	}
	_, after, found := bytes.Cut(status, []byte("\nUmask:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	mask, err := strconv.ParseUint(string(line), 8, 32)
	if !found || err != nil {
		return all
	}
	return int(mask)
}
