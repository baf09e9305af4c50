package escapes

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is what sendmsg(2) sends.
type message struct {
	name    []byte // nil: none
	control []byte
	parts   [][]byte
}

// words are eight-byte values as they lie in memory.
func words(values ...uintptr) []byte {
	var b []byte
	for _, v := range values {
		b = binary.NativeEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// header lays a message out and returns its struct msghdr.
func (s *sock) header(msg message) []byte {
	var vector []byte
	for _, part := range msg.parts {
		vector = append(vector, words(s.lay(part), uintptr(len(part)))...)
	}
	var name, control uintptr
	if msg.name != nil {
		name = s.lay(msg.name)
	}
	if msg.control != nil {
		control = s.lay(msg.control)
	}
	return words(name, uintptr(len(msg.name)), s.lay(vector), uintptr(len(msg.parts)), control, uintptr(len(msg.control)), 0)
}

func (s *sock) sendmsg(flags uintptr, msg message) error {
	if _, err := call(unix.SYS_SENDMSG, s.fd, s.lay(s.header(msg)), flags); err != nil {
		return fmt.Errorf("sendmsg: %w", err)
	}
	return nil
}

// sendmmsg sends several messages, and says how many went.
func (s *sock) sendmmsg(flags uintptr, list ...message) error {
	var vector []byte
	for _, msg := range list {
		vector = append(append(vector, s.header(msg)...), words(0)...) // and msg_len
	}
	n, err := call(unix.SYS_SENDMMSG, s.fd, s.lay(vector), uintptr(len(list)), flags)
	if err != nil {
		return fmt.Errorf("sendmmsg: %w", err)
	}
	if int(n) < len(list) {
		return fmt.Errorf("sendmmsg sent %d of %d", n, len(list))
	}
	return nil
}

// controlMessage returns one struct cmsghdr with its data, cmsg(3).
func controlMessage(level, kind uint32, data []byte) []byte {
	const align = 8
	b := words(uintptr(unix.CmsgLen(len(data))))
	b = binary.NativeEndian.AppendUint32(b, level)
	b = binary.NativeEndian.AppendUint32(b, kind)
	b = append(b, data...)
	for len(b)%align != 0 {
		b = append(b, 0)
	}
	return b
}

// unixPair makes a pair of unix datagram sockets, or of another type.
func unixPair(kind uintptr) (a, b *sock, err error) {
	if a, err = wrapSock(0); err != nil {
		return nil, nil, err
	}
	at := a.next
	if _, err := call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, kind, 0, a.lay(make([]byte, 8))); err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	a.fd = uintptr(binary.NativeEndian.Uint32(a.m[at:]))
	b, err = wrapSock(uintptr(binary.NativeEndian.Uint32(a.m[at+4:])))
	return a, b, err
}

// passed sends a socket through a unix socket and returns what arrives: the
// same socket under another number, SCM_RIGHTS of unix(7).
func (s *sock) passed() (*sock, error) {
	a, b, err := unixPair(unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	rights := controlMessage(unix.SOL_SOCKET, unix.SCM_RIGHTS, binary.NativeEndian.AppendUint32(nil, uint32(s.fd)))
	if err := a.sendmsg(0, message{control: rights, parts: [][]byte{{0}}}); err != nil {
		return nil, err
	}
	unix.Close(int(s.fd))
	at := b.next
	room := b.lay(make([]byte, len(rights)))
	part := words(b.lay([]byte{0}), 1)
	head := words(0, 0, b.lay(part), 1, room, uintptr(len(rights)), 0)
	if _, err := call(unix.SYS_RECVMSG, b.fd, b.lay(head), 0); err != nil {
		return nil, fmt.Errorf("recvmsg: %w", err)
	}
	return wrapSock(uintptr(binary.NativeEndian.Uint32(b.m[at+unix.CmsgLen(0):])))
}
