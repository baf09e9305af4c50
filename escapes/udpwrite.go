package escapes

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// udpWriteAttempts are the calls without an address, on a connected socket.
func udpWriteAttempts() []Attempt {
	return []Attempt{
		{Name: "udp/write", Does: "connect and write", Try: connected(func(s *sock, g *Ground) error { return s.write([]byte(g.Token)) })},
		{Name: "udp/send", Does: "connect and send without an address", Try: connected(func(s *sock, g *Ground) error {
			return s.sendto([]byte(g.Token), 0, nil)
		})},
		{Name: "udp/connected-sendmsg", Does: "connect and use sendmsg without an address", Try: connected(func(s *sock, g *Ground) error {
			return s.sendmsg(0, g.text(nil))
		})},
		{Name: "udp/connected-sendmmsg", Does: "connect and use sendmmsg without an address", Try: connected(func(s *sock, g *Ground) error {
			return s.sendmmsg(0, g.text(nil), g.text(nil))
		})},
		{Name: "udp/writev", Does: "connect and write from several places", Try: connected(func(s *sock, g *Ground) error {
			_, err := call(unix.SYS_WRITEV, s.fd, s.vector(g), 2)
			return err
		})},
		{Name: "udp/pwritev2", Does: "connect and write at no position", Try: connected(func(s *sock, g *Ground) error {
			const none = ^uintptr(0)
			_, err := call(unix.SYS_PWRITEV2, s.fd, s.vector(g), 2, none, none, 0)
			return err
		})},
		{Name: "udp/sendfile", Does: "connect and send a file", Try: connected(func(s *sock, g *Ground) error {
			file, err := g.tokenFile()
			if err != nil {
				return err
			}
			_, err = call(unix.SYS_SENDFILE, s.fd, file, 0, uintptr(len(g.Token)))
			return err
		})},
		{Name: "udp/splice", Does: "connect and splice from a pipe", Try: connected(func(s *sock, g *Ground) error {
			return s.splice(g, func(pipe uintptr) error {
				_, err := call(unix.SYS_WRITE, pipe, s.lay([]byte(g.Token)), uintptr(len(g.Token)))
				return err
			})
		})},
		{Name: "udp/vmsplice", Does: "connect and splice from memory lent to a pipe", Try: connected(func(s *sock, g *Ground) error {
			return s.splice(g, func(pipe uintptr) error {
				_, err := call(unix.SYS_VMSPLICE, pipe, s.vector(g), 2, 0)
				return err
			})
		})},
		{Name: "udp/tee", Does: "connect and splice from a pipe that another one was copied to", Try: connected(func(s *sock, g *Ground) error {
			return s.splice(g, func(pipe uintptr) error {
				read, write, err := s.pipe()
				if err != nil {
					return err
				}
				if _, err := call(unix.SYS_WRITE, write, s.lay([]byte(g.Token)), uintptr(len(g.Token))); err != nil {
					return err
				}
				_, err = call(unix.SYS_TEE, read, pipe, uintptr(len(g.Token)), 0)
				return err
			})
		})},
		{Name: "udp/aio", Does: "connect and have the kernel write later", Try: connected(writeLater)},
		{Name: "udp/reopened", Does: "connect and write through a duplicate of the descriptor", Try: connected(func(s *sock, g *Ground) error {
			number, err := call(unix.SYS_FCNTL, s.fd, unix.F_DUPFD, 100)
			if err != nil {
				return err
			}
			unix.Close(int(s.fd))
			s.fd = number
			return s.write([]byte(g.Token))
		})},
		{Name: "udp/connected-corked", Does: "connect, cork, write twice and uncork", Try: connected(func(s *sock, g *Ground) error {
			if err := s.setInt(unix.SOL_UDP, unix.UDP_CORK, 1); err != nil {
				return err
			}
			half := len(g.Token) / 2
			for _, part := range []string{g.Token[:half], g.Token[half:]} {
				if err := s.write([]byte(part)); err != nil {
					return err
				}
			}
			return s.setInt(unix.SOL_UDP, unix.UDP_CORK, 0)
		})},
		{Name: "udp/connected-more", Does: "connect, and say that more comes of a datagram before the rest", Try: connected(func(s *sock, g *Ground) error {
			half := len(g.Token) / 2
			if err := s.sendto([]byte(g.Token[:half]), unix.MSG_MORE, nil); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token[half:]), 0, nil)
		})},
		{Name: "udp/connected-elsewhere", Does: "connect where it may and send elsewhere", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.connect(sockaddr(g.Allowed.AddrPort4())); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
		{Name: "udp/reconnected", Does: "connect where it may, write, connect elsewhere and write at once", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			for range 20 {
				for _, name := range [][]byte{sockaddr(g.Allowed.AddrPort4()), to} {
					if err := s.connect(name); err != nil {
						return err
					}
					// The error may be of the datagram before.
					_ = s.write([]byte(g.Token))
				}
			}
			return nil
		})},
		{Name: "udp/written-before", Does: "write first, and connect before that was looked at", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			for range 20 {
				if err := s.connect(to); err != nil {
					return err
				}
				_ = s.write([]byte(g.Token)) // refused, where somebody looks
				if err := s.connect(sockaddr(g.Allowed.AddrPort4())); err != nil {
					return err
				}
			}
			return nil
		})},
		{Name: "udp/dissolved", Does: "connect where it may, dissolve that, and send elsewhere", Try: sending(denied4, func(s *sock, g *Ground, to []byte) error {
			if err := s.connect(sockaddr(g.Allowed.AddrPort4())); err != nil {
				return err
			}
			if err := s.dissolve(); err != nil {
				return err
			}
			return s.sendto([]byte(g.Token), 0, to)
		})},
	}
}

