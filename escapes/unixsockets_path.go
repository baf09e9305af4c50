package escapes

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// unixPathAttempts spell the path of a denied socket otherwise.
func unixPathAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "unix/thread-cwd", Does: "connect to a relative path from a thread with a working folder of its own", Try: connectFromThread},
		{Name: "unix/unterminated-full", Does: "connect to a path that fills the whole address, without a NUL", Try: connectFullPath},
		{Name: "unix/deep-path", Does: "connect to a relative path whose absolute form is too long for an address", Try: connectDeepPath},
		{Name: "unix/length-cuts-name", Does: "let the address's length end the path within a longer text", Try: func(g *Ground) error {
			name := append(pathSockaddr(g.Unix.Stream), "more"...)
			name[2+len(g.Unix.Stream)] = '-'
			return dialUnixLength(g, name, 2+len(g.Unix.Stream))
		}},
		{Name: "unix/embedded-nul", Does: "connect to a path with an allowed one behind its NUL", Try: func(g *Ground) error {
			name := append(pathSockaddr(g.Unix.Stream), g.Unix.Allowed...)
			return dialUnix(g, unix.SOCK_STREAM, name[:min(len(name), unix.SizeofSockaddrUnix)])
		}},
		{Name: "unix/padded-length", Does: "connect with the length of a whole address, as C programs do", Try: func(g *Ground) error {
			name := make([]byte, unix.SizeofSockaddrUnix)
			copy(name, pathSockaddr(g.Unix.Stream))
			return dialUnix(g, unix.SOCK_STREAM, name)
		}},
	}
	for _, one := range unixPaths {
		attempts = append(attempts, Attempt{Name: one.name, Does: one.does, Try: func(g *Ground) error {
			path, err := one.path(g)
			if err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(path))
		}})
	}
	return attempts
}

