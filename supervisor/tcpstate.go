package supervisor

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// States of a TCP socket as /proc/net/tcp shows them, <net/tcp_states.h>.
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpCloseWait   = 8
)

// Columns of /proc/net/tcp, proc_net_tcp.rst.
const (
	columnLocal, columnRemote, columnState, columnInode = 1, 2, 3, 9
	tcpColumns                                          = 10
)

// findTCP looks for a socket in the kernel's tables, and returns its columns. It
// is slow on a busy machine, so only for what seldom happens.
func findTCP(match func(columns []string) bool) ([]string, bool) {
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(path)
		if err != nil {
			continue // a machine without IPv6
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if columns := strings.Fields(lines.Text()); len(columns) >= tcpColumns && match(columns) {
				return columns, true
			}
		}
	}
	return nil, false
}

// tcpState is the state of a socket of the session; 0 is one that is not in the
// tables, as one is that is not connected.
func tcpState(ino inode) int {
	want := strconv.FormatUint(uint64(ino), 10)
	row, ok := findTCP(func(columns []string) bool { return columns[columnInode] == want })
	if !ok {
		return 0
	}
	state, err := strconv.ParseUint(row[columnState], 16, 8)
	if err != nil {
		return 0
	}
	return int(state)
}

// agentEnd is the agent's end of a connection to our listener, by the addresses
// of both ends.
type agentEnd struct{ its, ours netip.AddrPort }

func agentEndOf(conn net.Conn) agentEnd {
	return agentEnd{addrPortOf(conn.RemoteAddr()), addrPortOf(conn.LocalAddr())}
}

// Held says whether a process still has it open: then the kernel has an inode
// for it.
func (e agentEnd) Held() bool {
	row, ok := findTCP(func(columns []string) bool {
		return isTCPAddress(columns[columnLocal], e.its) && isTCPAddress(columns[columnRemote], e.ours)
	})
	return ok && row[columnInode] != "0"
}

// isTCPAddress compares an address of the tables. Of an IPv4 address it is the
// last word that counts, which it has in common with its form in IPv6.
func isTCPAddress(column string, want netip.AddrPort) bool {
	address, port, _ := strings.Cut(column, ":")
	raw := want.Addr().As16()
	word := fmt.Sprintf("%08X", binary.NativeEndian.Uint32(raw[12:]))
	return port == fmt.Sprintf("%04X", want.Port()) && strings.HasSuffix(address, word)
}

// connectAgain answers a connect on a socket of which no duplicate is kept any
// more, since it was connected: as the kernel would. Programs call connect a
// second time to learn what became of the first.
func (c *call) connectAgain(ino inode) (reply, bool) {
	if _, ok := c.s.peers.of(ino); !ok {
		return reply{}, false
	}
	switch tcpState(ino) {
	case tcpSynSent:
		return fail(unix.EALREADY), true
	case tcpEstablished, tcpCloseWait:
		return fail(unix.EISCONN), true
	}
	return reply{}, false
}
