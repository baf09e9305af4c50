package escapes

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// raceSendAttempts turn the name under sendto(2), and the peer under native
// sends.
func raceSendAttempts() []Attempt {
	return []Attempt{
		race("sendto-ipv4", "turn the address under sendto", func(a *arena) ([]func(), error) {
			fd, err := openUDP(unix.AF_INET)
			if err != nil {
				return nil, err
			}
			send := a.sender(fd, 0, unix.SizeofSockaddrInet4)
			return []func(){a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())), send, send}, nil
		}),
		race("sendto-ipv6", "turn the address under sendto by IPv6", func(a *arena) ([]func(), error) {
			fd, err := openUDP(unix.AF_INET6)
			if err != nil {
				return nil, err
			}
			send := a.sender(fd, 0, unix.SizeofSockaddrInet6)
			return []func(){
				a.turnBytes(0, sockaddr(a.Denied.AddrPort6()), sockaddr(a.Allowed.AddrPort6()), sockaddr(a.Denied.Mapped())), send, send,
			}, nil
		}, NeedIPv6),
		race("sendto-family", "turn the family to AF_UNIX under sendto", func(a *arena) ([]func(), error) {
			fd, err := openUDP(unix.AF_INET)
			if err != nil {
				return nil, err
			}
			path := pathSockaddr(a.Unix.AllowedDgram)
			a.put(0, path)
			return []func(){
				a.turn(0, word4(a.Denied.AddrPort4()), word4(netip.AddrPort{}), word4(a.Denied.AddrPort4())-1),
				a.sender(fd, 0, unix.SizeofSockaddrInet4), a.sender(fd, 0, maxUnixName),
			}, nil
		}),
		race("sendto-connect", "turn the peer by connect while sends without a name are under way", raceSendConnect),
		race("sendto-process", "turn the address under sendto, from another process by shared memory", raceSendProcess),
	}
}

// sender makes a part that sends the token to the name at an offset.
func (a *arena) sender(fd, offset int, length uintptr) func() {
	token := a.put(512, []byte(a.Token))
	return func() {
		_, err := call(unix.SYS_SENDTO, uintptr(fd), token, uintptr(len(a.Token)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, a.at(offset), length)
		a.saw(err)
	}
}

// raceSendConnect has one thread give a socket one peer after the other, and
// two that write.
func raceSendConnect(a *arena) ([]func(), error) {
	fd, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.put(64, sockaddr(a.Allowed.AddrPort4()))
	write := func() {
		_, err := unix.SendmsgN(fd, []byte(a.Token), nil, nil, unix.MSG_DONTWAIT)
		a.saw(err)
		a.tell(fd)
	}
	return []func(){
		func() {
			a.saw(a.connect(fd, 64, unix.SizeofSockaddrInet4))
			a.saw(a.connect(fd, 0, unix.SizeofSockaddrInet4))
		},
		write, write,
	}, nil
}

// raceSendProcess lets a process with memory in common turn the name.
func raceSendProcess(a *arena) ([]func(), error) {
	fd, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	shared, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	names := memory(shared)
	denied, allowed := word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())
	names.store(0, denied)
	child, err := a.fork(0, func() {
		names.store(0, allowed)
		names.store(0, denied)
	})
	if err != nil {
		return nil, err
	}
	child.endAfter(a.RaceFor)
	token := a.put(0, []byte(a.Token))
	return []func(){func() {
		_, err := call(unix.SYS_SENDTO, uintptr(fd), token, uintptr(len(a.Token)), unix.MSG_DONTWAIT, names.at(0), unix.SizeofSockaddrInet4)
		a.saw(err)
	}}, nil
}

// pageSize is that of the machines this runs on, or a multiple.
const pageSize = 4096
