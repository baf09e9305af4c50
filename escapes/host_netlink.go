package escapes

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
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
// says to the last.
func netlink(protocol int, messages ...[]byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &netlinkAnswer); err != nil {
		return nil, err
	}
	if _, err := unix.Write(fd, slices.Concat(messages...)); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	buf := make([]byte, 64<<10)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if n >= 20 && binary.NativeEndian.Uint16(buf[4:]) == unix.NLMSG_ERROR {
		if code := int32(binary.NativeEndian.Uint32(buf[16:])); code != 0 {
			return nil, unix.Errno(-code)
		}
	}
	return buf[:n], nil
}

// routeChange asks rtnetlink(7) for a change.
func routeChange(kind, flags uint16, body ...[]byte) error {
	_, err := netlink(unix.NETLINK_ROUTE, netlinkMessage(kind, unix.NLM_F_ACK|flags, body...))
	return err
}

// fixedPart is how long the fixed part of a kind of message is, and which of
// its attributes hold still: no times, no counters.
var fixedPart = map[uint16]struct {
	size    int
	lasting []uint16
}{
	unix.RTM_NEWROUTE: {unix.SizeofRtMsg, []uint16{unix.RTA_DST, unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_PREFSRC, unix.RTA_TABLE, unix.RTA_METRICS}},
	unix.RTM_NEWRULE:  {unix.SizeofRtMsg, []uint16{1, 2, 3, 4, 6, 10, 15}}, // FRA_DST, SRC, IIFNAME, GOTO, PRIORITY, FWMARK, TABLE
	unix.RTM_NEWADDR:  {unix.SizeofIfAddrmsg, []uint16{unix.IFA_ADDRESS, unix.IFA_LOCAL}},
	unix.RTM_NEWNEIGH: {unix.SizeofNdMsg, []uint16{unix.NDA_DST, unix.NDA_LLADDR}},
	unix.RTM_NEWQDISC: {sizeofTcMsg, []uint16{tcaKind, tcaOptions}},
	unix.RTM_NEWLINK: {unix.SizeofIfInfomsg, []uint16{unix.IFLA_ADDRESS, unix.IFLA_IFNAME, unix.IFLA_MTU, unix.IFLA_MASTER,
		unix.IFLA_TXQLEN, unix.IFLA_IFALIAS, unix.IFLA_PROMISCUITY, unix.IFLA_XDP}},
}

// From <linux/rtnetlink.h>.
const (
	sizeofTcMsg = 20
	tcaKind     = 1
	tcaOptions  = 2
)

// tableLines dumps a table of the kernel's, a line for each message.
func tableLines(request int) []string {
	raw, err := syscall.NetlinkRIB(request, unix.AF_UNSPEC)
	if request == unix.RTM_GETQDISC {
		// It asks for a whole struct tcmsg; the queues of a few interfaces
		// come in one datagram.
		raw, err = netlink(unix.NETLINK_ROUTE, netlinkMessage(unix.RTM_GETQDISC, unix.NLM_F_DUMP, make([]byte, sizeofTcMsg)))
	}
	if err != nil {
		return []string{err.Error()}
	}
	messages, err := syscall.ParseNetlinkMessage(raw)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, m := range messages {
		if line, lasts := tableLine(m); lasts {
			lines = append(lines, line)
		}
	}
	return lines
}

// tableLine spells what holds still of a message; false where nothing does:
// what the kernel learns by itself of neighbours, and gives itself of
// link-local addresses once it knows that they are free.
func tableLine(m syscall.NetlinkMessage) (string, bool) {
	const permanent = 0x80 // NUD_PERMANENT
	part, ok := fixedPart[m.Header.Type]
	if !ok || len(m.Data) < part.size {
		return "", false
	}
	fixed, rest := slices.Clone(m.Data[:part.size]), m.Data[part.size:]
	switch m.Header.Type {
	case unix.RTM_NEWADDR:
		fixed[2] = 0 // IFA_F_TENTATIVE comes and goes
	case unix.RTM_NEWNEIGH:
		if fixed[8]&permanent == 0 {
			return "", false
		}
	}
	words := []string{hex.EncodeToString(fixed)}
	for len(rest) >= 4 {
		size, kind := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])&0x3fff
		if size < 4 || size > len(rest) {
			break
		}
		if slices.Contains(part.lasting, kind) {
			words = append(words, fmt.Sprintf("%d:%x", kind, rest[4:size]))
		}
		rest = rest[min((size+3)&^3, len(rest)):]
	}
	line := strings.Join(words, " ")
	return line, !strings.Contains(line, "fe80000000000000")
}

// netfilterLines are the tables of nftables and of iptables before it.
func netfilterLines() []string {
	const newTable, getTable = 10 << 8, 10<<8 | 1 // NFNL_SUBSYS_NFTABLES
	answer, err := netlink(unix.NETLINK_NETFILTER, netlinkMessage(getTable, unix.NLM_F_DUMP, make([]byte, 4)))
	lines := fileLines("/proc/thread-self/net/ip_tables_names")
	if err != nil {
		return append(lines, err.Error())
	}
	messages, _ := syscall.ParseNetlinkMessage(answer)
	for _, m := range messages {
		if m.Header.Type == newTable && len(m.Data) > 4 {
			// The first attribute is the name.
			lines = append(lines, fmt.Sprintf("%q", m.Data[4:min(len(m.Data), 40)]))
		}
	}
	return lines
}