// vector lays the token out in two parts and returns the struct iovecs.
func (s *sock) vector(g *Ground) uintptr {
	half := len(g.Token) / 2
	a, b := []byte(g.Token[:half]), []byte(g.Token[half:])
	return s.lay(words(s.lay(a), uintptr(len(a)), s.lay(b), uintptr(len(b))))
}

// tokenFile is a file in memory with the token in it.
func (g *Ground) tokenFile() (uintptr, error) {
	file, err := unix.MemfdCreate("text", 0)
	if err != nil {
		return 0, fmt.Errorf("memfd_create: %w", err)
	}
	if _, err := unix.Pwrite(file, []byte(g.Token), 0); err != nil {
		return 0, err
	}
	return uintptr(file), nil
}

func (s *sock) pipe() (read, write uintptr, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], 0); err != nil {
		return 0, 0, fmt.Errorf("pipe: %w", err)
	}
	return uintptr(ends[0]), uintptr(ends[1]), nil
}

// splice has a pipe filled and moved to the socket, splice(2).
func (s *sock) splice(g *Ground, fill func(pipe uintptr) error) error {
	read, write, err := s.pipe()
	if err != nil {
		return err
	}
	if err := fill(write); err != nil {
		return fmt.Errorf("fill pipe: %w", err)
	}
	for left := len(g.Token); left > 0; {
		n, err := call(unix.SYS_SPLICE, read, 0, s.fd, 0, uintptr(left), unix.SPLICE_F_MORE)
		if err != nil || n == 0 {
			return fmt.Errorf("splice: %w", err)
		}
		left -= int(n)
	}
	// What was said to have more behind it goes with the rest.
	return s.write([]byte(g.Token))
}

// writeLater writes by asynchronous input and output, io_submit(2).
func writeLater(s *sock, g *Ground) error {
	at := s.next
	context := s.lay(make([]byte, 8))
	if _, err := call(unix.SYS_IO_SETUP, 1, context); err != nil {
		return fmt.Errorf("io_setup: %w", err)
	}
	const commandWrite = 1 // IOCB_CMD_PWRITE, <linux/aio_abi.h>
	block := words(0, 0)   // struct iocb: aio_data, aio_key and aio_rw_flags
	block = binary.NativeEndian.AppendUint16(block, commandWrite)
	block = binary.NativeEndian.AppendUint16(block, 0)
	block = binary.NativeEndian.AppendUint32(block, uint32(s.fd))
	text := []byte(g.Token)
	block = append(block, words(s.lay(text), uintptr(len(text)), 0, 0, 0)...)
	list := s.lay(words(s.lay(block)))
	if _, err := call(unix.SYS_IO_SUBMIT, uintptr(binary.NativeEndian.Uint64(s.m[at:])), 1, list); err != nil {
		return fmt.Errorf("io_submit: %w", err)
	}
	return nil
}
