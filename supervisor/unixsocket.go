package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
	"boundary/seccomp"
)

// unixNames are the unix socket addresses that processes of the session bound.
type unixNames struct {
	mu       sync.Mutex
	files    map[fileID]bool // guarded by mu
	abstract map[string]bool // guarded by mu
}

type fileID struct{ dev, ino uint64 }

func newUnixNames() *unixNames {
	return &unixNames{files: map[fileID]bool{}, abstract: map[string]bool{}}
}

func (u *unixNames) addFile(id fileID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[id] = true
}

func (u *unixNames) addAbstract(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.abstract[name] = true
}

func (u *unixNames) hasFile(id fileID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.files[id]
}

func (u *unixNames) hasAbstract(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.abstract[name]
}

// unixTarget is the peer that an agent means, found once.
type unixTarget struct {
	addr  sockaddr // by which the supervisor reaches that very socket
	shown string   // for records and rules: a path, or "@name"
	own   bool     // a process of the session bound it
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
func (c *call) unixTarget(addr sockaddr) (*unixTarget, error) {
	if addr.family() != unix.AF_UNIX || len(addr) <= sunPath || len(addr) > maxSunLen {
		return nil, unix.EINVAL
	}
	if addr[sunPath] == 0 {
		name := string(addr[sunPath+1:])
		return &unixTarget{addr: addr, shown: "@" + name, own: c.s.unixNames.hasAbstract(name)}, nil
	}
	path, _, _ := bytes.Cut(addr[sunPath:], []byte{0})
	file, err := c.openInView(string(path))
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		file.Close()
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		file.Close()
		return nil, unix.ECONNREFUSED
	}
	shown, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
	if err != nil {
		file.Close()
		return nil, unix.EACCES
	}
	return &unixTarget{
		addr: pathSockaddr("/proc/self/fd/" + strconv.Itoa(int(file.Fd()))), shown: shown,
		own: c.s.unixNames.hasFile(fileID{uint64(st.Dev), st.Ino}), file: file,
	}, nil
}

const maxSunLen = 110 // sizeof(struct sockaddr_un)

func pathSockaddr(path string) sockaddr {
	a := make(sockaddr, sunPath, sunPath+len(path)+1)
	a[0] = unix.AF_UNIX
	return append(append(a, path...), 0)
}

// openInView opens a path as the calling thread would find it: below its own
// root and, where it is relative, from its own working directory.
func (c *call) openInView(path string) (*os.File, error) {
	dir, rest, how, err := c.view(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := unix.Openat2(int(dir.Fd()), rest, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: how})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// view returns where a path of the calling thread's begins, as an open
// directory, and how it is resolved from there (openat2(2)).
func (c *call) view(path string) (dir *os.File, rest string, how uint64, err error) {
	proc := "/proc/" + strconv.Itoa(c.tid())
	root, err := os.OpenFile(proc+"/root", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", 0, unix.EACCES
	}
	if !c.valid() {
		root.Close()
		return nil, "", 0, unix.EINTR
	}
	if sameFile(root, "/") {
		// The same view as the supervisor's own.
		root.Close()
		start := "/"
		if !filepath.IsAbs(path) {
			start = proc + "/cwd"
		}
		dir, err := os.OpenFile(start, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, "", 0, unix.EACCES
		}
		return dir, path, 0, nil
	}
	if !filepath.IsAbs(path) {
		cwd, err := os.Readlink(proc + "/cwd")
		if err != nil {
			root.Close()
			return nil, "", 0, unix.EACCES
		}
		path = cwd + "/" + path
	}
	return root, path, unix.RESOLVE_IN_ROOT, nil
}

func sameFile(f *os.File, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(int(f.Fd()), &a) == nil && unix.Stat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

func (c *call) connectUnix(k *socket, addr sockaddr) reply {
	if addr.family() == unix.AF_UNSPEC && len(addr) >= 2 {
		return result(0, seccomp.Connect(k.fd, addr))
	}
	target, r := c.allowedUnix(addr)
	if target == nil {
		return r
	}
	defer target.close()
	if !k.nonblocking() {
		c.mayBlock()
	}
	err := c.s.asAgent(c, func() error { return seccomp.Connect(k.fd, target.addr) })
	if err == nil && k.typ != unix.SOCK_DGRAM {
		c.s.finder.settled(k.ino)
	}
	return result(0, err)
}

// allowedUnix finds the peer and decides; without a peer the reply stands.
func (c *call) allowedUnix(addr sockaddr) (*unixTarget, reply) {
	target, err := c.unixTarget(addr)
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
	v := c.s.policy.Decide(policies.Request{Protocol: policies.Unix, Path: target.shown, Process: c.process().policy})
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

// bindUnix binds with the copied address, from the agent's own directory and
// under its file mode mask, so that the file is as it would have been.
func (c *call) bindUnix(k *socket, addr sockaddr) reply {
	if addr.family() != unix.AF_UNIX || len(addr) > maxSunLen {
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
	if sa, err := unix.Getsockname(k.fd); err == nil {
		if name, ok := sa.(*unix.SockaddrUnix); ok && len(name.Name) > 1 {
			c.s.unixNames.addAbstract(name.Name[1:]) // x/sys writes the NUL as "@"
		}
	}
	return value(0)
}

func (c *call) bindPath(k *socket, addr sockaddr) reply {
	raw, _, _ := bytes.Cut(addr[sunPath:], []byte{0})
	path := string(raw)
	dir, rest, how, err := c.view(path)
	if err != nil {
		return failWith(err)
	}
	defer dir.Close()
	if how != 0 {
		// Another root: reached through its parent directory.
		parent, err := unix.Openat2(int(dir.Fd()), filepath.Dir(rest),
			&unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: how})
		if err != nil {
			return failWith(err)
		}
		defer unix.Close(parent)
		rest = "/proc/self/fd/" + strconv.Itoa(parent) + "/" + filepath.Base(rest)
	}
	umask := umaskOf(c.tid())
	if !c.valid() {
		return fail(unix.EINTR)
	}
	var id fileID
	err = c.s.asAgentIn(c, dir, umask, func() error {
		if err := seccomp.Bind(k.fd, pathSockaddr(rest)); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(rest, &st); err != nil {
			return nil // gone again: reachable for nobody
		}
		id = fileID{uint64(st.Dev), st.Ino}
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
