package seccomp

import (
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// sockTypeMask is SOCK_TYPE_MASK of <linux/net.h>: the bits of socket(2)'s
// second argument that are the type; the others are flags.
const sockTypeMask = 0xf

// notifyRules lists what the supervisor answers.
func (b *builder) notifyRules(o Options) {
	b.socketRules(o)
	for _, call := range []string{
		"connect", "bind", "listen", "getsockname", "getpeername",
		"sendmsg", "sendmmsg", "recvmsg", "recvmmsg",
		"execve", "execveat", // not judged: the new program's environment is completed
	} {
		b.notify(call)
	}
	// Without an address these two are the plain data path: native.
	b.notify("sendto", b.cond(4, libseccomp.CompareNotEqual, 0))
	b.notify("recvfrom", b.cond(4, libseccomp.CompareNotEqual, 0))
	b.optionRules()
	b.aimedRules(o)
}

// aimedRules trap what is aimed at a process by its number, where Landlock
// does not stand before processes outside: the supervisor would be starved by
// a limit or slowed down. A number of 0 is the caller himself, and native.
func (b *builder) aimedRules(o Options) {
	other := b.cond(0, libseccomp.CompareNotEqual, 0)
	for _, call := range []string{"sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr", "migrate_pages"} {
		b.notify(call, other)
	}
	b.notify("prlimit64", other, b.cond(2, libseccomp.CompareNotEqual, 0))
	b.notify("setpriority", b.low32(0, prioProcess), b.cond(1, libseccomp.CompareNotEqual, 0))
	b.notify("setpriority", b.low32(0, prioGroup))
	b.notify("ioprio_set", b.low32(0, ioprioProcess), b.cond(1, libseccomp.CompareNotEqual, 0))
	b.notify("ioprio_set", b.low32(0, ioprioGroup))
	if o.TrapTrace {
		b.notify("ptrace", b.low32(0, unix.PTRACE_ATTACH))
		b.notify("ptrace", b.low32(0, unix.PTRACE_SEIZE))
		b.notify("process_vm_readv")
		b.notify("process_vm_writev")
	}
}

// socketRules traps every socket(2) but those that may be made natively:
// AF_UNIX, netlink's routing family and TCP.
//
// libseccomp compares one argument once in a rule, so "anything but" is
// spelt as the values beside and above. What has bits above the low 32 is
// larger than every value here, and so is trapped.
func (b *builder) socketRules(o Options) {
	for domain := uint64(0); domain <= unix.AF_NETLINK; domain++ {
		is := b.cond(0, libseccomp.CompareEqual, domain)
		switch domain {
		case unix.AF_UNIX:
			if o.TrapStreams {
				b.notify("socket", is)
				b.notify("socketpair", is)
			}
		case unix.AF_INET, unix.AF_INET6:
			if o.TrapStreams {
				b.notify("socket", is)
			} else {
				b.inetSocketRules(is)
			}
		case unix.AF_NETLINK:
			b.notify("socket", is, b.cond(2, libseccomp.CompareNotEqual, unix.NETLINK_ROUTE))
			if o.TrapStreams {
				b.notify("socket", is, b.cond(2, libseccomp.CompareEqual, unix.NETLINK_ROUTE))
			}
		default:
			b.notify("socket", is)
		}
	}
	b.notify("socket", b.cond(0, libseccomp.CompareGreater, unix.AF_NETLINK))
}

// inetSocketRules traps the IP sockets that are not TCP.
func (b *builder) inetSocketRules(domain libseccomp.ScmpCondition) {
	for typ := uint64(0); typ <= sockTypeMask; typ++ {
		is := b.masked(1, sockTypeMask, typ)
		if typ != unix.SOCK_STREAM {
			b.notify("socket", domain, is)
			continue
		}
		for proto := uint64(1); proto < unix.IPPROTO_TCP; proto++ {
			b.notify("socket", domain, is, b.cond(2, libseccomp.CompareEqual, proto))
		}
		b.notify("socket", domain, is, b.cond(2, libseccomp.CompareGreater, unix.IPPROTO_TCP))
	}
}

// Socket options and ioctls that an AF_UNIX socket answers otherwise than a
// UDP socket does, so that a surrogate would give itself away, or that would
// hand out something of the supervisor's (SO_PEERPIDFD, SO_PEERNAME). From
// <asm/socket.h> and <linux/sockios.h>; named there are SO_REUSEPORT 15,
// SO_PASSCRED 16, SO_PEERCRED 17, SO_PEERNAME 28, SO_PASSSEC 34, SO_PROTOCOL 38, SO_DOMAIN 39,
// SO_INCOMING_CPU 49, SO_PEERGROUPS 59, SO_ZEROCOPY 60, SO_PASSPIDFD 76,
// SO_PEERPIDFD 77, SO_PASSRIGHTS 83.
var (
	setSocketOptions = []uint32{15, 16, 34, 49, 60, 76, 83}
	getSocketOptions = []uint32{15, 16, 17, 28, 34, 38, 39, 59, 76, 77, 83}
	interfaceIoctls  = []uint32{unix.SIOCGIFADDR, unix.SIOCGIFDSTADDR, unix.SIOCGIFBRDADDR, unix.SIOCGIFNETMASK}
)

func (b *builder) optionRules() {
	for _, level := range []uint32{unix.SOL_IP, unix.SOL_IPV6, unix.SOL_UDP} {
		b.notify("setsockopt", b.low32(1, level))
		b.notify("getsockopt", b.low32(1, level))
	}
	for _, opt := range setSocketOptions {
		b.notify("setsockopt", b.low32(1, unix.SOL_SOCKET), b.low32(2, opt))
	}
	for _, opt := range getSocketOptions {
		b.notify("getsockopt", b.low32(1, unix.SOL_SOCKET), b.low32(2, opt))
	}
	for _, req := range interfaceIoctls {
		b.notify("ioctl", b.low32(1, req))
	}
}

const (
	msgFastOpen           = 0x20000000 // MSG_FASTOPEN, <linux/socket.h>
	ipprotoMPTCP          = 262        // IPPROTO_MPTCP, <linux/in.h>
	tcpRepair             = 19         // <linux/tcp.h>
	tcpFastOpenConnect    = 30
	tcpULP                = 31
	seccompSetModeFilter  = 1 // <linux/seccomp.h>
	seccompNewListener    = 1 << 3
	seccompTsync          = 1 << 0
	seccompWaitKillable   = 1 << 5
	ioctlTIOCSTI          = 0x5412 // <asm-generic/ioctls.h>: type into the terminal
	ioctlTIOCLINUX        = 0x541c // paste into a virtual console
	ipOptions             = 4      // IP_OPTIONS, <linux/in.h>
	ipv6RoutingHeader     = 57     // IPV6_RTHDR, <linux/in6.h>
	ipv6RoutingHeader2292 = 5      // IPV6_2292RTHDR
	ipv6PacketOptions2292 = 6      // IPV6_2292PKTOPTIONS
	mcastJoinGroup        = 42     // MCAST_JOIN_GROUP, <linux/in.h>
	mcastJoinSource       = 46     // MCAST_JOIN_SOURCE_GROUP
	prioProcess           = 0      // PRIO_PROCESS and so on, <linux/resource.h>
	prioGroup             = 1
	prioUser              = 2
	ioprioProcess         = 1 // IOPRIO_WHO_PROCESS and so on, <linux/ioprio.h>
	ioprioGroup           = 2
	ioprioUser            = 3
)

// refuseRules lists what is answered in the kernel, whatever the supervisor
// does. Each errno is the one on which programs fall back.
func (b *builder) refuseRules(o Options) {
	// io_uring would make connections and send without a system call that
	// can be seen. ENOSYS: as on a kernel without it.
	for _, call := range []string{"io_uring_setup", "io_uring_enter", "io_uring_register"} {
		b.refuse(unix.ENOSYS, call)
	}
	// A TCP connection made by the first send: Landlock does not see it.
	for call, flags := range map[string]uint{"sendto": 3, "sendmsg": 2, "sendmmsg": 3} {
		b.refuse(unix.EOPNOTSUPP, call, b.masked(flags, msgFastOpen, msgFastOpen))
	}
	// Landlock does not see MPTCP either; Go's listeners fall back on TCP.
	b.refuse(unix.EPROTONOSUPPORT, "socket", b.low32(2, ipprotoMPTCP))
	// Options that would make a connection lead elsewhere than the address
	// that was checked, or make it later than when it was checked. Bound to
	// a device a socket sends even what is for loopback out by it.
	b.refuse(unix.EPERM, "setsockopt", b.low32(1, unix.SOL_SOCKET), b.low32(2, unix.SO_BINDTODEVICE))
	b.refuse(unix.EPERM, "setsockopt", b.low32(1, unix.SOL_SOCKET), b.low32(2, unix.SO_BINDTOIFINDEX))
	b.refuse(unix.EOPNOTSUPP, "setsockopt", b.low32(1, unix.SOL_TCP), b.low32(2, tcpFastOpenConnect))
	b.refuse(unix.EPERM, "setsockopt", b.low32(1, unix.SOL_TCP), b.low32(2, tcpRepair))
	b.refuse(unix.ENOPROTOOPT, "setsockopt", b.low32(1, unix.SOL_TCP), b.low32(2, tcpULP))
	b.refuse(unix.EPERM, "setsockopt", b.low32(1, unix.SOL_IP), b.low32(2, ipOptions))
	b.refuse(unix.EPERM, "setsockopt", b.low32(1, unix.SOL_IPV6), b.low32(2, ipv6RoutingHeader))
	b.refuse(unix.EPERM, "setsockopt", b.low32(1, unix.SOL_IPV6), b.low32(2, ipv6RoutingHeader2292))
	// Routing header and interface, among others, as control messages.
	b.refuse(unix.EPERM, "setsockopt", b.low32(1, unix.SOL_IPV6), b.low32(2, ipv6PacketOptions2292))
	b.groupRules()
	// While the supervisor lives a second listener fails with EBUSY. Once
	// it is dead the agent could install one whose answers win.
	b.refuse(unix.EBUSY, "seccomp", b.low32(0, seccompSetModeFilter),
		b.masked(1, seccompNewListener, seccompNewListener))
	// A process that is not dumpable can't be acted for by a supervisor of
	// the same user. Errno 0: the call seems to have worked.
	b.refuse(0, "prctl", b.low32(0, unix.PR_SET_DUMPABLE), b.cond(1, libseccomp.CompareEqual, 0))
	// All processes of a user are more than those of the session.
	b.refuse(unix.EPERM, "setpriority", b.low32(0, prioUser))
	b.refuse(unix.EPERM, "ioprio_set", b.low32(0, ioprioUser))
	b.refuse(unix.EPERM, "ioctl", b.low32(1, ioctlTIOCSTI))
	b.refuse(unix.EPERM, "ioctl", b.low32(1, ioctlTIOCLINUX))
	// A tunnel device that was left to the user leads out of the machine.
	b.refuse(unix.EPERM, "ioctl", b.low32(1, unix.TUNSETIFF))
	b.refuse(unix.EPERM, "ioctl", b.low32(1, unix.TUNSETQUEUE))
	// The kernel would start a helper outside, as root, that looks a name up
	// (request-key(8)). Without call-out information it only searches.
	b.refuse(unix.ENOKEY, "request_key", b.cond(2, libseccomp.CompareNotEqual, 0))
	// Pairs of another family than AF_UNIX (AF_TIPC, AF_RDS) can be used to
	// send elsewhere.
	b.refuse(unix.EOPNOTSUPP, "socketpair", b.cond(0, libseccomp.CompareNotEqual, unix.AF_UNIX))
	if o.TrapTrace {
		// Named by a descriptor, which could be swapped once it was judged.
		for _, call := range []string{"pidfd_getfd", "process_madvise", "process_mrelease", "kcmp"} {
			b.refuse(unix.EPERM, call)
		}
	}
}

// groupRules refuse to join multicast groups. The kernel tells the link which
// group it is and of whom one wants to hear (RFC 3376, RFC 3810): addresses
// that the agent makes up. A socket of TCP will do: only IP_ADD_MEMBERSHIP and
// IPV6_JOIN_GROUP ask for the type (net/ipv4/ip_sockglue.c,
// net/ipv6/ipv6_sockglue.c). ENODEV: as where no interface can do multicast.
func (b *builder) groupRules() {
	for level, options := range map[uint32][]uint32{
		unix.SOL_IP:   {unix.IP_ADD_MEMBERSHIP, unix.IP_ADD_SOURCE_MEMBERSHIP, mcastJoinGroup, mcastJoinSource},
		unix.SOL_IPV6: {unix.IPV6_JOIN_GROUP, unix.IPV6_JOIN_ANYCAST, mcastJoinGroup, mcastJoinSource},
	} {
		for _, option := range options {
			b.refuse(unix.ENODEV, "setsockopt", b.low32(1, level), b.low32(2, option))
		}
	}
}
