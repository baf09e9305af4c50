package supervisor

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// getpeername says for a surrogate its peer, and for a TCP socket the address
// that the agent dialled. On anything else it is continued: it reads nothing
// that could be swapped, and writes to the agent's own memory only.
func (c *call) getpeername() reply {
	ino, err := inodeOf(c.tid(), c.int(0))
	if err != nil {
		return proceed
	}
	if sur := c.s.surrogates.byInode(ino); sur != nil {
		sur.mu.Lock()
		peer := sur.peer
		sur.mu.Unlock()
		if !peer.IsValid() {
			return fail(unix.ENOTCONN)
		}
		return c.answerName(inetSockaddr(sur.family, peer))
	}
	shown, ok := c.s.peers.of(ino)
	if !ok || !c.peerIsOurs() {
		return proceed
	}
	return c.answerName(shown)
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
