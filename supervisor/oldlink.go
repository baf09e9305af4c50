package supervisor

import (
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// followOld resolves a folder's path by symbolic links that the agent can't have
// made.
func (n *namedSocket) followOld(dir string) (string, error) {
	done, rest := "/", strings.Split(dir, "/")
	for links := 0; len(rest) > 0; {
		next := path.Join(done, rest[0])
		if rest = rest[1:]; next == done {
			continue
		}
		target, err := n.oldLink(next)
		switch {
		case err == unix.EINVAL: // no link
			done = next
			continue
		case err != nil:
			return "", err
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		if path.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

// oldLink reads a symbolic link. It is EINVAL for what is none, as with
// readlink(2), and EPERM where the agent may have made it.
func (n *namedSocket) oldLink(name string) (string, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return "", unix.EINVAL // gone: its name is as good as ever
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_TYPE|unix.STATX_CTIME|unix.STATX_UID, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	if !before(st.Ctime, n.since) || !n.root && int(st.Uid) == os.Geteuid() {
		return "", unix.EPERM
	}
	target := make([]byte, unix.PathMax)
	size, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return "", err
	}
	return string(target[:size]), nil
}
