package escapes

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// unixNameAttempts use abstract names, and names that change hands.
func unixNameAttempts() []Attempt {
	return []Attempt{
		{Name: "unix/abstract", Does: "connect to an abstract name", Try: func(g *Ground) error {
			return dialUnix(g, unix.SOCK_STREAM, abstractSockaddr(g.Unix.Abstract))
		}},
		{Name: "unix/abstract-dgram", Does: "connect a datagram socket to an abstract name", Try: func(g *Ground) error {
			return dialUnix(g, unix.SOCK_DGRAM, abstractSockaddr(g.Unix.AbstractDgram))
		}},
		{Name: "unix/abstract-sendto", Does: "send a datagram to an abstract name", Try: func(g *Ground) error {
			l, err := newLocal(unix.SOCK_DGRAM)
			if err != nil {
				return err
			}
			return l.sendto(g.Token, abstractSockaddr(g.Unix.AbstractDgram))
		}},
		{Name: "unix/abstract-sendmsg", Does: "send a datagram to an abstract name by sendmsg", Try: func(g *Ground) error {
			l, err := newLocal(unix.SOCK_DGRAM)
			if err != nil {
				return err
			}
			return l.sendmsg(g.Token, abstractSockaddr(g.Unix.AbstractDgram), nil)
		}},
		{Name: "unix/abstract-other-type", Does: "bind a datagram socket to a name, connect to a stream socket of that name outside", Try: func(g *Ground) error {
			name := abstractSockaddr(g.Unix.Abstract)
			if _, err := listenUnix(unix.SOCK_DGRAM, name); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, name)
		}},
		{Name: "unix/abstract-seqpacket-type", Does: "listen by seqpacket on a name, connect to a stream socket of that name outside", Try: func(g *Ground) error {
			name := abstractSockaddr(g.Unix.Abstract)
			if _, err := listenUnix(unix.SOCK_SEQPACKET, name); err != nil {
				return err
			}
			return dialUnix(g, unix.SOCK_STREAM, name)
		}},
		{Name: "unix/abstract-taken-over", Does: "give up an abstract name and connect to who takes it outside", Try: func(g *Ground) error {
			return takenOver(g, abstractSockaddr(g.Token), "@"+g.Token, nil)
		}},
		{Name: "unix/abstract-look-alike", Does: "listen on a name that tables show as another's outside", Try: connectLookAlike},
		{Name: "unix/path-taken-over", Does: "give up a path and connect to who binds it outside", Try: func(g *Ground) error {
			path := g.mine("t")
			return takenOver(g, pathSockaddr(path), path, func() error { return unix.Unlink(path) })
		}},
		{Name: "unix/dgram-taken-over", Does: "give up a path and send to who binds it outside", Try: func(g *Ground) error {
			path := g.mine("t")
			own, err := listenUnix(unix.SOCK_DGRAM, pathSockaddr(path))
			if err != nil {
				return err
			}
			// The first socket stays open, without its name.
			if err := unix.Unlink(path); err != nil {
				return err
			}
			if _, err := g.order(order{Network: "unixgram", Address: path}); err != nil {
				return err
			}
			return own.sendto(g.Token, pathSockaddr(path))
		}},
		{Name: "unix/inode-reused", Does: "make and remove sockets until one outside has the same inode number, and connect to it", Try: connectReused},
	}
}

// takenOver listens on a name, connects to it, gives it up, and connects to the
// one who has it then.
func takenOver(g *Ground, name []byte, address string, giveUp func() error) error {
	own, err := listenUnix(unix.SOCK_STREAM, name)
	if err != nil {
		return err
	}
	if err := dialUnix(g, unix.SOCK_STREAM, name); err != nil {
		return fmt.Errorf("reach own: %w", err)
	}
	unix.Close(int(own.fd))
	if giveUp != nil {
		if err := giveUp(); err != nil {
			return err
		}
	}
	if _, err := g.order(order{Network: "unix", Address: address}); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, name)
}

// connectLookAlike: /proc/net/unix shows a NUL within a name as "@".
func connectLookAlike(g *Ground) error {
	const nul, at = "\x00tail", "@tail"
	if _, err := listenUnix(unix.SOCK_STREAM, abstractSockaddr(g.Token+at)); err != nil {
		return err
	}
	if _, err := g.order(order{Network: "unix", Address: "@" + g.Token + nul}); err != nil {
		return err
	}
	return dialUnix(g, unix.SOCK_STREAM, abstractSockaddr(g.Token+nul))
}

// connectReused has a path bound outside right after an own one was removed. A
// file system that uses inode numbers again gives it that one's.
func connectReused(g *Ground) error {
	var last string
	for i := range 8 {
		own, theirs := g.mine(fmt.Sprintf("o%d", i)), g.mine(fmt.Sprintf("t%d", i))
		l, err := listenUnix(unix.SOCK_STREAM, pathSockaddr(own))
		if err != nil {
			return err
		}
		var before, after unix.Stat_t
		if err := unix.Stat(own, &before); err != nil {
			return err
		}
		if err := unix.Unlink(own); err != nil {
			return err
		}
		unix.Close(int(l.fd)) // the last to hold the inode
		if _, err := g.order(order{Network: "unix", Address: theirs}); err != nil {
			return err
		}
		if err := unix.Stat(theirs, &after); err != nil {
			return err
		}
		last = theirs
		if before.Ino == after.Ino && before.Dev == after.Dev {
			break
		}
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(last))
}
