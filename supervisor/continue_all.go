//go:build continueall

package supervisor

import "golang.org/x/sys/unix"

// deliberate lets the kernel run every call, as if the supervisor had been
// talked out of all it knows. It is for the test of the guards beneath, and no
// binary that is shipped has it. Sockets go on being made as ever: that there is
// no IP datagram socket in the agent is the guard of UDP.
func deliberate(c *call) (reply, bool) {
	switch c.n.Data.Nr {
	case unix.SYS_SOCKET, unix.SYS_SOCKETPAIR:
		return reply{}, false
	}
	return proceed, true
}
