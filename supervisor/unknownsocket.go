package supervisor

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where the supervisor can't duplicate sockets, it must tell those that take a
// name with each message from those that don't without having them.

// takesNoName says whether a thread's descriptor is a socket that sends to its
// peer only, whatever name a message has: anything but a unix datagram socket,
// since no others for datagrams exist in the agent.
//
// The kernel tells by which protocol a socket is (net/socket.c,
// sockfs_xattr_get): "UNIX-STREAM" since 5.15, "UNIX" for the other types, and
// for all of them before.
func takesNoName(tid int, fd int32) (bool, error) {
	path := "/proc/" + strconv.Itoa(tid) + "/fd/" + strconv.Itoa(int(fd))
	const longest = 32 // of struct proto
	name := make([]byte, longest)
	n := 0
	err := asOwner(tid, func() (err error) {
		n, err = unix.Getxattr(path, "system.sockprotoname", name)
		return err
	})
	if err != nil {
		return false, err
	}
	switch proto := strings.TrimRight(string(name[:n]), "\x00"); {
	case proto == "UNIX-STREAM":
		return true, nil
	case proto != "UNIX":
		return !strings.HasPrefix(proto, "UNIX"), nil
	}
	ino, err := inodeOf(tid, fd)
	if err != nil {
		return false, err
	}
	typ, err := unixTypeOf(ino)
	return typ == unix.SOCK_STREAM || typ == unix.SOCK_SEQPACKET, err
}

// unixTypeOf asks /proc/net/unix (proc_pid_net(5)) for the type of a unix
// socket: 0 where it is not known, such as in another network namespace.
func unixTypeOf(ino inode) (int, error) {
	table, err := os.ReadFile("/proc/self/net/unix")
	if err != nil {
		return 0, err
	}
	const typeField, inodeField = 4, 6
	want := strconv.FormatUint(uint64(ino), 10)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) <= inodeField || fields[inodeField] != want {
			continue
		}
		typ, err := strconv.ParseUint(fields[typeField], 16, 16)
		return int(typ), err
	}
	return 0, nil
}
