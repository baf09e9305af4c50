package supervisor

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// maxSockaddr is sizeof(struct sockaddr_storage), the longest address that the
// kernel takes.
const maxSockaddr = 128

// sockaddr is a copy of a socket address that an agent passed: hostile bytes,
// of a length that the kernel would take.
type sockaddr []byte

// readSockaddr copies the address once. The kernel's own checks come first,
// with the kernel's errors (net/socket.c, move_addr_to_kernel).
func (c *call) readSockaddr(addr uint64, length int32) (sockaddr, error) {
	if length < 0 || length > maxSockaddr {
		return nil, unix.EINVAL
	}
	buf := make(sockaddr, length)
	if err := c.read(addr, buf); err != nil {
		return nil, err
	}
	if !c.valid() {
		return nil, unix.EINTR
	}
	return buf, nil
}

// family is the address family, AF_UNSPEC for an address too short to have one.
func (a sockaddr) family() uint16 {
	if len(a) < 2 {
		return unix.AF_UNSPEC
	}
	return binary.NativeEndian.Uint16(a)
}

// Lengths below which the kernel refuses an address with EINVAL
// (sizeof(struct sockaddr_in), SIN6_LEN_RFC2133).
const (
	minSockaddrIn  = 16
	minSockaddrIn6 = 24
)

// addrPort reads an AF_INET or AF_INET6 address. An IPv4-mapped address is
// returned as the IPv4 address that it stands for. A scope identifier is
// dropped: it names an interface, and such addresses are link-local.
func (a sockaddr) addrPort() (netip.AddrPort, error) {
	switch a.family() {
	case unix.AF_INET:
		if len(a) < minSockaddrIn {
			return netip.AddrPort{}, unix.EINVAL
		}
		port := binary.BigEndian.Uint16(a[2:])
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), port), nil
	case unix.AF_INET6:
		if len(a) < minSockaddrIn6 {
			return netip.AddrPort{}, unix.EINVAL
		}
		port := binary.BigEndian.Uint16(a[2:])
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[8:24])).Unmap(), port), nil
	}
	return netip.AddrPort{}, unix.EAFNOSUPPORT
}

// inetSockaddr writes ap as an address of the given family; an IPv4 address
// of an AF_INET6 socket is written IPv4-mapped. What the family can't tell is
// written as its wildcard address.
func inetSockaddr(family int, ap netip.AddrPort) sockaddr {
	switch {
	case family == unix.AF_INET && !ap.Addr().Is4():
		ap = netip.AddrPortFrom(netip.IPv4Unspecified(), ap.Port())
	case !ap.Addr().IsValid():
		ap = netip.AddrPortFrom(netip.IPv6Unspecified(), ap.Port())
	}
	if family == unix.AF_INET6 {
		b := make(sockaddr, 28)
		binary.NativeEndian.PutUint16(b, unix.AF_INET6)
		binary.BigEndian.PutUint16(b[2:], ap.Port())
		a := ap.Addr().As16()
		copy(b[8:24], a[:])
		return b
	}
	b := make(sockaddr, 16)
	binary.NativeEndian.PutUint16(b, unix.AF_INET)
	binary.BigEndian.PutUint16(b[2:], ap.Port())
	a := ap.Addr().As4()
	copy(b[4:8], a[:])
	return b
}

// unixSockaddr is x/sys's form of an address for a call of ours.
func unixSockaddr(family int, ap netip.AddrPort) unix.Sockaddr {
	if family == unix.AF_INET6 {
		return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
}

// fromUnixSockaddr is the reverse, for what getsockname returned.
func fromUnixSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// writeSockaddr gives an address to the caller as the kernel does: cut to the
// room that there is, with the whole length told (accept(2), NOTES).
func (c *call) writeSockaddr(addr, lengthAddr uint64, sa sockaddr) error {
	var raw [4]byte
	if err := c.read(lengthAddr, raw[:]); err != nil {
		return err
	}
	room := int32(binary.NativeEndian.Uint32(raw[:]))
	if room < 0 {
		return unix.EINVAL
	}
	if err := c.write(addr, sa[:min(int(room), len(sa))]); err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(raw[:], uint32(len(sa)))
	return c.write(lengthAddr, raw[:])
}
