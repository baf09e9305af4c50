package supervisor

import (
	"fmt"
	"math"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"boundary/audit"
)

// closeInherited closes what the caller of boundary left open, from a number
// on. What the program has opened itself is close-on-exec, and what came
// through an exec can't be.
func closeInherited(first int) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("find inherited descriptors: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < first {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	return nil
}

// closeOnExec makes sure, just before the agent is started, that it gets the
// standard descriptors alone: close_range(2), Linux 5.11. Before that it is
// closeInherited that has seen to it.
func closeOnExec() { _ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) }

// standardSockets tells which of the standard descriptors are sockets. The
// agent keeps these three, whatever they are.
func standardSockets() []audit.Standard {
	var found []audit.Standard
	for fd := range 3 {
		k := socket{fd: fd}
		if k.describe() != nil {
			continue
		}
		one := audit.Standard{
			FD: fd, Family: nameOf(familyNames, int32(k.domain)), Type: nameOf(typeNames, int32(k.typ)),
		}
		if peer, err := unix.Getpeername(fd); err == nil {
			one.Peer = peerText(peer)
		}
		found = append(found, one)
	}
	return found
}

func peerText(peer unix.Sockaddr) string {
	if at := fromUnixSockaddr(peer); at.IsValid() {
		return net.JoinHostPort(at.Addr().String(), strconv.Itoa(int(at.Port())))
	}
	if local, ok := peer.(*unix.SockaddrUnix); ok {
		return local.Name
	}
	return ""
}

// warnOfStandard says on the terminal which standard descriptor leads to another
// machine. Unix sockets are usual there: many programs start others so.
func (s *Session) warnOfStandard(found []audit.Standard) {
	names := [...]string{"standard input", "standard output", "standard error"}
	for _, one := range found {
		if one.Family == "AF_UNIX" {
			continue
		}
		s.log.WithField("cause", fmt.Sprintf("%s %s %s", one.Family, one.Type, one.Peer)).
			Warn(names[one.FD] + " is a network socket, which the agent can use whatever the policy says")
	}
}
