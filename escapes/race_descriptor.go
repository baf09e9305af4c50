package escapes

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// raceDescriptorAttempts turn what a descriptor's number stands for under
// calls that are given the number.
func raceDescriptorAttempts() []Attempt {
	return []Attempt{
		race("connect-descriptor", "turn the descriptor under connect", raceConnectDescriptor),
		race("connect-reopened", "close and open the socket anew under connect", raceConnectReopened),
		race("connect-descriptor-process", "turn the descriptor under connect, from a process that shares the table", raceConnectTable),
		race("sendto-descriptor", "turn the descriptor under sendto", raceSendDescriptor),
		race("sendmsg-descriptor", "turn the descriptor under sendmsg", raceMessageDescriptor),
		race("sendmmsg-descriptor", "turn the descriptor under sendmmsg", raceManyDescriptor),
		race("recvmsg-descriptor", "turn the descriptor and the name under recvmsg, and send between", raceReceiveDescriptor),
	}
}

// highNumber returns a number that is free, as is much below it.
func highNumber() (int, error) {
	const above = 300
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, above)
	if err != nil {
		return -1, fmt.Errorf("find a number: %w", err)
	}
	return fd, nil
}

// kinds opens one socket of each kind that an agent can have.
func (a *arena) kinds() ([]int, error) {
	udp, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	route, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	allowed, err := openTCP(unix.AF_INET, 0)
	if err != nil {
		return nil, err
	}
	a.put(arenaSize/2, sockaddr(a.Allowed.AddrPort4()))
	a.saw(a.connect(allowed, arenaSize/2, unix.SizeofSockaddrInet4))
	return []int{udp, pair[0], route, allowed}, nil
}

// swapper makes a part that puts one descriptor after the other at a number,
// and a new TCP socket between any two.
func swapper(number int, list []int) func() {
	return func() {
		for _, other := range list {
			if fd, err := openTCP(unix.AF_INET, 0); err == nil {
				_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
				unix.Close(fd)
			}
			_ = unix.Dup3(other, number, unix.O_CLOEXEC)
		}
	}
}

// caller makes a part that connects a number to the name at an offset, and
// writes the token to whatever is there.
func (a *arena) caller(number, offset int, length uintptr) func() {
	return func() {
		err := a.connect(number, offset, length)
		a.saw(err)
		if err == nil {
			a.tell(number)
		}
	}
}

func raceConnectDescriptor(a *arena) ([]func(), error) {
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	list, err := a.kinds()
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.put(64, sockaddr(a.Allowed.AddrPort4()))
	return []func(){
		swapper(number, list), a.caller(number, 0, unix.SizeofSockaddrInet4), a.caller(number, 64, unix.SizeofSockaddrInet4),
	}, nil
}

func raceConnectReopened(a *arena) ([]func(), error) {
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	return []func(){
		a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())),
		func() {
			unix.Close(number)
			if fd, err := openTCP(unix.AF_INET, 0); err == nil {
				_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
				unix.Close(fd)
			}
		},
		a.caller(number, 0, unix.SizeofSockaddrInet4),
	}, nil
}

// raceConnectTable has another process turn the descriptor: it shares the
// table, and nothing else.
func raceConnectTable(a *arena) ([]func(), error) {
	number, err := highNumber()
	if err != nil {
		return nil, err
	}
	list, err := a.kinds()
	if err != nil {
		return nil, err
	}
	child, err := a.fork(unix.CLONE_FILES, func() {
		for _, fd := range list {
			fresh, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if errno == 0 {
				unix.RawSyscall(unix.SYS_DUP3, fresh, uintptr(number), unix.O_CLOEXEC)
				unix.RawSyscall(unix.SYS_CLOSE, fresh, 0, 0)
			}
			unix.RawSyscall(unix.SYS_DUP3, uintptr(fd), uintptr(number), unix.O_CLOEXEC)
		}
	})
	if err != nil {
		return nil, err
	}
	child.endAfter(a.RaceFor)
	return []func(){
		a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())),
		a.caller(number, 0, unix.SizeofSockaddrInet4),
	}, nil
}

func raceSendDescriptor(a *arena) ([]func(), error) {
	number, list, err := a.sendTable()
	if err != nil {
		return nil, err
	}
	token := a.put(512, []byte(a.Token))
	return []func(){
		swapper(number, list),
		a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())),
		func() {
			_, err := call(unix.SYS_SENDTO, uintptr(number), token, uintptr(len(a.Token)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL,
				a.at(0), unix.SizeofSockaddrInet4)
			a.saw(err)
		},
	}, nil
}

// sendTable returns a number and what is to be put there.
func (a *arena) sendTable() (int, []int, error) {
	number, err := highNumber()
	if err != nil {
		return -1, nil, err
	}
	list, err := a.kinds()
	return number, list, err
}

func raceMessageDescriptor(a *arena) ([]func(), error) {
	number, list, err := a.sendTable()
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.message(headerAt, 0, unix.SizeofSockaddrInet4)
	return []func(){swapper(number, list), a.messenger(number)}, nil
}

func raceManyDescriptor(a *arena) ([]func(), error) {
	number, list, err := a.sendTable()
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.messages(unix.SizeofSockaddrInet4)
	return []func(){swapper(number, list), a.manyMessenger(number)}, nil
}

// raceReceiveDescriptor receives on a number while it is turned and closed,
// and sends from it to a name that is turned too.
func raceReceiveDescriptor(a *arena) ([]func(), error) {
	number, list, err := a.sendTable()
	if err != nil {
		return nil, err
	}
	udp := list[0]
	a.message(headerAt, 0, unix.SizeofSockaddrInet4)
	token := a.put(512, []byte(a.Token))
	return []func(){
		a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())),
		func() {
			_ = unix.Dup3(udp, number, unix.O_CLOEXEC)
			_ = unix.Dup3(list[1], number, unix.O_CLOEXEC)
			unix.Close(number)
		},
		func() {
			_, err := call(unix.SYS_RECVMSG, uintptr(number), a.at(headerAt), unix.MSG_DONTWAIT)
			a.saw(err)
		},
		func() {
			_, err := call(unix.SYS_SENDTO, uintptr(udp), token, uintptr(len(a.Token)), unix.MSG_DONTWAIT, a.at(0), unix.SizeofSockaddrInet4)
			a.saw(err)
		},
	}, nil
}
