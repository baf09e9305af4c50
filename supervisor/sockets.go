package supervisor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// inode identifies a socket: sockfs gives each its own inode number.
type inode uint64

// socket is a duplicate of an agent's socket: it shares the open file
// description, so connecting it connects the agent's. Close it.
type socket struct {
	fd     int
	ino    inode
	domain int
	typ    int
	proto  int
	kept   bool // the finder keeps the descriptor
}

func (k *socket) close() {
	if !k.kept {
		unix.Close(k.fd)
	}
}

// nonblocking is the agent's own setting: it lies in the open file description.
func (k *socket) nonblocking() bool {
	flags, err := unix.FcntlInt(uintptr(k.fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_NONBLOCK != 0
}

// finder hides which of the two ways is in use by which the supervisor comes
// to hold an agent's socket.
type finder interface {
	// find returns the socket behind descriptor fd of thread tid. Errors:
	// ENOTSOCK, EBADF; EACCES where it is a socket that can't be acted on.
	//
	// The caller has yet to ask whether the notification is valid.
	find(tid int, fd int32) (*socket, error)
	// duplicate returns a duplicate of a descriptor of any kind. Errors: as
	// find's; ENOTSOCK only where no others than sockets can be duplicated.
	duplicate(tid int, fd int32) (int, error)
	// settled says that the socket needs no supervisor any more: it is
	// connected or listening.
	settled(ino inode)
}

// inodeOf asks /proc for the inode of a thread's descriptor. It is ENOTSOCK
// for what is no socket.
func inodeOf(tid int, fd int32) (inode, error) {
	if fd < 0 {
		return 0, unix.EBADF
	}
	link, err := readLink(tid, "/fd/"+strconv.Itoa(int(fd)))
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return 0, unix.EBADF
		}
		return 0, unix.EACCES // a process that is not dumpable
	}
	ino, ok := socketInode(link)
	if !ok {
		return 0, unix.ENOTSOCK
	}
	return ino, nil
}

// socketInode reads the link of a socket's descriptor, "socket:[INODE]".
func socketInode(link string) (inode, bool) {
	digits, isSocket := strings.CutPrefix(link, "socket:[")
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 64)
	return inode(n), isSocket && err == nil
}

// describe fills in what kind of socket fd is.
func (k *socket) describe() error {
	var st unix.Stat_t
	if err := unix.Fstat(k.fd, &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return unix.ENOTSOCK
	}
	k.ino = inode(st.Ino)
	for opt, dst := range map[int]*int{unix.SO_DOMAIN: &k.domain, unix.SO_TYPE: &k.typ, unix.SO_PROTOCOL: &k.proto} {
		v, err := unix.GetsockoptInt(k.fd, unix.SOL_SOCKET, opt)
		if err != nil {
			return fmt.Errorf("getsockopt: %w", err)
		}
		*dst = v
	}
	return nil
}

// getfdFinder takes duplicates with pidfd_getfd(2).
type getfdFinder struct {
	mu     sync.Mutex
	pidfds map[int]int // guarded by mu: thread id to pidfd
}

// maxPidfds bounds the cache; past it everything is forgotten and found anew.
const maxPidfds = 256

func newGetfdFinder() *getfdFinder { return &getfdFinder{pidfds: map[int]int{}} }

func (f *getfdFinder) find(tid int, fd int32) (*socket, error) {
	dup, err := f.duplicate(tid, fd)
	if err != nil {
		return nil, err
	}
	k := &socket{fd: dup}
	if err := k.describe(); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (f *getfdFinder) settled(inode) {}

// duplicate holds the lock throughout, so that no cached pidfd is closed
// while it is in use. A cached pidfd whose thread has died answers ESRCH: its
// number then belongs to another thread, which gets a pidfd of its own.
func (f *getfdFinder) duplicate(tid int, fd int32) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.pidfds[tid]; ok {
		dup, err := duplicateAsOwner(tid, p, int(fd))
		if err != unix.ESRCH {
			return dup, getfdError(err)
		}
		unix.Close(p)
		delete(f.pidfds, tid)
	}
	if len(f.pidfds) >= maxPidfds {
		for t, p := range f.pidfds {
			unix.Close(p)
			delete(f.pidfds, t)
		}
	}
	p, err := seccomp.OpenThread(tid)
	if err != nil {
		return -1, err
	}
	f.pidfds[tid] = p
	dup, err := duplicateAsOwner(tid, p, int(fd))
	return dup, getfdError(err)
}

// sweep forgets the threads that have ended: their pidfds are readable
// (pidfd_open(2)).
func (f *getfdFinder) sweep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for tid, p := range f.pidfds {
		poll := []unix.PollFd{{Fd: int32(p), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 0); err == nil && n > 0 {
			unix.Close(p)
			delete(f.pidfds, tid)
		}
	}
}

// getfdError keeps EBADF, which is the agent's, and calls the rest a refusal.
func getfdError(err error) error {
	switch err {
	case nil, unix.EBADF:
		return err
	case unix.EMFILE, unix.ENFILE:
		return unix.ENOBUFS
	}
	return unix.EACCES
}
