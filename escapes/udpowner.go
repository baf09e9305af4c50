package escapes

import (
	"golang.org/x/sys/unix"
)

// udpOwnerAttempts send from other threads and processes than the socket's.
func udpOwnerAttempts() []Attempt {
	machine := []Need{NeedAMD64}
	return []Attempt{
		{Name: "udp/passed", Does: "send on a socket that came back through a unix socket", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			again, err := s.passed()
			if err != nil {
				return err
			}
			return again.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/passed-connected", Does: "connect, pass the socket on, and write", Try: connected(func(s *sock, g *Ground) error {
			again, err := s.passed()
			if err != nil {
				return err
			}
			return again.write([]byte(g.Token))
		})},
		{Name: "udp/forked", Does: "send on a shared socket in a forked child", Needs: machine, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			return s.child(0, []step{s.sendStep(g, to)})
		})},
		{Name: "udp/vforked", Does: "send in a vforked child", Needs: machine, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			return s.child(unix.CLONE_VM|unix.CLONE_VFORK, []step{s.sendStep(g, to)})
		})},
		{Name: "udp/forked-late", Does: "write in a child once its parent has closed the socket", Needs: machine, Try: connected(func(s *sock, g *Ground) error {
			pid, err := s.start(0, []step{s.pause(attemptTime / 5), s.writeStep(g)})
			if err != nil {
				return err
			}
			unix.Close(int(s.fd))
			return reap(pid)
		})},
		{Name: "udp/executed", Does: "send on a socket from before an exec", Try: func(g *Ground) error {
			return acrossExec(func() (*sock, error) { return datagramTo(denied4(g)) }, func(s *sock) error {
				return s.sendto([]byte(g.Token), 0, sockaddr(denied4(g)))
			})
		}},
		{Name: "udp/executed-connected", Does: "connect, exec, and write", Try: func(g *Ground) error {
			return acrossExec(func() (*sock, error) {
				s, err := datagramTo(denied4(g))
				if err != nil {
					return nil, err
				}
				return s, s.connect(sockaddr(denied4(g)))
			}, func(s *sock) error { return s.write([]byte(g.Token)) })
		}},
		{Name: "udp/made-in-child", Does: "send on a socket that a child made, taken by pidfd_getfd", Needs: machine, Try: func(g *Ground) error {
			s, err := madeInChild(unix.SOCK_DGRAM)
			if err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, sockaddr(denied4(g)))
		}},
		{Name: "udp/other-user", Does: "send in a thread that took another user", Needs: []Need{NeedRoot}, Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			return asNobody(func() error { return s.sendto([]byte(g.Token), 0, to) })
		})},
		{Name: "udp/own-files", Does: "send where one number is two sockets in two threads", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			pair, _, err := unixPair(unix.SOCK_STREAM)
			if err != nil {
				return err
			}
			return onOwnThread(func() error {
				if err := unix.Unshare(unix.CLONE_FILES); err != nil {
					return err
				}
				// In the others' table the number stays a unix socket.
				if err := unix.Dup3(int(s.fd), int(pair.fd), 0); err != nil {
					return err
				}
				s.fd = pair.fd
				return s.sendto([]byte(g.Token), 0, to)
			})
		})},
	}
}

// sendStep sends the token to an address.
func (s *sock) sendStep(g *Ground, to []byte) step {
	text := []byte(g.Token)
	return step{number: unix.SYS_SENDTO, args: [6]uintptr{
		s.fd, s.lay(text), uintptr(len(text)), unix.MSG_NOSIGNAL, s.lay(to), uintptr(len(to)),
	}}
}
