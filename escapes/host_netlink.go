package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// attribute is a netlink attribute, netlink(7): its type and its value, padded
// to four bytes.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// attributeText is one whose value is a string.
func attributeText(kind uint16, text string) []byte { return attribute(kind, append([]byte(text), 0)) }

// nested is an attribute of attributes.
func nested(kind uint16, inner ...[]byte) []byte {
	return attribute(kind|unix.NLA_F_NESTED, slices.Concat(inner...))
}

// netlinkMessage is a message with its head.
func netlinkMessage(kind, flags uint16, body ...[]byte) []byte {
	payload := slices.Concat(body...)
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = append(b, 1, 0, 0, 0, 0, 0, 0, 0) // sequence, port
	return append(b, payload...)
}

// netlinkAnswer is how long the kernel's answer is waited for.
var netlinkAnswer = unix.Timeval{Usec: 300_000}

// netlink sends messages to the kernel, in one datagram, and returns what it
// says first.
func netlink(protocol int, messages ...[]byte) error {
	fd, err := netlinkSend(protocol, messages...)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = netlinkReceive(fd, make([]byte, 64<<10))
	return err
}

// netlinkSend returns the socket on which the answer comes.
func netlinkSend(protocol int, messages ...[]byte) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, fmt.Errorf("netlink socket: %w", err)
	}
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &netlinkAnswer)
	if err == nil {
		_, err = unix.Write(fd, slices.Concat(messages...))
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("send: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// netlinkReceive reads one datagram of messages, of which the first may be an
// error.
func netlinkReceive(fd int, buf []byte) ([]syscall.NetlinkMessage, error) {
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	if first := messages[0]; first.Header.Type == unix.NLMSG_ERROR && len(first.Data) >= 4 {
		if code := int32(binary.NativeEndian.Uint32(first.Data)); code != 0 {
			return nil, unix.Errno(-code)
		}
	}
	return messages, nil
}

// netlinkDump sends a request and returns all messages of the answer.
func netlinkDump(protocol int, request []byte) ([]syscall.NetlinkMessage, error) {
	fd, err := netlinkSend(protocol, request)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var all []syscall.NetlinkMessage
	for {
		messages, err := netlinkReceive(fd, make([]byte, 64<<10)) // they share it
		if err != nil {
			return nil, err
		}
		all = append(all, messages...)
		if len(messages) == 0 || messages[len(messages)-1].Header.Type == unix.NLMSG_DONE {
			return all, nil
		}
	}
}

// routeChange asks rtnetlink(7) for a change.
func routeChange(kind, flags uint16, body ...[]byte) error {
	return netlink(unix.NETLINK_ROUTE, netlinkMessage(kind, unix.NLM_F_ACK|flags, body...))
}
