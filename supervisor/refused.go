package supervisor

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"boundary/audit"
)

// refusedWith records a call that is never carried.
func (s *Session) refusedWith(c *call, errno unix.Errno) {
	s.recordRefusal(c, "not-carried", errno)
}

// refused records a call that can't be judged.
func (s *Session) refused(c *call, reason string) { s.recordRefusal(c, reason, unix.EACCES) }

// recordRefusal: the call fails whether it can be recorded or not.
func (s *Session) recordRefusal(c *call, reason string, errno unix.Errno) {
	_ = s.record(&audit.Record{
		Event: audit.Refused, ID: audit.NewID(), Decision: audit.Deny, Reason: reason, Process: &c.process().record,
		Syscall: &audit.Syscall{Name: c.name, Args: slices.Clone(c.n.Data.Args[:]), Errno: unix.ErrnoName(errno)},
		Message: c.describe(),
	})
}

// describe spells the arguments of a socket(2) for a reader of the log.
func (c *call) describe() string {
	if c.name != "socket" {
		return ""
	}
	return fmt.Sprintf("socket(%s, %s, %d)", nameOf(familyNames, c.int(0)), nameOf(typeNames, c.int(1)&sockTypeMask), c.int(2))
}

func nameOf(names map[int32]string, value int32) string {
	if name, ok := names[value]; ok {
		return name
	}
	return fmt.Sprint(value)
}

// From <linux/socket.h> and <linux/net.h>; what is not here is written as a number.
var (
	familyNames = map[int32]string{
		unix.AF_UNSPEC: "AF_UNSPEC", unix.AF_UNIX: "AF_UNIX", unix.AF_INET: "AF_INET", unix.AF_INET6: "AF_INET6", unix.AF_NETLINK: "AF_NETLINK",
		unix.AF_PACKET: "AF_PACKET", unix.AF_RDS: "AF_RDS", unix.AF_CAN: "AF_CAN", unix.AF_TIPC: "AF_TIPC",
		unix.AF_BLUETOOTH: "AF_BLUETOOTH", unix.AF_ALG: "AF_ALG", unix.AF_VSOCK: "AF_VSOCK", unix.AF_KCM: "AF_KCM",
		unix.AF_QIPCRTR: "AF_QIPCRTR", unix.AF_SMC: "AF_SMC", unix.AF_XDP: "AF_XDP",
	}
	typeNames = map[int32]string{
		unix.SOCK_STREAM: "SOCK_STREAM", unix.SOCK_DGRAM: "SOCK_DGRAM", unix.SOCK_RAW: "SOCK_RAW", unix.SOCK_RDM: "SOCK_RDM",
		unix.SOCK_SEQPACKET: "SOCK_SEQPACKET", unix.SOCK_DCCP: "SOCK_DCCP", unix.SOCK_PACKET: "SOCK_PACKET",
	}
)
