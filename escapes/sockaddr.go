package escapes

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// sockaddr returns the bytes of a sockaddr_in or sockaddr_in6, ip(7), ipv6(7).
func sockaddr(to netip.AddrPort) []byte {
	if to.Addr().Is4() {
		b := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		binary.BigEndian.PutUint16(b[2:], to.Port())
		ip := to.Addr().As4()
		copy(b[4:], ip[:])
		return b
	}
	b := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	binary.BigEndian.PutUint16(b[2:], to.Port())
	ip := to.Addr().As16()
	copy(b[8:], ip[:])
	return b
}

// pathSockaddr returns the bytes of a sockaddr_un for a path, unix(7).
func pathSockaddr(path string) []byte {
	b := make([]byte, 2, 2+len(path)+1)
	binary.NativeEndian.PutUint16(b, unix.AF_UNIX)
	return append(append(b, path...), 0)
}

// abstractSockaddr returns the bytes of a sockaddr_un for an abstract name.
func abstractSockaddr(name string) []byte {
	b := make([]byte, 3, 3+len(name))
	binary.NativeEndian.PutUint16(b, unix.AF_UNIX)
	return append(b, name...)
}

// family is the address family of an address.
func family(to netip.AddrPort) uintptr {
	if to.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
