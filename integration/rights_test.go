package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnixRights passes descriptors through unix sockets. Where the supervisor
// can't duplicate descriptors, a datagram can only pass sockets that it keeps:
// it must send datagrams itself.
func TestUnixRights(t *testing.T) {
	const script = `
import os, socket, sys

file = os.open(sys.executable, os.O_RDONLY)
tcp = socket.socket()
for kind in socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM:
    for name, fd in ("file", file), ("socket", tcp.fileno()):
        one, two = socket.socketpair(socket.AF_UNIX, kind)
        try:
            socket.send_fds(one, [b"x"], [fd, fd])
            _, fds, _, _ = socket.recv_fds(two, 10, 2)
            same = all(os.path.samestat(os.fstat(fd), os.fstat(got)) for got in fds)
            print(kind.name, name, len(fds), same)
        except OSError as e:
            print(kind.name, name, type(e).__name__)
`
	const streams = "SOCK_STREAM file 2 True\nSOCK_STREAM socket 2 True\nSOCK_SEQPACKET file 2 True\nSOCK_SEQPACKET socket 2 True\n"
	eachMode(t, func(t *testing.T, as mode) {
		want, refused := streams+"SOCK_DGRAM file 2 True\nSOCK_DGRAM socket 2 True\n", 0
		if as == docker {
			want, refused = streams+"SOCK_DGRAM file PermissionError\nSOCK_DGRAM socket 2 True\n", 1
		}
		end := session{as: as, policy: denyAll, command: []string{program(t, "python3"), "-c", script}}.run(t)
		if diff := cmp.Diff(want, end.stdout); diff != "" {
			t.Errorf("passed (-want +got):\n%s", diff)
		}
		if got := len(end.records.of("refused", "")); got != refused {
			t.Errorf("%d refusals are recorded, want %d", got, refused)
		}
	})
}
