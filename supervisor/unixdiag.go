package supervisor

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Constants of <linux/unix_diag.h>.
const (
	unixDiagReqSize   = 24 // struct unix_diag_req
	unixDiagMsgSize   = 16 // struct unix_diag_msg
	unixDiagStates    = 4
	unixDiagInode     = 8
	unixDiagShow      = 12
	unixDiagCookie    = 16
	unixDiagShowNames = 1 // UDIAG_SHOW_NAME
	unixDiagShowFiles = 2 // UDIAG_SHOW_VFS
	unixDiagShowPeer  = 4 // UDIAG_SHOW_PEER
	unixDiagName      = 0
	unixDiagVFS       = 1 // struct unix_diag_vfs: inode, device
	unixDiagPeer      = 2 // the other socket's inode
	attributeHeader   = 4 // struct nlattr: length, type
	tcpClose          = 7
)

// boundSocket is a unix socket as the kernel shows it: the name by which it was
// bound, and the file that it was given then.
type boundSocket struct {
	typ  uint8
	name string // as the binder spelt it; abstract ones begin with NUL
	file diagFile
	path bool // has a file
}

// diagFile is a file as unix_diag tells it: the lower half of its inode number,
// and the device of its file system in the kernel's own form.
type diagFile struct{ ino, dev uint32 }

// boundSockets asks the kernel for the unix sockets of the supervisor's network
// namespace that can be reached by their names.
func boundSockets(each func(boundSocket)) error {
	req := make([]byte, unixDiagReqSize)
	req[0] = unix.AF_UNIX
	// Datagram sockets are in the other two states.
	binary.NativeEndian.PutUint32(req[unixDiagStates:], 1<<tcpListenState|1<<tcpClose|1<<tcpEstablished)
	binary.NativeEndian.PutUint32(req[unixDiagShow:], unixDiagShowNames|unixDiagShowFiles)
	return dumpSockets(req, func(msg []byte) {
		if b, ok := parseBound(msg); ok {
			each(b)
		}
	})
}

// parseBound reads struct unix_diag_msg and its attributes. Connections, which
// have the names of the listeners that accepted them, are left out.
func parseBound(msg []byte) (b boundSocket, ok bool) {
	if len(msg) < unixDiagMsgSize || msg[0] != unix.AF_UNIX {
		return b, false
	}
	const stateAt = 2
	b.typ = msg[1]
	if b.typ != unix.SOCK_DGRAM && msg[stateAt] != tcpListenState {
		return b, false
	}
	eachAttribute(msg[unixDiagMsgSize:], func(typ uint16, value []byte) {
		switch {
		case typ == unixDiagName:
			b.name = string(value)
		case typ == unixDiagVFS && len(value) >= 8:
			b.file = diagFile{ino: binary.NativeEndian.Uint32(value), dev: binary.NativeEndian.Uint32(value[4:])}
			b.path = true
		}
	})
	if b.path { // what lies behind the end of a path is not of it
		before, _, _ := bytes.Cut([]byte(b.name), []byte{0})
		b.name = string(before)
	}
	return b, b.name != ""
}

// eachAttribute takes struct nlattr after struct nlattr.
func eachAttribute(attrs []byte, take func(typ uint16, value []byte)) {
	for len(attrs) >= attributeHeader {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < attributeHeader || size > len(attrs) {
			return
		}
		take(binary.NativeEndian.Uint16(attrs[2:]), attrs[attributeHeader:size])
		attrs = attrs[min(len(attrs), (size+3)&^3):]
	}
}

// unixPeer asks the kernel for the socket to which a unix socket is connected.
func unixPeer(ino inode) (peer inode, err error) {
	req := make([]byte, unixDiagReqSize)
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[unixDiagInode:], uint32(ino))
	binary.NativeEndian.PutUint32(req[unixDiagShow:], unixDiagShowPeer)
	binary.NativeEndian.PutUint64(req[unixDiagCookie:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	err = oneSocket(req, func(msg []byte) {
		eachAttribute(msg[min(len(msg), unixDiagMsgSize):], func(typ uint16, value []byte) {
			if typ == unixDiagPeer && len(value) >= 4 {
				peer = inode(binary.NativeEndian.Uint32(value))
			}
		})
	})
	return peer, err
}
