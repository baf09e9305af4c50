package escapes

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// udpSurrogateAttempts take the UDP socket for what a boundary may have given
// instead of one: one end of a pair of unix sockets.
func udpSurrogateAttempts() []Attempt {
	path := func(g *Ground) []byte { return pathSockaddr(g.Unix.Dgram) }
	allowed := func(g *Ground) []byte { return sockaddr(g.Allowed.AddrPort4()) }
	list := []Attempt{
		{Name: "udp/as-unix-connect", Does: "connect the UDP socket to a unix socket's path", Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
			if err := s.connect(path(g)); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "udp/as-unix-connect-abstract", Does: "connect the UDP socket to an abstract unix socket", Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
			if err := s.connect(abstractSockaddr(g.Unix.AbstractDgram)); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "udp/as-unix-sendto", Does: "send from the UDP socket to a unix socket's path", Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
			return s.sendto([]byte(g.Token), 0, path(g))
		})},
		{Name: "udp/as-unix-sendmsg", Does: "send from the UDP socket to a unix socket's path with sendmsg", Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
			return s.sendmsg(0, g.text(path(g)))
		})},
		{Name: "udp/as-unix-sendmmsg", Does: "send from the UDP socket to a unix socket's path, as the second message",
			Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
				if err := s.connect(allowed(g)); err != nil {
					return err
				}
				return s.sendmmsg(0, message{parts: [][]byte{{0}}}, g.text(path(g)))
			})},
		{Name: "udp/as-unix-bind", Does: "bind the UDP socket to a path, and have it connect where it may not", Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
			_ = s.bind(pathSockaddr(g.Dir + "/bound")) // it goes on with the name that it has
			if err := s.dissolve(); err != nil {
				return err
			}
			if err := s.connect(path(g)); err != nil {
				return err
			}
			return s.write([]byte(g.Token))
		})},
		{Name: "udp/peer-by-credentials", Does: "ask the UDP socket who made it, and take sockets from there", Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
			pid, err := s.ask(unix.SO_PEERCRED, 12) // struct ucred
			if err != nil {
				return err
			}
			pidfd, err := call(unix.SYS_PIDFD_OPEN, uintptr(pid), 0)
			if err != nil {
				return fmt.Errorf("pidfd_open: %w", err)
			}
			return sendStolen(g, pidfd)
		})},
		{Name: "udp/peer-by-descriptor", Does: "ask the UDP socket for a descriptor of its maker, and take sockets from there",
			Try: sending(denied4, func(s *sock, g *Ground, _ []byte) error {
				pidfd, err := s.ask(unix.SO_PEERPIDFD, 4)
				if err != nil {
					return err
				}
				return sendStolen(g, uintptr(pidfd))
			})},
	}
	for i := range list {
		list[i].Rare = true // a UDP socket is none of this
	}
	return append(list, []Attempt{
		{Name: "udp/with-descriptors", Does: "send open sockets along with a datagram", Try: connected(func(s *sock, g *Ground) error {
			m := g.text(nil)
			m.control = controlMessage(unix.SOL_SOCKET, unix.SCM_RIGHTS, binary.NativeEndian.AppendUint32(nil, uint32(s.fd)))
			return s.sendmsg(0, m)
		})},
		{Name: "udp/with-credentials", Does: "send credentials along with a datagram", Try: connected(func(s *sock, g *Ground) error {
			m := g.text(nil)
			who := binary.NativeEndian.AppendUint32(nil, uint32(unix.Getpid()))
			who = binary.NativeEndian.AppendUint32(who, uint32(unix.Getuid()))
			m.control = controlMessage(unix.SOL_SOCKET, unix.SCM_CREDENTIALS, binary.NativeEndian.AppendUint32(who, uint32(unix.Getgid())))
			return s.sendmsg(0, m)
		})},
	}...)
}

// ask reads the first number of a socket option.
func (s *sock) ask(option, size uintptr) (uint32, error) {
	at := s.next
	room := s.lay(make([]byte, size))
	if _, err := call(unix.SYS_GETSOCKOPT, s.fd, unix.SOL_SOCKET, option, room, s.lay(words(size))); err != nil {
		return 0, fmt.Errorf("get option %d: %w", option, err)
	}
	return binary.NativeEndian.Uint32(s.m[at:]), nil
}

// sendStolen takes descriptors of a process and sends where that is possible.
func sendStolen(g *Ground, pidfd uintptr) error {
	err := error(unix.EBADF)
	for fd := range uintptr(64) {
		taken, failed := call(unix.SYS_PIDFD_GETFD, pidfd, fd, 0)
		if failed != nil {
			err = failed
			continue
		}
		s, failed := wrapSock(taken)
		if failed != nil {
			return failed
		}
		_ = s.sendto([]byte(g.Token), unix.MSG_DONTWAIT, sockaddr(denied4(g))) // most are something else
	}
	return err
}
