package escapes

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// raceUnixMessageAttempts turn headers and descriptors between the judgement
// of a sendmsg(2) and the call itself, where a supervisor lets messages
// without a name pass: a unix datagram socket needs nothing but a name.
func raceUnixMessageAttempts() []Attempt {
	return []Attempt{
		race("unix-sendmsg-name", "put a name into the header of a unix datagram", func(a *arena) ([]func(), error) {
			return a.raceUnixMessage(unixName(a.Unix.Dgram), maxUnixName)
		}),
		race("unix-sendmsg-abstract", "put an abstract name into the header of a unix datagram", func(a *arena) ([]func(), error) {
			name := abstractSockaddr(a.Unix.AbstractDgram)
			return a.raceUnixMessage(name, uint32(len(name)))
		}),
		race("unix-sendmsg-path", "turn the path in the header of a unix datagram", func(a *arena) ([]func(), error) {
			parts, err := a.raceUnixMessage(unixName(a.Unix.Dgram), maxUnixName)
			if err == nil {
				a.word(headerAt+headerName, uint64(a.at(0)))
				parts[0] = a.turnBytes(0, unixName(a.Unix.AllowedDgram), unixName(a.Unix.Dgram))
			}
			return parts, err
		}),
		race("unix-sendmsg-descriptor", "put a unix datagram socket, or one for UDP, in the place of a stream", raceUnixMessageDescriptor),
		race("unix-sendmmsg-name", "put names into headers of unix datagrams", func(a *arena) ([]func(), error) {
			return a.raceUnixMany(true)
		}),
		race("unix-sendmmsg-second", "put a name into the second header of unix datagrams only", func(a *arena) ([]func(), error) {
			return a.raceUnixMany(false)
		}),
	}
}

// raceUnixMessage sends unix datagrams while a name comes and goes.
func (a *arena) raceUnixMessage(name []byte, length uint32) ([]func(), error) {
	fd, err := openUnix(unix.SOCK_DGRAM)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	a.put(0, name)
	a.message(headerAt, 0, length)
	return []func(){
		a.turn(headerAt+headerName, 0, uint64(a.at(0))),
		a.messenger(fd), a.messenger(fd),
	}, nil
}

func raceUnixMessageDescriptor(a *arena) ([]func(), error) {
	number, list, err := a.sendTable()
	if err != nil {
		return nil, err
	}
	fd, err := openUnix(unix.SOCK_DGRAM)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	a.put(0, unixName(a.Unix.Dgram))
	a.message(headerAt, 0, maxUnixName)
	stream, udp := list[1], list[0]
	return []func(){
		func() {
			for _, other := range []int{fd, stream, udp, stream} {
				_ = unix.Dup3(other, number, unix.O_CLOEXEC)
			}
		},
		a.messenger(number), a.messenger(number),
	}, nil
}

// raceUnixMany sends arrays of unix datagrams on a connected socket, the first
// of which has no name. The peer is of the session's own.
func (a *arena) raceUnixMany(turn bool) ([]func(), error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	a.put(0, unixName(a.Unix.Dgram))
	a.messages(maxUnixName)
	a.word(headerAt+headerName, 0)
	drain := func() {
		buf := make([]byte, 256)
		_, _ = unix.Read(pair[1], buf)
	}
	parts := []func(){drain, a.manyMessenger(pair[0]), a.manyMessenger(pair[0])}
	if turn {
		parts = append(parts, a.turn(headerAt+headerName, 0, uint64(a.at(0))))
	}
	return parts, nil
}
