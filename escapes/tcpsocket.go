package escapes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// sock is a socket, with memory of its own for what its system calls read.
// Neither is given back: they live as long as the process.
type sock struct {
	fd   uintptr
	m    memory
	next int // offset in m of what is free
}

// sockMemory has room for the largest datagram and more.
const sockMemory = 256 << 10

// newSock makes a socket from the registers as they are given.
func newSock(family, kind, protocol uintptr) (*sock, error) {
	fd, err := call(unix.SYS_SOCKET, family, kind, protocol)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return wrapSock(fd)
}

// wrapSock takes a descriptor that is there.
func wrapSock(fd uintptr) (*sock, error) {
	m, err := newMemory(sockMemory)
	return &sock{fd: fd, m: m}, err
}

// streamTo makes a TCP socket for an address.
func streamTo(to netip.AddrPort) (*sock, error) { return newSock(family(to), unix.SOCK_STREAM, 0) }

// lay copies bytes into the socket's memory and returns their address.
func (s *sock) lay(b []byte) uintptr {
	const align = 16
	at := s.next
	s.next = (at + len(b) + align) &^ (align - 1)
	return s.m.put(at, b)
}

// connect connects to an address as it is given.
func (s *sock) connect(name []byte) error {
	if _, err := call(unix.SYS_CONNECT, s.fd, s.lay(name), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

func (s *sock) bind(name []byte) error {
	if _, err := call(unix.SYS_BIND, s.fd, s.lay(name), uintptr(len(name))); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func (s *sock) write(b []byte) error {
	if _, err := call(unix.SYS_WRITE, s.fd, s.lay(b), uintptr(len(b))); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// sendto sends to an address; nil is none.
func (s *sock) sendto(b []byte, flags uintptr, name []byte) error {
	var at uintptr
	if name != nil {
		at = s.lay(name)
	}
	if _, err := call(unix.SYS_SENDTO, s.fd, s.lay(b), uintptr(len(b)), flags, at, uintptr(len(name))); err != nil {
		return fmt.Errorf("sendto: %w", err)
	}
	return nil
}

// set sets a socket option.
func (s *sock) set(level, option uintptr, value []byte) error {
	if _, err := call(unix.SYS_SETSOCKOPT, s.fd, level, option, s.lay(value), uintptr(len(value))); err != nil {
		return fmt.Errorf("set option %d of level %d: %w", option, level, err)
	}
	return nil
}

func (s *sock) setInt(level, option uintptr, value uint32) error {
	return s.set(level, option, binary.NativeEndian.AppendUint32(nil, value))
}

// bindToDevice binds to an interface, SO_BINDTODEVICE of socket(7).
func (s *sock) bindToDevice(name string) error {
	return s.set(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, []byte(name))
}

// name asks the socket for its own address.
func (s *sock) name() (netip.AddrPort, error) {
	size := s.lay(binary.NativeEndian.AppendUint32(nil, unix.SizeofSockaddrInet6))
	at := s.next
	room := s.lay(make([]byte, unix.SizeofSockaddrInet6))
	if _, err := call(unix.SYS_GETSOCKNAME, s.fd, room, size); err != nil {
		return netip.AddrPort{}, fmt.Errorf("getsockname: %w", err)
	}
	b := s.m[at:]
	port := binary.BigEndian.Uint16(b[2:])
	if binary.NativeEndian.Uint16(b) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port), nil
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port), nil
}

// ready waits until the socket can be written to, ppoll(2).
func (s *sock) ready(limit time.Duration) error {
	const pollOut = 4
	entry := binary.NativeEndian.AppendUint32(nil, uint32(s.fd))
	at := s.lay(binary.NativeEndian.AppendUint32(entry, pollOut))
	n, err := call(unix.SYS_PPOLL, at, 1, s.lay(words(0, uintptr(limit))))
	switch {
	case err != nil:
		return fmt.Errorf("poll: %w", err)
	case n == 0:
		return fmt.Errorf("poll: %w", unix.ETIMEDOUT)
	}
	return nil
}

// connectAndWrite connects to an address and writes the token.
func (s *sock) connectAndWrite(g *Ground, to netip.AddrPort) error {
	if err := s.connect(sockaddr(to)); err != nil {
		return err
	}
	return s.write([]byte(g.Token))
}

// dissolve takes a connection back, AF_UNSPEC of connect(2).
func (s *sock) dissolve() error { return s.connect(make([]byte, unix.SizeofSockaddrInet4)) }

// attemptTime bounds one attempt that does not race: a system call that hangs
// is left behind.
const attemptTime = time.Second

// bounded gives each attempt of a list its time.
func bounded(list []Attempt) []Attempt {
	for i, a := range list {
		list[i].Try = func(g *Ground) error { return within(attemptTime, func() error { return a.Try(g) }) }
	}
	return list
}

// within waits for a function no longer than that.
func within(limit time.Duration, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("nothing happened within %v", limit)
	}
}
