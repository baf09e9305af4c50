package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
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
