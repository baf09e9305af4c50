package supervisor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// A listener that asks who connected (unix(7), SO_PEERCRED) is told the process
// that made the connect: the supervisor. Where both are of the session, the
// supervisor knows better. To a listener outside it can't say so.

// rememberConnector notes who connects a socket to one of the session's.
func (c *call) rememberConnector(k *socket) {
	who, err := idsOf(c.tid())
	if err != nil || !c.valid() {
		return
	}
	c.s.connectors.remember(k.ino, unix.Ucred{
		Pid: int32(c.process().record.PID), Uid: uint32(who.uid), Gid: uint32(who.gid),
	})
}

// peerCredentials answers SO_PEERCRED. It is continued where nothing is
// remembered of the peer, and for a caller who counts processes otherwise.
func (c *call) peerCredentials() reply {
	ino, err := inodeOf(c.tid(), c.int(0))
	if err != nil || c.elsewhere() {
		return proceed
	}
	peer, err := unixPeer(ino)
	if err != nil {
		return proceed
	}
	who, ok := c.s.connectors.of(peer)
	if !ok || !c.valid() {
		return proceed
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(who.Pid))
	return c.answerOption(binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(b, who.Uid), who.Gid))
}
