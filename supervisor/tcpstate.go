package supervisor

import (
	"bufio"
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

// tcpState looks a socket of the session up in the kernel's table. It is slow
// on a busy machine, so only for what seldom happens. 0 is a socket that is not
// in it, as one is that is not connected.
func tcpState(ino inode) int {
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if state := tcpStateIn(path, strconv.FormatUint(uint64(ino), 10)); state != 0 {
			return state
		}
	}
	return 0
}

// tcpStateIn reads one table: proc_net_tcp.rst has the state in the fourth
// column and the inode in the tenth.
func tcpStateIn(path, ino string) int {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		columns := strings.Fields(lines.Text())
		if len(columns) < 10 || columns[9] != ino {
			continue
		}
		state, err := strconv.ParseUint(columns[3], 16, 8)
		if err != nil {
			return 0
		}
		return int(state)
	}
	return 0
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
