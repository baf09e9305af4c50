package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// view is how a calling thread finds what a path names.
type view struct {
	tid  int
	root *os.File
	dir  *os.File // where the path begins: its root or working directory
	how  uint64   // of openat2(2)
	same bool     // the supervisor finds the same files under the same names
}

func (v view) close() {
	v.root.Close()
	v.dir.Close()
}

// openInView opens a path as the calling thread would find it: below its own
// root and, where it is relative, from its own working directory.
func (c *call) openInView(path string) (*os.File, error) {
	v, err := c.viewOf(path)
	if err != nil {
		return nil, err
	}
	defer v.close()
	file, _, err := v.open(path, 0)
	return file, err
}

// viewOf returns the calling thread's view of a path; the caller closes it.
func (c *call) viewOf(path string) (view, error) {
	proc := "/proc/" + strconv.Itoa(c.tid())
	root, err := c.openDir(proc + "/root")
	if err != nil {
		return view{}, unix.EACCES
	}
	start := proc + "/cwd"
	if filepath.IsAbs(path) {
		start = proc + "/root"
	}
	dir, err := c.openDir(start)
	if err != nil {
		root.Close()
		return view{}, unix.EACCES
	}
	v := view{tid: c.tid(), root: root, dir: dir, same: c.sameView(root)}
	if !v.same && filepath.IsAbs(path) {
		v.how = unix.RESOLVE_IN_ROOT
	}
	if !c.valid() {
		v.close()
		return view{}, unix.EINTR
	}
	return v, nil
}

// openDir opens a directory of the calling process's.
func (c *call) openDir(path string) (dir *os.File, err error) {
	err = asOwner(c.tid(), func() (err error) {
		dir, err = os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return dir, err
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

// open opens a path of the view's (O_PATH), with further flags.
//
// A path may lead through links of /proc, by itself or by symbolic links on its
// way. To the kernel /proc/self is then the supervisor, so what it does not find
// without such links is looked for step by step; so is what begins in the
// working directory where the root is another: openat2(2) can't be told both.
// Plain says that the kernel found it.
func (v view) open(path string, flags uint64) (file *os.File, plain bool, err error) {
	if v.same || filepath.IsAbs(path) {
		fd, err := unix.Openat2(int(v.dir.Fd()), path, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: v.how | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err == nil {
			return os.NewFile(uintptr(fd), path), true, nil
		}
	}
	w := walk{view: v, rest: strings.Split(path, "/")}
	file, err = w.run()
	if err == nil && flags&unix.O_DIRECTORY != 0 {
		if info, statErr := file.Stat(); statErr != nil || !info.IsDir() {
			file.Close()
			return nil, false, unix.ENOTDIR
		}
	}
	return file, false, err
}

// absolute spells a path from the root.
func (v view) absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	cwd, err := os.Readlink(fdPath(v.dir.Fd()))
	return cwd + "/" + path, err
}

// walk resolves a path step by step.
type walk struct {
	view
	at    *os.File
	rest  []string // what is to be resolved yet
	links int
}

// maxLinks is MAXSYMLINKS, <linux/namei.h>.
const maxLinks = 40

func (w *walk) run() (*os.File, error) {
	if err := w.jump(w.dir); err != nil {
		return nil, err
	}
	for len(w.rest) > 0 {
		name := w.rest[0]
		w.rest = w.rest[1:]
		if err := w.step(name); err != nil {
			w.at.Close()
			return nil, err
		}
	}
	return w.at, nil
}

// jump goes on from a duplicate of a directory.
func (w *walk) jump(to *os.File) error {
	fd, err := unix.FcntlInt(to.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.move(fd)
	return nil
}

// move takes ownership of what comes next.
func (w *walk) move(fd int) {
	if w.at != nil {
		w.at.Close()
	}
	w.at = os.NewFile(uintptr(fd), "")
}

func (w *walk) step(name string) error {
	switch {
	case name == "" || name == ".":
		if info, err := w.at.Stat(); err != nil || !info.IsDir() {
			return unix.ENOTDIR
		}
		return nil
	case name == ".." && w.atRoot():
		return nil
	}
	fd, err := unix.Openat(int(w.at.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		w.move(fd)
		return nil
	}
	defer unix.Close(fd)
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	return w.follow(name, fd)
}

func (w *walk) atRoot() bool {
	at, err := w.at.Stat()
	if err != nil {
		return false
	}
	root, err := w.root.Stat()
	return err == nil && os.SameFile(at, root)
}

// follow goes where a symbolic link leads.
func (w *walk) follow(name string, link int) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(link, &fs); err != nil {
		return err
	}
	inProc := fs.Type == unix.PROC_SUPER_MAGIC
	if inProc && w.magic(name) {
		fd, err := unix.Openat(int(w.at.Fd()), name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == nil {
			w.move(fd)
		}
		return err
	}
	text := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link, "", text)
	if err != nil {
		return err
	}
	target := string(text[:n])
	if inProc {
		if target, err = w.ownProcess(name, target); err != nil {
			return err
		}
	}
	if filepath.IsAbs(target) {
		if err := w.jump(w.root); err != nil {
			return err
		}
	}
	w.rest = append(strings.Split(target, "/"), w.rest...)
	return nil
}

// magic says whether a link leads where its text does not (proc(5), such as
// /proc/PID/fd/N).
func (w *walk) magic(name string) bool {
	fd, err := unix.Openat2(int(w.at.Fd()), name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS})
	if err == nil {
		unix.Close(fd)
	}
	return errors.Is(err, unix.ELOOP)
}

// ownProcess has /proc/self and /proc/thread-self mean the calling thread.
func (w *walk) ownProcess(name, target string) (string, error) {
	if name != "self" && name != "thread-self" {
		return target, nil
	}
	tgid, err := seccomp.ThreadGroup(w.tid)
	if err != nil {
		return "", err
	}
	own := strconv.Itoa(tgid)
	if name == "thread-self" {
		own += "/task/" + strconv.Itoa(w.tid)
	}
	return own, nil
}
