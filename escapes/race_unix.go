package escapes

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// raceUnixAttempts turn what an AF_UNIX name means under connect(2) and
// sendto(2).
func raceUnixAttempts() []Attempt {
	return []Attempt{
		race("unix-connect", "turn the path under connect", func(a *arena) ([]func(), error) {
			return []func(){
				a.turnBytes(0, unixName(a.Unix.Stream), unixName(a.Unix.Allowed)),
				a.unixDialer(0, maxUnixName), a.unixDialer(0, maxUnixName),
			}, nil
		}),
		race("unix-sendto", "turn the path under sendto", func(a *arena) ([]func(), error) {
			fd, err := openUnix(unix.SOCK_DGRAM)
			if err != nil {
				return nil, err
			}
			return []func(){
				a.turnBytes(0, unixName(a.Unix.Dgram), unixName(a.Unix.AllowedDgram)),
				a.sender(fd, 0, maxUnixName), a.sender(fd, 0, maxUnixName),
			}, nil
		}),
		race("unix-abstract", "turn a path to an abstract name under connect", func(a *arena) ([]func(), error) {
			return []func(){
				// Abstract names have the length that is told: this one's.
				a.turnBytes(0, abstractSockaddr(a.Unix.Abstract), []byte(pathSockaddr(a.Unix.Allowed))),
				a.unixDialer(0, uintptr(len(abstractSockaddr(a.Unix.Abstract)))), a.unixDialer(0, maxUnixName),
			}, nil
		}),
		race("unix-symlink", "exchange symbolic links under connect", raceSymlink),
		race("unix-directory", "change the working directory under a connect by a relative path", raceDirectory),
		race("unix-descriptor", "turn the descriptor between socket types under connect", raceUnixDescriptor),
	}
}

// unixName is a path as a name of the full length, so that it can be copied
// over another.
func unixName(path string) []byte {
	b := make([]byte, maxUnixName)
	copy(b, pathSockaddr(path))
	return b
}

// openUnix makes an AF_UNIX socket.
func openUnix(kind uintptr) (int, error) {
	fd, err := call(unix.SYS_SOCKET, unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	return int(fd), err
}

// unixDialer makes a part that connects a new socket to the name at an offset
// and, where that works, writes the token.
func (a *arena) unixDialer(offset int, length uintptr) func() {
	return func() {
		fd, err := openUnix(unix.SOCK_STREAM)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		err = a.connect(fd, offset, length)
		a.saw(err)
		if err == nil {
			a.tell(fd)
		}
	}
}

// links makes two symbolic links, and a part that exchanges them.
func links(one, two, toOne, toTwo string) (func(), error) {
	for link, to := range map[string]string{one: toOne, two: toTwo} {
		_ = os.Remove(link) // of an attempt before
		if err := os.Symlink(to, link); err != nil {
			return nil, err
		}
	}
	return func() { _ = unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, two, unix.RENAME_EXCHANGE) }, nil
}

// raceSymlink connects to a link that leads now here and now there.
func raceSymlink(a *arena) ([]func(), error) {
	one, two := filepath.Join(a.Dir, "race-one"), filepath.Join(a.Dir, "race-two")
	exchange, err := links(one, two, a.Unix.Stream, a.Unix.Allowed)
	if err != nil {
		return nil, err
	}
	a.put(0, unixName(one))
	return []func(){exchange, a.unixDialer(0, maxUnixName), a.unixDialer(0, maxUnixName)}, nil
}

// raceDirectory connects to the same relative path in two directories.
func raceDirectory(a *arena) ([]func(), error) {
	dirs := []string{filepath.Join(a.Dir, "race-here"), filepath.Join(a.Dir, "race-there")}
	for i, to := range []string{a.Unix.Stream, a.Unix.Allowed} {
		if err := os.MkdirAll(dirs[i], 0o755); err != nil {
			return nil, err
		}
		_ = os.Remove(filepath.Join(dirs[i], "s"))
		if err := os.Symlink(to, filepath.Join(dirs[i], "s")); err != nil {
			return nil, err
		}
	}
	a.put(0, unixName("s"))
	return []func(){
		func() {
			_ = unix.Chdir(dirs[1])
			_ = unix.Chdir(dirs[0])
		},
		a.unixDialer(0, maxUnixName), a.unixDialer(0, maxUnixName),
	}, nil
}

// raceUnixDescriptor has a path that is allowed for one type of socket, and
// another type's path in its place.
func raceUnixDescriptor(a *arena) ([]func(), error) {
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	return []func(){
		a.turnBytes(0, unixName(a.Unix.Dgram), unixName(a.Unix.Allowed), unixName(a.Unix.AllowedDgram), unixName(a.Unix.Stream)),
		func() {
			for _, kind := range []uintptr{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
				if fd, err := openUnix(kind); err == nil {
					_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
					unix.Close(fd)
				}
			}
		},
		a.caller(number, 0, maxUnixName),
	}, nil
}
