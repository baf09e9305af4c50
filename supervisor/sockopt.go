package supervisor

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"boundary/seccomp"
)

// sockopt names a socket option.
type sockopt struct{ level, name int32 }

// maxOption bounds what is stored of an option's value; the longest that UDP
// programs set is a struct of this order.
const maxOption = 256

// maxOptions is more than there are: an agent that sets numbers without end
// shall not make the supervisor hold them.
const maxOptions = 128

// setsockopt stores options of a surrogate that an AF_UNIX socket does not
// know. On anything else it is continued: options that would make a
// connection lead elsewhere are refused by the filter itself.
func (c *call) setsockopt() reply {
	sur := c.surrogateFor(c.int(0))
	if sur == nil {
		return proceed
	}
	opt := sockopt{c.int(1), c.int(2)}
	if opt.level == unix.SOL_UDP {
		return fail(unix.ENOPROTOOPT) // programs do without segmentation offload
	}
	length := c.int(4)
	if length < 0 || length > maxOption {
		return fail(unix.EINVAL)
	}
	val := make([]byte, length)
	if err := c.read(c.arg(3), val); err != nil {
		return failWith(err)
	}
	sur.mu.Lock()
	defer sur.mu.Unlock()
	if _, set := sur.options[opt]; !set && len(sur.options) >= maxOptions {
		return fail(unix.ENOBUFS)
	}
	sur.options[opt] = val
	return value(0)
}

// soPeerName is SO_PEERNAME, <asm-generic/socket.h>.
const soPeerName = 28

// getsockopt answers for surrogates, and who connected to a unix socket of the
// session's; the rest is continued, as setsockopt is.
func (c *call) getsockopt() reply {
	opt := sockopt{c.int(1), c.int(2)}
	if opt == (sockopt{unix.SOL_SOCKET, soPeerName}) {
		return c.peerName()
	}
	sur := c.surrogateFor(c.int(0))
	if sur == nil && opt == (sockopt{unix.SOL_SOCKET, unix.SO_PEERCRED}) {
		return c.peerCredentials()
	}
	if sur == nil {
		return proceed
	}
	val, errno := sur.option(opt)
	if errno != 0 {
		return fail(errno)
	}
	return c.answerOption(val)
}

// answerOption gives an option's value to the caller, cut to the room that there
// is.
func (c *call) answerOption(val []byte) reply {
	var raw [4]byte
	if err := c.read(c.arg(4), raw[:]); err != nil {
		return failWith(err)
	}
	room := int32(binary.NativeEndian.Uint32(raw[:]))
	if room < 0 {
		return fail(unix.EINVAL)
	}
	val = val[:min(len(val), int(room))]
	if err := c.write(c.arg(3), val); err != nil {
		return failWith(err)
	}
	binary.NativeEndian.PutUint32(raw[:], uint32(len(val)))
	if err := c.write(c.arg(4), raw[:]); err != nil {
		return failWith(err)
	}
	return value(0)
}

// option is what a UDP socket would say: what was set, or its default.
func (sur *surrogate) option(opt sockopt) ([]byte, unix.Errno) {
	sur.mu.Lock()
	defer sur.mu.Unlock()
	if val, ok := sur.options[opt]; ok {
		return val, 0
	}
	switch opt {
	case sockopt{unix.SOL_SOCKET, unix.SO_DOMAIN}:
		return optionInt(sur.family), 0
	case sockopt{unix.SOL_SOCKET, unix.SO_PROTOCOL}:
		return optionInt(unix.IPPROTO_UDP), 0
	case sockopt{unix.SOL_IP, unix.IP_TTL}, sockopt{unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS}:
		return optionInt(64), 0
	case sockopt{unix.SOL_IP, unix.IP_MTU_DISCOVER}, sockopt{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER},
		sockopt{unix.SOL_IP, unix.IP_MULTICAST_TTL}, sockopt{unix.SOL_IP, unix.IP_MULTICAST_LOOP},
		sockopt{unix.SOL_IPV6, unix.IPV6_MULTICAST_HOPS}, sockopt{unix.SOL_IPV6, unix.IPV6_MULTICAST_LOOP}:
		return optionInt(1), 0
	case sockopt{unix.SOL_IP, unix.IP_MTU}, sockopt{unix.SOL_IPV6, unix.IPV6_MTU}:
		if !sur.peer.IsValid() {
			return nil, unix.ENOTCONN
		}
		return optionInt(1500), 0
	}
	switch {
	case opt.level == unix.SOL_UDP,
		opt.level == unix.SOL_SOCKET && opt.name != unix.SO_REUSEPORT && opt.name != unix.SO_INCOMING_CPU:
		return nil, unix.ENOPROTOOPT
	}
	return optionInt(0), 0
}

func optionInt(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

// control makes the control messages that the agent asked for: to which of
// its addresses the datagram came (ip(7), IP_PKTINFO; ipv6(7), IPV6_PKTINFO).
func (sur *surrogate) control(from netip.AddrPort) []byte {
	sur.mu.Lock()
	defer sur.mu.Unlock()
	var out []byte
	at := sur.local.Addr()
	if !at.IsValid() || at.IsUnspecified() {
		at = from.Addr()
	}
	const loopbackIndex = 1
	if sur.family == unix.AF_INET && sur.isSet(sockopt{unix.SOL_IP, unix.IP_PKTINFO}) && at.Is4() {
		a := at.As4()
		info := binary.NativeEndian.AppendUint32(nil, loopbackIndex) // struct in_pktinfo
		out = appendControl(out, unix.SOL_IP, unix.IP_PKTINFO, append(append(info, a[:]...), a[:]...))
	}
	if sur.family == unix.AF_INET6 && sur.isSet(sockopt{unix.SOL_IPV6, unix.IPV6_RECVPKTINFO}) {
		a := at.As16() // struct in6_pktinfo
		out = appendControl(out, unix.SOL_IPV6, unix.IPV6_PKTINFO, binary.NativeEndian.AppendUint32(a[:], loopbackIndex))
	}
	return out
}

func (sur *surrogate) isSet(opt sockopt) bool {
	val := sur.options[opt]
	return len(val) > 0 && val[0] != 0
}

// appendControl appends one struct cmsghdr with its data (cmsg(3)).
func appendControl(b []byte, level, typ int, data []byte) []byte {
	const align = 8
	b = binary.NativeEndian.AppendUint64(b, uint64(unix.CmsgLen(len(data))))
	b = binary.NativeEndian.AppendUint32(b, uint32(level))
	b = binary.NativeEndian.AppendUint32(b, uint32(typ))
	b = append(b, data...)
	for len(b)%align != 0 {
		b = append(b, 0)
	}
	return b
}

const ifreqSize = 40 // sizeof(struct ifreq)

// ioctl answers the interface questions that programs put to a UDP socket
// (netdevice(7)), by asking them of a real one. They only read.
func (c *call) ioctl() reply {
	if c.surrogateFor(c.int(0)) == nil {
		return proceed
	}
	ifreq := make([]byte, ifreqSize)
	if err := c.read(c.arg(2), ifreq); err != nil {
		return failWith(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failWith(err)
	}
	defer unix.Close(fd)
	if err := seccomp.InterfaceRequest(fd, uint32(c.int(1)), ifreq); err != nil {
		return failWith(err)
	}
	if err := c.write(c.arg(2), ifreq); err != nil {
		return failWith(err)
	}
	return value(0)
}
