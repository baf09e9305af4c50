package supervisor

import (
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
	mu   sync.Mutex
	held map[inode]*heldSocket // guarded by mu
}

type heldSocket struct {
	socket
	missing int // collections in a row that found no process with it
}

func newHeldFinder() *heldFinder { return &heldFinder{held: map[inode]*heldSocket{}} }

// keep takes ownership of fd.
func (f *heldFinder) keep(fd int) (inode, error) {
	k := &heldSocket{socket: socket{fd: fd, kept: true}}
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

// settled drops the duplicate: kept longer, it would hold back the FIN when
// the agent closes, or keep a port that the agent gave up.
func (f *heldFinder) settled(ino inode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.held[ino]; ok {
		unix.Close(k.fd)
		delete(f.held, ino)
	}
}

// collectAfter is in how many looks in a row no process must have a socket
// before its duplicate is closed: nobody tells the supervisor that the agent
// closed one which it never connected, and it can be in nobody's table for a
// moment, between its making and ADDFD, or under way in a SCM_RIGHTS message.
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

// drop looks once, and closes what no process held in that many looks.
func (f *heldFinder) drop(after int, candidate func(*heldSocket) bool) (gone []inode) {
	f.mu.Lock()
	kept := maps.Clone(f.held)
	f.mu.Unlock()
	if len(kept) == 0 {
		return nil
	}
	inUse := socketsInUse()
	f.mu.Lock()
	defer f.mu.Unlock()
	for ino, k := range kept {
		if inUse[ino] {
			k.missing = 0
			continue
		}
		k.missing++
		if k.missing >= after && f.held[ino] == k && candidate(k) {
			unix.Close(k.fd)
			delete(f.held, ino)
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
