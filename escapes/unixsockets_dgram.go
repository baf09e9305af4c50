package escapes

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// unixDatagramAttempts send datagrams to a denied socket by every call.
func unixDatagramAttempts() []Attempt {
	attempts := []Attempt{}
	for _, one := range unixSends {
		attempts = append(attempts, Attempt{Name: one.name, Does: one.does, Try: func(g *Ground) error {
			l, err := newLocal(unix.SOCK_DGRAM)
			if err != nil {
				return err
			}
			defer unix.Close(int(l.fd))
			return one.send(g, l, pathSockaddr(g.Unix.Dgram))
		}})
	}
	return attempts
}

var unixSends = []struct {
	name, does string
	send       func(g *Ground, l *local, to []byte) error
}{
	{"unix/dgram-sendto", "send a datagram to a path by sendto", func(g *Ground, l *local, to []byte) error {
		return l.sendto(g.Token, to)
	}},
	{"unix/dgram-sendmsg", "send a datagram to a path by sendmsg", func(g *Ground, l *local, to []byte) error {
		return l.sendmsg(g.Token, to, nil)
	}},
	{"unix/dgram-sendmmsg", "send a datagram to a path by sendmmsg", func(g *Ground, l *local, to []byte) error {
		return l.sendmmsg([]unixMessage{{to: to, data: g.Token}})
	}},
	{"unix/dgram-sendmmsg-second", "send to an own socket and, in the same call, to a denied one", func(g *Ground, l *local, to []byte) error {
		if err := l.connectOwn(g); err != nil {
			return err
		}
		return l.sendmmsg([]unixMessage{{data: "first"}, {to: to, data: g.Token}})
	}},
	{"unix/dgram-sendmmsg-allowed", "send to an allowed socket and, in the same call, to a denied one", func(g *Ground, l *local, to []byte) error {
		return l.sendmmsg([]unixMessage{{to: pathSockaddr(g.Unix.AllowedDgram), data: "first"}, {to: to, data: g.Token}})
	}},
	{"unix/dgram-connected-sendto", "connect to an allowed socket, then send elsewhere by sendto", func(g *Ground, l *local, to []byte) error {
		if err := l.connect(pathSockaddr(g.Unix.AllowedDgram)); err != nil {
			return err
		}
		return l.sendto(g.Token, to)
	}},
	{"unix/dgram-connected-sendmsg", "connect to an allowed socket, then send elsewhere by sendmsg", func(g *Ground, l *local, to []byte) error {
		if err := l.connect(pathSockaddr(g.Unix.AllowedDgram)); err != nil {
			return err
		}
		return l.sendmsg(g.Token, to, nil)
	}},
	{"unix/dgram-reconnect", "connect to an allowed socket, then to a denied one", func(g *Ground, l *local, to []byte) error {
		if err := l.connect(pathSockaddr(g.Unix.AllowedDgram)); err != nil {
			return err
		}
		return l.dial(g, to)
	}},
	{"unix/dgram-unspec", "connect, dissolve by AF_UNSPEC, and connect to a denied socket", func(g *Ground, l *local, to []byte) error {
		if err := l.connect(pathSockaddr(g.Unix.AllowedDgram)); err != nil {
			return err
		}
		if err := l.connect(make([]byte, 16)); err != nil {
			return err
		}
		return l.dial(g, to)
	}},
	{"unix/dgram-autobind", "send from a socket with a name of the kernel's choice", func(g *Ground, l *local, to []byte) error {
		if err := l.bind(pathSockaddr("")[:2]); err != nil {
			return err
		}
		return l.sendto(g.Token, to)
	}},
	{"unix/dgram-credentials", "send a datagram with SCM_CREDENTIALS", func(g *Ground, l *local, to []byte) error {
		who := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())})
		return l.sendmsg(g.Token, to, who)
	}},
	{"unix/dgram-rights", "send a datagram with a descriptor", func(g *Ground, l *local, to []byte) error {
		return l.sendmsg(g.Token, to, unix.UnixRights(int(l.fd)))
	}},
	{"unix/dgram-cork", "send a datagram with MSG_MORE and MSG_CONFIRM", func(g *Ground, l *local, to []byte) error {
		m := l.m.put(512, []byte(g.Token))
		_, err := call(unix.SYS_SENDTO, l.fd, m, uintptr(len(g.Token)), unix.MSG_MORE|unix.MSG_CONFIRM, l.m.put(0, to), uintptr(len(to)))
		return err
	}},
	{"unix/dgram-pair-sendto", "send elsewhere from one end of a socket pair", func(g *Ground, _ *local, to []byte) error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		l, err := localOf(uintptr(pair[0]))
		if err != nil {
			return err
		}
		return l.sendto(g.Token, to)
	}},
}

func (l *local) sendto(text string, to []byte) error {
	_, err := call(unix.SYS_SENDTO, l.fd, l.m.put(256, []byte(text)), uintptr(len(text)), 0, l.m.put(0, to), uintptr(len(to)))
	if err != nil {
		return fmt.Errorf("sendto: %w", err)
	}
	return nil
}

func (l *local) sendmsg(text string, to, control []byte) error {
	l.lay([]unixMessage{{to, text, control}})
	if _, err := call(unix.SYS_SENDMSG, l.fd, l.m.at(0), 0); err != nil {
		return fmt.Errorf("sendmsg: %w", err)
	}
	return nil
}

func (l *local) sendmmsg(messages []unixMessage) error {
	l.lay(messages)
	n, err := call(unix.SYS_SENDMMSG, l.fd, l.m.at(0), uintptr(len(messages)), unix.MSG_DONTWAIT)
	if err != nil {
		return fmt.Errorf("sendmmsg: %w", err)
	}
	if int(n) < len(messages) {
		return fmt.Errorf("sendmmsg: %d of %d sent", n, len(messages))
	}
	return nil
}

// connectOwn connects to a datagram socket of the attempt's own.
func (l *local) connectOwn(g *Ground) error {
	if _, err := listenUnix(unix.SOCK_DGRAM, abstractSockaddr(g.Token)); err != nil {
		return err
	}
	return l.connect(abstractSockaddr(g.Token))
}

// unixMessage is what a msghdr says, recvmsg(2).
type unixMessage struct {
	to      []byte
	data    string
	control []byte
}

// Where lay puts things: the headers in a row as sendmmsg wants them, and what
// they point to in a slot for each.
const (
	headerSize            = 64 // struct mmsghdr; struct msghdr is its beginning
	slotsAt, slotSize     = 4096, 1024
	slotData, slotControl = 128, 512
	slotVector            = 896
)

// lay writes messages into memory, for sendmsg or sendmmsg.
func (l *local) lay(messages []unixMessage) {
	for i, one := range messages {
		head, slot := i*headerSize, slotsAt+i*slotSize
		clear(l.m[head : head+headerSize])
		if len(one.to) > 0 {
			l.m.word(head, uint64(l.m.put(slot, one.to)))
			l.m.half(head+8, uint32(len(one.to)))
		}
		l.m.word(slot+slotVector, uint64(l.m.put(slot+slotData, []byte(one.data))))
		l.m.word(slot+slotVector+8, uint64(len(one.data)))
		l.m.word(head+16, uint64(l.m.at(slot+slotVector)))
		l.m.word(head+24, 1)
		if len(one.control) > 0 {
			l.m.word(head+32, uint64(l.m.put(slot+slotControl, one.control)))
			binary.NativeEndian.PutUint64(l.m[head+40:], uint64(len(one.control)))
		}
	}
}
