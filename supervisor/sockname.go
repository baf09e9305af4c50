package supervisor

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// getpeername says for a surrogate its peer, and for a TCP socket the address
// that the agent dialled. On anything else it is continued: it reads nothing
// that could be swapped, and writes to the agent's own memory only.
func (c *call) getpeername() reply {
	name, r := c.shownPeer()
	if name == nil {
		return r
	}
	return c.answerName(name)
}

// shownPeer is what is said of a socket's peer, or the answer where that is
// nothing of ours.
func (c *call) shownPeer() (sockaddr, reply) {
	ino, err := inodeOf(c.tid(), c.int(0))
	if err != nil {
		return nil, proceed
	}
	if sur := c.s.surrogates.byInode(ino); sur != nil {
		sur.mu.Lock()
		peer := sur.peer
		sur.mu.Unlock()
		if !peer.IsValid() {
			return nil, fail(unix.ENOTCONN)
		}
		return inetSockaddr(sur.family, peer), reply{}
	}
	shown, ok := c.s.peers.of(ino)
	if !ok || !c.peerIsOurs() {
		return nil, proceed
	}
	return shown, reply{}
}

// peerName is getsockopt(2) of SO_PEERNAME, which has a getpeername(2) of its
// own: the room must not be more than the name is long (net/core/sock.c).
func (c *call) peerName() reply {
	name, r := c.shownPeer()
	if name == nil {
		return r
	}
	var raw [4]byte
	if err := c.read(c.arg(4), raw[:]); err != nil {
		return failWith(err)
	}
	room := int32(binary.NativeEndian.Uint32(raw[:]))
	if room < 0 || int(room) > len(name) {
		return fail(unix.EINVAL)
	}
	if err := c.write(c.arg(3), name[:room]); err != nil {
		return failWith(err)
	}
	return value(0)
}

// peerIsOurs says whether the socket is connected at all: the kernel knows.
// Where sockets can't be duplicated, it was when it was last seen.
func (c *call) peerIsOurs() bool {
	if _, held := c.s.finder.(*heldFinder); held {
		return true
	}
	k, err := c.s.finder.find(c.tid(), c.int(0))
	if err != nil {
		return false
	}
	defer k.close()
	_, err = unix.Getpeername(k.fd)
	return err == nil
}

// getsockname is answered for surrogates and continued for the rest, as
// getpeername is.
func (c *call) getsockname() reply {
	sur := c.surrogateFor(c.int(0))
	if sur == nil {
		return proceed
	}
	sur.mu.Lock()
	local := sur.local
	sur.mu.Unlock()
	if !local.IsValid() {
		local = netip.AddrPortFrom(sur.wildcard(), 0)
	}
	return c.answerName(inetSockaddr(sur.family, local))
}

func (c *call) answerName(name sockaddr) reply {
	if err := c.writeSockaddr(c.arg(1), c.arg(2), name); err != nil {
		return failWith(err)
	}
	return value(0)
}
