package supervisor

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Constants of sock_diag(7) and netlink(7).
const (
	sockDiagByFamily  = 20
	netlinkHeaderSize = 16
	netlinkReadSize   = 32 << 10
	netlinkMsgDone    = 3
	netlinkMsgError   = 2
)

// dumpSockets asks the kernel (sock_diag(7)) for the sockets of the
// supervisor's network namespace that a request describes, and gives each
// answer to a function.
func dumpSockets(request []byte, each func(msg []byte)) error {
	return askSockDiag(request, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, each)
}

// oneSocket asks for the one socket that a request describes exactly.
func oneSocket(request []byte, take func(msg []byte)) error {
	return askSockDiag(request, unix.NLM_F_REQUEST, take)
}

func askSockDiag(request []byte, flags uint16, each func(msg []byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("open sock_diag: %w", err)
	}
	defer unix.Close(fd)
	header := make([]byte, netlinkHeaderSize)
	binary.NativeEndian.PutUint32(header, uint32(len(header)+len(request)))
	binary.NativeEndian.PutUint16(header[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(header[6:], flags)
	if err := unix.Sendto(fd, append(header, request...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask sock_diag: %w", err)
	}
	buf := make([]byte, netlinkReadSize)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read sock_diag: %w", err)
		}
		done, err := splitNetlink(buf[:n], each)
		if done || err != nil || flags&unix.NLM_F_DUMP == 0 {
			return err
		}
	}
}

// splitNetlink takes a datagram of netlink's apart, and says whether it was the
// last.
func splitNetlink(buf []byte, each func(msg []byte)) (done bool, err error) {
	for len(buf) >= netlinkHeaderSize {
		size := int(binary.NativeEndian.Uint32(buf))
		if size < netlinkHeaderSize || size > len(buf) {
			return true, fmt.Errorf("read sock_diag: malformed message")
		}
		msg := buf[netlinkHeaderSize:size]
		switch binary.NativeEndian.Uint16(buf[4:]) {
		case netlinkMsgDone:
			return true, nil
		case netlinkMsgError:
			return true, fmt.Errorf("read sock_diag: %w", netlinkErrno(msg))
		default:
			each(msg)
		}
		buf = buf[min(len(buf), (size+3)&^3):]
	}
	return false, nil
}

// netlinkErrno reads struct nlmsgerr.
func netlinkErrno(msg []byte) unix.Errno {
	if len(msg) < 4 {
		return unix.EPROTO
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(msg)))
}
