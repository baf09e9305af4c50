package supervisor

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// heldFinder is for machines where pidfd_getfd is refused: the supervisor
// makes the agent's sockets itself at socket(2), keeps a duplicate of each by
// inode, and finds it again by the link in /proc.
//
// It is safe against an agent that swaps descriptors, since it only ever acts
// on duplicates of its own. A socket that it did not make (one end of a
// socketpair, an accepted connection) is refused.
type heldFinder struct {
	within      func(pid int) bool // is a process of the session
	descriptors *shares

	mu   sync.Mutex
	held map[inode]*heldSocket // guarded by mu
}

type heldSocket struct {
	socket
	group   int // whose share the duplicate is of
	share   int // how much of it: 0 where somebody else accounts for it
	missing int // collections in a row that found no process with it
}

func newHeldFinder(within func(pid int) bool, descriptors *shares) *heldFinder {
	return &heldFinder{within: within, descriptors: descriptors, held: map[inode]*heldSocket{}}
}

// keep takes ownership of fd, and of the share that it is of; where it fails it
// takes neither.
func (f *heldFinder) keep(fd, group, share int) (inode, error) {
	k := &heldSocket{socket: socket{fd: fd, kept: true}, group: group, share: share}
	if err := k.describe(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[k.ino] = k
	return k.ino, nil
}

// find returns a duplicate of the duplicate: a collection may close the kept
// one meanwhile.
func (f *heldFinder) find(tid int, fd int32) (*socket, error) {
	ino, err := inodeOf(tid, fd)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.held[ino]
	if !ok {
		return nil, unix.EACCES
	}
	dup, err := unix.FcntlInt(uintptr(k.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, unix.ENOBUFS
	}
	out := k.socket
	out.fd, out.kept = dup, false
	return &out, nil
}

func (f *heldFinder) duplicate(tid int, fd int32) (int, error) {
	k, err := f.find(tid, fd)
	if err != nil {
		return -1, err
	}
	return k.fd, nil
}

// settled drops the duplicate: kept longer, it would hold back the FIN when
// the agent closes, or keep a port that the agent gave up.
func (f *heldFinder) settled(ino inode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.held[ino]; ok {
		f.close(k)
	}
}

// close is called with mu held.
func (f *heldFinder) close(k *heldSocket) {
	unix.Close(k.fd)
	delete(f.held, k.ino)
	f.descriptors.give(k.group, k.share)
}

// collectAfter is in how many looks in a row no process must have a socket
// before its duplicate is closed: nobody tells the supervisor that the agent
// closed one which it never connected, and it is in nobody's table for a
// moment, between its making and ADDFD.
const collectAfter = 3

// collectPort closes the duplicates that are bound to a port which the agent
// wants and that no process holds any more, and says whether there was one.
func (f *heldFinder) collectPort(port uint16) bool {
	return len(f.drop(0, func(k *heldSocket) bool {
		local, err := unix.Getsockname(k.fd)
		return err == nil && fromUnixSockaddr(local).Port() == port
	})) > 0
}

// collect closes the duplicates that no process held in the last few looks,
// and says which they were.
func (f *heldFinder) collect() []inode {
	return f.drop(collectAfter, func(*heldSocket) bool { return true })
}

// drop looks once, and closes what no process held in that many looks. A look
// while descriptors are under way in messages proves nothing: the socket may be
// one of them, and come out again.
func (f *heldFinder) drop(after int, candidate func(*heldSocket) bool) (gone []inode) {
	f.mu.Lock()
	kept := maps.Clone(f.held)
	f.mu.Unlock()
	if len(kept) == 0 {
		return nil
	}
	inUse := socketsInUse()
	maps.DeleteFunc(kept, func(ino inode, _ *heldSocket) bool { return inUse[ino] })
	underWay := len(kept) > 0 && f.descriptorsUnderWay()
	f.mu.Lock()
	defer f.mu.Unlock()
	for ino, k := range f.held {
		switch {
		case kept[ino] != k:
			k.missing = 0
			continue
		case underWay:
			continue
		}
		k.missing++
		if k.missing >= after && candidate(k) {
			f.close(k)
			gone = append(gone, ino)
		}
	}
	return gone
}

// socketsInUse reads the descriptor tables of all processes but this one.
func socketsInUse() map[inode]bool {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	inUse := map[inode]bool{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		_ = asOwner(pid, func() error { return addSockets(dir+"/fd", inUse) }) // it may have ended
	}
	return inUse
}

// descriptorsUnderWay says whether a message with descriptors waits in a unix
// socket of the session's. The kernel counts them (net/unix/af_unix.c,
// unix_show_fdinfo, Linux 5.6); where it does not, none are seen.
func (f *heldFinder) descriptorsUnderWay() bool {
	dirs, _ := filepath.Glob("/proc/[0-9]*/fdinfo")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil || !f.within(pid) {
			continue
		}
		passes := false
		_ = asOwner(pid, func() (err error) { // it may have ended
			passes, err = passesDescriptors(dir)
			return err
		})
		if passes {
			return true
		}
	}
	return false
}

// passesDescriptors says whether descriptors wait in a socket of one process's.
func passesDescriptors(dir string) (bool, error) {
	infos, err := os.ReadDir(dir)
	for _, entry := range infos {
		info, failed := os.ReadFile(filepath.Join(dir, entry.Name()))
		if scmFiles(info) > 0 {
			return true, nil
		}
		if errors.Is(failed, unix.EACCES) {
			err = failed
		}
	}
	return false, err
}

// scmFiles reads how many descriptors wait in a unix socket from its lines in
// /proc/PID/fdinfo.
func scmFiles(fdinfo []byte) int {
	_, after, _ := bytes.Cut(fdinfo, []byte("scm_fds:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(line)))
	if err != nil {
		return 0
	}
	return n
}

// addSockets notes the sockets in one process's table, and returns the last
// error.
func addSockets(dir string, inUse map[inode]bool) (failed error) {
	links, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range links {
		link, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if ino, ok := socketInode(link); ok {
			inUse[ino] = true
		}
		if err != nil {
			failed = err
		}
	}
	return failed
}
