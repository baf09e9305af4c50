package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

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
	defer v.close()
	slash := strings.LastIndexByte(path, '/') // not filepath.Dir, which takes ".." by its letters
	above, base := "./"+path[:slash+1], path[slash+1:]
	if filepath.IsAbs(path) {
		above = path[:slash+1]
	}
	parent, plain, err := v.open(above, unix.O_DIRECTORY)
	if err != nil {
		return "", nil, err
	}
	if full, err := v.absolute(path); err == nil && plain && v.same && len(full) < maxSunLen-sunPath {
		parent.Close()
		return full, nil, nil
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
	status, err := readStatus(tid)
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
