package escapes

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// deniedAt is where a tracee has the denied address.
const deniedAt = 64

// traceeStep connects where it may, and writes the token.
func traceeStep(g *Ground) error { return tracee(g, nil) }

// filteredTraceeStep has a filter of its own that asks the tracer.
func filteredTraceeStep(g *Ground) error {
	return tracee(g, func() error { return setFilter(0, unix.SYS_GETPPID, retTrace) })
}

func tracee(g *Ground, before func() error) error {
	return onThread(func() error {
		s, err := newTracee(g)
		if err != nil {
			return err
		}
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		s.sayReady()
		_, _ = call(unix.SYS_GETPPID)
		_, err = call(unix.SYS_CONNECT, s.fd, s.m.at(0), unix.SizeofSockaddrInet4)
		_, written := call(unix.SYS_WRITE, s.fd, s.m.put(512, []byte(g.Token)), uintptr(len(g.Token)))
		return errors.Join(err, written)
	})
}

// newTracee lays out what the tracer knows.
func newTracee(g *Ground) (*inet, error) {
	s, err := newInet(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	s.m.put(0, sockaddr(g.Allowed.AddrPort4()))
	s.m.put(deniedAt, sockaddr(g.Denied.AddrPort4()))
	return s, nil
}

// sayReady says what the tracer must know, and waits until it has begun.
func (s *inet) sayReady() { sayReady(fmt.Sprintln(unix.Gettid(), s.fd, s.m.at(0))) }

// socketTraceeStep makes a unix socket, and sends to an IP address.
func socketTraceeStep(g *Ground) error {
	return onThread(func() error {
		s, err := newTracee(g)
		if err != nil {
			return err
		}
		s.sayReady()
		fd, err := call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		text := s.m.put(512, []byte(g.Token))
		_, err = call(unix.SYS_SENDTO, fd, text, uintptr(len(g.Token)), 0, s.m.at(deniedAt), unix.SizeofSockaddrInet4)
		return err
	})
}

// loopTraceeStep connects where it may, again and again.
func loopTraceeStep(g *Ground) error {
	return onThread(func() error {
		s, err := newTracee(g)
		if err != nil {
			return err
		}
		s.sayReady()
		g.until(func() {
			fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return
			}
			if _, err := call(unix.SYS_CONNECT, fd, s.m.at(0), unix.SizeofSockaddrInet4); err == nil {
				_, _ = call(unix.SYS_WRITE, fd, s.m.put(512, []byte(g.Token)), uintptr(len(g.Token)))
			}
			unix.Close(int(fd))
		})
		return nil
	})
}