// unixPaths are paths that lead to the denied stream socket.
var unixPaths = []struct {
	name, does string
	path       func(*Ground) (string, error)
}{
	{"unix/relative", "connect to a relative path", func(g *Ground) (string, error) {
		return filepath.Base(g.Unix.Stream), os.Chdir(filepath.Dir(g.Unix.Stream))
	}},
	{"unix/dot-dot", "connect to a path with .. and // in it", func(g *Ground) (string, error) {
		dir, base := filepath.Split(g.Unix.Stream)
		return dir + "../" + filepath.Base(dir) + "//./" + base, nil
	}},
	{"unix/dot-dot-granted", "connect to a path that begins with an allowed folder", func(g *Ground) (string, error) {
		return g.Unix.AllowedDir + "/../" + filepath.Base(filepath.Dir(g.Unix.Stream)) + "/" + filepath.Base(g.Unix.Stream), nil
	}},
	{"unix/symlink", "connect to a symbolic link to the socket", func(g *Ground) (string, error) {
		return g.mine("s"), os.Symlink(g.Unix.Stream, g.mine("s"))
	}},
	{"unix/symlink-allowed", "connect to a symbolic link that has an allowed path", func(g *Ground) (string, error) {
		path := filepath.Join(g.Unix.AllowedDir, g.Token)
		return path, os.Symlink(g.Unix.Stream, path)
	}},
	{"unix/symlink-directory", "connect through a symbolic link to the folder", func(g *Ground) (string, error) {
		return g.mine("d") + "/" + filepath.Base(g.Unix.Stream), os.Symlink(filepath.Dir(g.Unix.Stream), g.mine("d"))
	}},
	{"unix/proc-root", "connect through /proc/self/root", func(g *Ground) (string, error) {
		return "/proc/self/root" + g.Unix.Stream, nil
	}},
	{"unix/proc-cwd", "connect through /proc/self/cwd", func(g *Ground) (string, error) {
		return "/proc/self/cwd/" + filepath.Base(g.Unix.Stream), os.Chdir(filepath.Dir(g.Unix.Stream))
	}},
	{"unix/proc-fd", "connect to /proc/self/fd/N, a descriptor of the socket's file", func(g *Ground) (string, error) {
		fd, err := unix.Open(g.Unix.Stream, unix.O_PATH|unix.O_CLOEXEC, 0)
		return fmt.Sprintf("/proc/self/fd/%d", fd), err
	}},
	{"unix/proc-fd-directory", "connect through /proc/self/fd/N, a descriptor of the folder", func(g *Ground) (string, error) {
		fd, err := unix.Open(filepath.Dir(g.Unix.Stream), unix.O_PATH|unix.O_CLOEXEC, 0)
		return fmt.Sprintf("/proc/self/fd/%d/%s", fd, filepath.Base(g.Unix.Stream)), err
	}},
	{"unix/proc-pid-fd", "connect through /proc/PID/task/TID/fd/N", func(g *Ground) (string, error) {
		fd, err := unix.Open(filepath.Dir(g.Unix.Stream), unix.O_PATH|unix.O_CLOEXEC, 0)
		return fmt.Sprintf("/proc/%d/task/%d/fd/%d/%s", os.Getpid(), os.Getpid(), fd, filepath.Base(g.Unix.Stream)), err
	}},
	{"unix/link-proc-fd", "connect to a symbolic link to /proc/self/fd/N, a descriptor of the socket's file", func(g *Ground) (string, error) {
		fd, err := unix.Open(g.Unix.Stream, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		return g.mine("p"), os.Symlink(fmt.Sprintf("/proc/self/fd/%d", fd), g.mine("p"))
	}},
	{"unix/link-proc-cwd", "connect through an allowed symbolic link to /proc/thread-self/cwd", func(g *Ground) (string, error) {
		link := filepath.Join(g.Unix.AllowedDir, g.Token)
		if err := os.Symlink("/proc/thread-self/cwd", link); err != nil {
			return "", err
		}
		return link + "/" + filepath.Base(g.Unix.Stream), os.Chdir(filepath.Dir(g.Unix.Stream))
	}},
	{"unix/link-proc-root", "connect to a symbolic link to one that leads through /proc/self/root", func(g *Ground) (string, error) {
		if err := os.Symlink("/proc/self/root"+g.Unix.Stream, g.mine("p")); err != nil {
			return "", err
		}
		return g.mine("q"), os.Symlink(filepath.Base(g.mine("p")), g.mine("q"))
	}},
	{"unix/proc-other-root", "connect through /proc/PID/root of a process outside", func(g *Ground) (string, error) {
		return fmt.Sprintf("/proc/%d/root%s", g.Victim.PID, g.Unix.Stream), nil
	}},
}

// dialUnixLength connects to the first length bytes of an address that goes on.
func dialUnixLength(g *Ground, name []byte, length int) error {
	l, err := newLocal(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	if _, err := call(unix.SYS_CONNECT, l.fd, l.m.put(0, name), uintptr(length)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return l.write(g.Token)
}

// connectFromThread gives a thread a working folder that the process has not.
func connectFromThread(g *Ground) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with it
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- err
			return
		}
		if err := unix.Chdir(filepath.Dir(g.Unix.Stream)); err != nil {
			done <- err
			return
		}
		done <- dialUnix(g, unix.SOCK_STREAM, pathSockaddr(filepath.Base(g.Unix.Stream)))
	}()
	return <-done
}

// connectFullPath uses all 108 bytes of sun_path, unix(7).
func connectFullPath(g *Ground) error {
	base := "/" + filepath.Base(g.Unix.Stream)
	link := g.mine("")
	link += strings.Repeat("x", unix.SizeofSockaddrUnix-2-len(link)-len(base))
	if err := os.Symlink(filepath.Dir(g.Unix.Stream), link); err != nil {
		return err
	}
	name := make([]byte, 2, unix.SizeofSockaddrUnix)
	binary.NativeEndian.PutUint16(name, unix.AF_UNIX)
	return dialUnix(g, unix.SOCK_STREAM, append(append(name, link...), base...))
}

// connectDeepPath links the socket into a folder far down.
func connectDeepPath(g *Ground) error {
	deep := filepath.Join(g.mine("deep"), strings.Repeat("a", 100), strings.Repeat("b", 100))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		return err
	}
	if err := os.Link(g.Unix.Stream, filepath.Join(deep, "s")); err != nil {
		return err
	}
	if err := os.Chdir(deep); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr("s"))
}
