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
func tableLines(request uint16) []string {
	// RTM_NEWX, RTM_DELX and RTM_GETX follow each other.
	head := fixedPart[request-2].size
	messages, err := netlinkDump(unix.NETLINK_ROUTE, netlinkMessage(request, unix.NLM_F_DUMP, make([]byte, head)))
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
// what the kernel learns by itself of neighbours, and gives an interface of
// link-local and multicast addresses once it is up.
func tableLine(m syscall.NetlinkMessage) (string, bool) {
	const permanent = 0x80 // NUD_PERMANENT
	part, ok := fixedPart[m.Header.Type]
	if !ok || len(m.Data) < part.size {
		return "", false
	}
	fixed, rest := slices.Clone(m.Data[:part.size]), m.Data[part.size:]
	switch m.Header.Type {
	case unix.RTM_NEWROUTE:
		clear(fixed[8:]) // flags: that its interface has nobody at the other end
	case unix.RTM_NEWADDR:
		fixed[2] = 0 // IFA_F_TENTATIVE comes and goes
	case unix.RTM_NEWLINK:
		const running, lowerUp = 0x40, 0x10000 // whether somebody is at the other end
		flags := binary.NativeEndian.Uint32(fixed[8:])
		binary.NativeEndian.PutUint32(fixed[8:], flags&^(running|lowerUp))
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
	ownAddress := strings.Contains(line, "fe80000000000000") || strings.Contains(line, "1:ff00000000000000")
	return line, !ownAddress
}

// netfilterLines are the tables of nftables and of iptables before it.
func netfilterLines() []string {
	const newTable, getTable = 10 << 8, 10<<8 | 1 // NFNL_SUBSYS_NFTABLES
	messages, err := netlinkDump(unix.NETLINK_NETFILTER, netlinkMessage(getTable, unix.NLM_F_DUMP, make([]byte, 4)))
	lines := fileLines("/proc/thread-self/net/ip_tables_names")
	if err != nil {
		return append(lines, err.Error())
	}
	for _, m := range messages {
		if m.Header.Type == newTable && len(m.Data) > 4 {
			// The first attribute is the name.
			lines = append(lines, fmt.Sprintf("%q", m.Data[4:min(len(m.Data), 40)]))
		}
	}
	return lines
}
