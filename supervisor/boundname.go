package supervisor

import (
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A rule names a path, and means the socket that somebody bound there. The
// agent may rename the socket of another process of its user, or a folder above
// it, and so put it where a rule allows one. The name by which a socket was
// bound stays as it was: the kernel tells it.
//
// That name alone does not decide, for honest sockets differ from it too: their
// owners bind in another mount namespace or root directory (a container, where
// the socket is mounted, or its owner's own), by a relative path, through a
// symbolic link such as /var/run, or bind to a temporary name and rename it. So
// what no agent can have done in this session is let through, and no more: see
// stays.

// namedSocket is a path socket that a rule allows by the path that it has now.
type namedSocket struct {
	shown   string // the path, without symbolic links
	names   []string
	since   unix.Timespec // the session's beginning
	changed unix.StatxTimestamp
	born    unix.StatxTimestamp
	mounted bool // a file system is mounted on this very file
	root    bool // the session is root's
}

// examineNamed looks at the file that has the path in the supervisor's view,
// which the agent's mounts do not change; it must be the file that was found in
// the agent's.
func (s *Session) examineNamed(file *os.File, shown string, typ int) (*namedSocket, error) {
	own, err := openPlain(shown)
	if err != nil {
		return nil, err
	}
	defer own.Close()
	found, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if named, err := own.Stat(); err != nil || !os.SameFile(found, named) {
		return nil, unix.EXDEV
	}
	var st unix.Statx_t
	if err := unix.Statx(int(own.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_CTIME|unix.STATX_BTIME, &st); err != nil {
		return nil, err
	}
	n := &namedSocket{
		shown: shown, since: s.began, changed: st.Ctime, root: s.root,
		mounted: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		n.born = st.Btime
	}
	dev, known := deviceOf(own)
	n.names, err = namesOf(typ, diagFile{ino: uint32(st.Ino), dev: dev}, known)
	return n, err
}

// dumps is how often the kernel is asked for a socket that it does not show. A
// dump in several parts can leave some out while others are closed
// (net/unix/diag.c, unix_diag_dump).
const dumps = 3

// namesOf returns the names by which sockets of a type were bound that have a
// file. There is one; several where the device is not known.
func namesOf(typ int, file diagFile, devKnown bool) (names []string, err error) {
	for range dumps {
		err = boundSockets(func(b boundSocket) {
			if b.path && int(b.typ) == typ && b.file.ino == file.ino && (!devKnown || b.file.dev == file.dev) {
				names = append(names, b.name)
			}
		})
		if errors.Is(err, unix.ENOENT) {
			return nil, nil // a kernel without unix_diag
		}
		if err != nil || len(names) > 0 {
			break
		}
	}
	return names, err
}

// stays says whether nobody in this session can have put the socket where it
// is, given what the policy says of other paths.
//
//   - A file that is itself mounted there was put there by who made the mounts.
//   - An absolute name must be the path or be allowed itself. Symbolic links on
//     its way count that are older than the session and, but for root, another
//     user's. A name that was made longer for the moment of the bind may have
//     been another in the same folder, unless the file changed in this session.
//   - Of a relative name the last part must be the path's. Where it is all that
//     is known, or nothing is (a socket in another network namespace), a file
//     that is older than the session and changed in it was renamed.
func (n *namedSocket) stays(allowed func(path string) bool) (bound string, ok bool) {
	if n.mounted {
		return "", true
	}
	if len(n.names) == 0 {
		return "", n.unmoved()
	}
	for _, name := range n.names {
		switch {
		case !path.IsAbs(name) || strings.HasPrefix(name, "/proc/"):
			ok = path.Base(name) == path.Base(n.shown) && n.unmoved()
		default:
			ok = n.bound(name) || allowed(name)
		}
		if !ok {
			return name, false
		}
	}
	return "", true
}

// unmoved says that a file was not renamed in this session, or is so young that
// its change may be its owner's.
func (n *namedSocket) unmoved() bool { return n.unchanged() || !before(n.born, n.since) }

// unchanged says that nothing happened to the file's inode in this session:
// renaming it, or adding and removing names, stamps it (inode(7), ctime).
func (n *namedSocket) unchanged() bool { return before(n.changed, n.since) }

func before(a unix.StatxTimestamp, b unix.Timespec) bool {
	return a.Sec < b.Sec || a.Sec == b.Sec && int64(a.Nsec) < b.Nsec
}

// bound says whether an absolute name leads, or led, to the path.
func (n *namedSocket) bound(name string) bool {
	if name == n.shown {
		return true
	}
	dir, err := n.followOld(path.Dir(name))
	if err != nil || dir != path.Dir(n.shown) {
		return false
	}
	base, have := path.Base(name), path.Base(n.shown)
	return base == have || strings.Contains(base, have) && n.unchanged()
}
