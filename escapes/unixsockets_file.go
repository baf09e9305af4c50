package escapes

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// unixFileAttempts move the files of sockets about.
func unixFileAttempts() []Attempt {
	return []Attempt{
		{Name: "unix/hard-link", Does: "connect to a hard link to the socket", Try: func(g *Ground) error {
			return linkAndDial(g, g.mine("l"))
		}},
		{Name: "unix/hard-link-allowed", Does: "connect to a hard link that has an allowed path", Try: func(g *Ground) error {
			return linkAndDial(g, filepath.Join(g.Unix.AllowedDir, g.Token))
		}},
		{Name: "unix/rename-allowed", Does: "move somebody's socket to an allowed path and connect to it", Try: func(g *Ground) error {
			path, allowed := g.mine("r"), filepath.Join(g.Unix.AllowedDir, g.Token)
			if _, err := g.order(order{Network: "unix", Address: path}); err != nil {
				return err
			}
			if err := os.Rename(path, allowed); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(allowed))
		}},
		{Name: "unix/rename-dgram-allowed", Does: "move somebody's datagram socket to an allowed path and send to it", Try: func(g *Ground) error {
			path, allowed := g.mine("r"), filepath.Join(g.Unix.AllowedDir, g.Token)
			if _, err := g.order(order{Network: "unixgram", Address: path}); err != nil {
				return err
			}
			if err := os.Rename(path, allowed); err != nil {
				return err
			}
			l, err := newLocal(unix.SOCK_DGRAM)
			if err != nil {
				return err
			}
			return l.sendto(g.Token, pathSockaddr(allowed))
		}},
		{Name: "unix/rename-link-allowed", Does: "move somebody's socket by a link and the removal of its name", Try: func(g *Ground) error {
			path, allowed := g.mine("r"), filepath.Join(g.Unix.AllowedDir, g.Token)
			if _, err := g.order(order{Network: "unix", Address: path}); err != nil {
				return err
			}
			if err := os.Link(path, allowed); err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(allowed))
		}},
		{Name: "unix/rename-directory", Does: "put the folder of somebody's socket in the place of an allowed one", Try: func(g *Ground) error {
			dir, aside := g.mine("d"), g.mine("a")
			if _, err := orderIn(g, dir); err != nil {
				return err
			}
			if err := os.Rename(g.Unix.AllowedDir, aside); err != nil {
				return err
			}
			if err := os.Rename(dir, g.Unix.AllowedDir); err != nil {
				return err
			}
			defer func() { // for the attempts that follow
				_ = os.Rename(g.Unix.AllowedDir, dir)
				_ = os.Rename(aside, g.Unix.AllowedDir)
			}()
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(filepath.Join(g.Unix.AllowedDir, "s")))
		}},
		{Name: "unix/rename-link-back", Does: "move somebody's socket to an allowed path, and have its old path lead there", Try: func(g *Ground) error {
			dir, allowed := g.mine("d"), filepath.Join(g.Unix.AllowedDir, "s")
			path, err := orderIn(g, dir)
			if err != nil {
				return err
			}
			if err := os.Rename(path, allowed); err != nil {
				return err
			}
			defer os.Remove(allowed)
			if err := os.Remove(dir); err != nil {
				return err
			}
			if err := os.Symlink(g.Unix.AllowedDir, dir); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(allowed))
		}},
		{Name: "unix/rename-over-own", Does: "move a link to somebody's socket over the path of an own one", Try: func(g *Ground) error {
			path := g.mine("o")
			if _, err := listenUnix(unix.SOCK_STREAM, pathSockaddr(path)); err != nil {
				return err
			}
			if err := os.Link(g.Unix.Stream, g.mine("l")); err != nil {
				return err
			}
			if err := os.Rename(g.mine("l"), path); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(path))
		}},
		{Name: "unix/directory-over-own", Does: "bind in a folder, put a link to another folder in its place, and connect", Try: func(g *Ground) error {
			dir, base := g.mine("d"), filepath.Base(g.Unix.Stream)
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			if _, err := listenUnix(unix.SOCK_STREAM, pathSockaddr(filepath.Join(dir, base))); err != nil {
				return err
			}
			if err := os.Rename(dir, dir+"2"); err != nil {
				return err
			}
			if err := os.Symlink(filepath.Dir(g.Unix.Stream), dir); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(filepath.Join(dir, base)))
		}},
		{Name: "unix/deleted-name", Does: "connect to a socket whose last name was removed, by a descriptor", Try: func(g *Ground) error {
			allowed := filepath.Join(g.Unix.AllowedDir, g.Token)
			if err := os.Link(g.Unix.Stream, allowed); err != nil {
				return err
			}
			fd, err := unix.Open(allowed, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if err := os.Remove(allowed); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, pathSockaddr("/proc/self/fd/"+decimal(fd)))
		}},
	}
}

// orderIn has somebody listen on a socket "s" in a new folder of the attempt's
// user.
func orderIn(g *Ground, dir string) (string, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "s")
	_, err := g.order(order{Network: "unix", Address: path})
	return path, err
}

func linkAndDial(g *Ground, path string) error {
	if err := os.Link(g.Unix.Stream, path); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(path))
}
