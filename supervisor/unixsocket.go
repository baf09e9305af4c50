package supervisor

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
	"boundary/seccomp"
)

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
	if target.own && k.typ != unix.SOCK_DGRAM {
		c.rememberConnector(k) // before the listener can ask
	}
	repeated := c.s.repeats.begin(c, k.ino, netip.AddrPort{})
	err := c.connectPatiently(k, func() error {
		return c.s.asAgent(c, func() error { return seccomp.Connect(k.fd, target.addr) })
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
	v, rec := c.judgeUnix(k, target)
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

// judgeUnix asks the policy about a peer outside, and makes the record.
func (c *call) judgeUnix(k *socket, t *unixTarget) (policies.Decision, *audit.Record) {
	ask := func(path string) policies.Decision {
		return c.s.policy.Decide(policies.Request{Protocol: policies.Unix, Path: path, Process: c.process().policy})
	}
	rec := &audit.Record{
		Event: audit.Connect, ID: audit.NewID(), Decision: audit.Deny, Protocol: "unix", Path: t.shown, Process: &c.process().record,
	}
	v := policies.Decision{Reason: "other-view"} // a mount namespace shows any file under any path
	if !t.other {
		v = ask(t.shown)
	}
	if v.Allowed && t.file != nil {
		bound, ok := c.staysNamed(k, t, func(path string) bool { return ask(path).Allowed })
		if !ok {
			v = policies.Decision{Reason: "other-name"}
			rec.Message = fmt.Sprintf("bound as %q, and now %q", bound, t.shown)
			if filepath.IsAbs(bound) {
				rec.Path = bound // which a rule can allow
			}
		}
	}
	rec.Rule, rec.RuleAt, rec.Reason = v.Rule, v.RuleAt, v.Reason
	return v, rec
}

// staysNamed says whether a socket is the one that a rule means by its path; if
// not, by which name it was bound, where that is known.
func (c *call) staysNamed(k *socket, t *unixTarget, allowed func(path string) bool) (bound string, ok bool) {
	n, err := c.s.examineNamed(t.file, t.shown, k.typ)
	if err != nil {
		return "", false
	}
	return n.stays(allowed)
}
