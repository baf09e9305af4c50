package escapes

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// raceConnectAttempts turn the name under connect(2).
func raceConnectAttempts() []Attempt {
	return []Attempt{
		race("connect-ipv4", "turn the address under connect", func(a *arena) ([]func(), error) {
			return []func(){
				a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())),
				a.dialer(unix.AF_INET, 0, unix.SizeofSockaddrInet4), a.dialer(unix.AF_INET, 0, unix.SizeofSockaddrInet4),
			}, nil
		}),
		race("connect-ipv6", "turn the address under connect by IPv6", func(a *arena) ([]func(), error) {
			return []func(){
				a.turnBytes(0, sockaddr(a.Denied.AddrPort6()), sockaddr(a.Allowed.AddrPort6())),
				a.dialer(unix.AF_INET6, 0, unix.SizeofSockaddrInet6), a.dialer(unix.AF_INET6, 0, unix.SizeofSockaddrInet6),
			}, nil
		}, NeedIPv6),
		race("connect-family-unix", "turn the family to AF_UNIX under connect", func(a *arena) ([]func(), error) {
			path := pathSockaddr(a.Unix.Allowed)
			a.put(0, path)
			return []func(){
				a.turn(0, word4(a.Denied.AddrPort4()), binary.NativeEndian.Uint64(path)),
				a.dialer(unix.AF_INET, 0, maxUnixName), a.unixDialer(0, maxUnixName),
			}, nil
		}),
		race("connect-family-unspec", "turn the family to AF_UNSPEC under connect", func(a *arena) ([]func(), error) {
			return []func(){
				a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Denied.AddrPort4())&^0xffff),
				a.dialer(unix.AF_INET, 0, unix.SizeofSockaddrInet4),
			}, nil
		}),
		race("connect-family-inet", "turn an IPv6 name to an IPv4 one under connect", raceFamilyInet, NeedIPv6),
		race("connect-unspec", "dissolve and shut down an allowed connection while it is made anew", raceDissolve),
		race("connect-options", "turn the options of a socket while it is connected", raceOptions, NeedIPv6),
	}
}

// maxUnixName is sizeof(struct sockaddr_un).
const maxUnixName = 110

// word4 is the first eight bytes of an IPv4 name: family, port and address.
func word4(to netip.AddrPort) uint64 { return binary.NativeEndian.Uint64(sockaddr(to)) }

// raceFamilyInet has a socket of either family meet a name that is now of one
// and now of the other: the IPv4 address is the flow label of the IPv6 name.
func raceFamilyInet(a *arena) ([]func(), error) {
	six := sockaddr(a.Allowed.AddrPort6())
	a.put(0, six)
	return []func(){
		a.turn(0, word4(a.Denied.AddrPort4()), binary.NativeEndian.Uint64(six)),
		a.dialer(unix.AF_INET, 0, unix.SizeofSockaddrInet6), a.dialer(unix.AF_INET6, 0, unix.SizeofSockaddrInet6),
	}, nil
}

// raceDissolve uses one socket from five threads.
func raceDissolve(a *arena) ([]func(), error) {
	fd, err := openTCP(unix.AF_INET, unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(a.Allowed.AddrPort4()))
	a.put(64, sockaddr(a.Denied.AddrPort4()))
	to := func(offset int) func() {
		return func() { a.saw(a.connect(fd, offset, unix.SizeofSockaddrInet4)) }
	}
	return []func(){
		to(0), to(64), to(128), // the last is AF_UNSPEC
		func() { a.tell(fd) },
		func() { _ = unix.Shutdown(fd, unix.SHUT_RDWR) },
	}, nil
}

// raceOptions turns what decides which of a socket's families is used.
func raceOptions(a *arena) ([]func(), error) {
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	option := func(level, name, value int) { _ = unix.SetsockoptInt(number, level, name, value) }
	return []func(){
		a.turnBytes(0, sockaddr(a.Denied.Mapped()), sockaddr(a.Allowed.Mapped())),
		func() {
			fd, err := openTCP(unix.AF_INET6, 0)
			if err != nil {
				return
			}
			defer unix.Close(fd)
			_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
			err = a.connect(number, 0, unix.SizeofSockaddrInet6)
			a.saw(err)
			if err == nil {
				a.tell(number)
			}
		},
		func() {
			option(unix.SOL_IPV6, unix.IPV6_V6ONLY, 1)
			option(unix.SOL_IPV6, unix.IPV6_V6ONLY, 0)
			option(unix.SOL_IPV6, unix.IPV6_ADDRFORM, unix.AF_INET)
		},
	}, nil
}
