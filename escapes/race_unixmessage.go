package escapes

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// raceUnixMessageAttempts turn headers and descriptors between the judgement
// of a sendmsg(2) and the call itself, where a supervisor lets messages
// without a name pass: a unix datagram socket needs nothing but a name.
func raceUnixMessageAttempts() []Attempt {
	return []Attempt{
		withoutDuplicates(race("unix-sendmsg-table", "have a process with one thread send, whose descriptors another shares and changes", raceUnixMessageTable)),
		withoutDuplicates(race("unix-sendmsg-descriptor", "put a unix datagram socket, or one for UDP, in the place of a stream", raceUnixMessageDescriptor)),
		race("unix-sendmsg-control", "put a name into the header of a unix datagram with control messages", raceUnixControl),
		{
			Name: "race/unix-sendmsg-forgotten", Does: "send on a unix datagram socket that was under way in a message for a while",
			Long: true, Try: sendForgotten,
		},
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
		race("unix-sendmmsg-name", "put names into headers of unix datagrams", func(a *arena) ([]func(), error) {
			return a.raceUnixMany(true)
		}),
		race("unix-sendmmsg-second", "put a name into the second header of unix datagrams only", func(a *arena) ([]func(), error) {
			return a.raceUnixMany(false)
		}),
	}
}

// withoutDuplicates marks an attempt that gets out where the supervisor can't
// duplicate the session's sockets, and so must let calls pass.
func withoutDuplicates(a Attempt) Attempt {
	a.Guards = []string{"pidfd-getfd"}
	return a
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
	parts, number, err := a.turnUnixMessage()
	if err != nil {
		return nil, err
	}
	return append(parts, a.messenger(number), a.messenger(number)), nil
}

// turnUnixMessage lays out a message with a name, and makes the part that turns
// the descriptor of a number, which it returns.
func (a *arena) turnUnixMessage() ([]func(), int, error) {
	number, list, err := a.sendTable()
	if err != nil {
		return nil, 0, err
	}
	fd, err := openUnix(unix.SOCK_DGRAM)
	if err != nil {
		return nil, 0, fmt.Errorf("socket: %w", err)
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
	}, number, nil
}

// raceUnixMessageTable sends from a process that has one thread only: what it
// sends on is changed by the process with which it shares its descriptors.
func raceUnixMessageTable(a *arena) ([]func(), error) {
	parts, number, err := a.turnUnixMessage()
	if err != nil {
		return nil, err
	}
	header := a.at(headerAt)
	child, err := a.fork(unix.CLONE_FILES, func() {
		unix.RawSyscall(unix.SYS_SENDMSG, uintptr(number), header, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	if err != nil {
		return nil, err
	}
	child.endAfter(a.RaceFor)
	return parts, nil
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

// raceUnixControl passes a descriptor along with datagrams whose name comes and
// goes.
func raceUnixControl(a *arena) ([]func(), error) {
	rights := unix.UnixRights(0)
	parts, err := a.raceUnixMessage(unixName(a.Unix.Dgram), maxUnixName)
	a.word(headerAt+headerControl, uint64(a.put(controlAt, rights)))
	a.word(headerAt+headerControlLen, uint64(len(rights)))
	return parts, err
}

// sendForgotten has no process hold a socket for longer than a supervisor looks
// for one that does.
func sendForgotten(g *Ground) error {
	const forgotten = 4500 * time.Millisecond
	a, err := newArena(g)
	if err != nil {
		return err
	}
	fd, err := openUnix(unix.SOCK_DGRAM)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0); err != nil {
		return fmt.Errorf("put under way: %w", err)
	}
	unix.Close(fd)
	time.Sleep(forgotten)
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[1], make([]byte, 1), control, 0)
	if err != nil {
		return fmt.Errorf("take again: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) == 0 {
		return fmt.Errorf("take again: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return fmt.Errorf("take again: %w", err)
	}
	a.put(0, unixName(a.Unix.Dgram))
	a.message(headerAt, 0, maxUnixName)
	_, err = call(unix.SYS_SENDMSG, uintptr(fds[0]), a.at(headerAt), 0)
	return err
}
