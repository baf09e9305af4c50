package escapes

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// inherit opens what is handed to every attempt, as a caller does who is
// careless with descriptors.
func (r *Referee) inherit() error {
	connected, err := r.dialOwn()
	if err != nil {
		return fmt.Errorf("connect for others: %w", err)
	}
	r.hand("connected", connected)
	pair, err := r.pair()
	if err != nil {
		return fmt.Errorf("make pair for others: %w", err)
	}
	r.hand("pair", pair)
	to := r.ground.Denied.AddrPort4()
	for _, one := range []struct {
		name string
		open func() (*os.File, error)
	}{
		{"stream", func() (*os.File, error) { return openSocket(unix.SOCK_STREAM, nil) }},
		{"datagram", func() (*os.File, error) { return openSocket(unix.SOCK_DGRAM, nil) }},
		{"datagram-connected", func() (*os.File, error) { return openSocket(unix.SOCK_DGRAM, &to) }},
		{"root", func() (*os.File, error) { return os.Open("/") }},
		{"netns", r.outsideNamespace},
		{"ring", r.openRing},
		{"packet", r.packetSocket},
		{"listener", r.ownListener},
	} {
		var file *os.File
		err := r.options.Inside(func() (err error) {
			file, err = one.open()
			return err
		})
		if err != nil {
			return fmt.Errorf("open %s for others: %w", one.name, err)
		}
		if file != nil {
			r.hand(one.name, file)
		}
	}
	return r.inheritHigh()
}

// inheritHigh hands a connection over at a number beyond what a loop over the
// low ones closes, where the limit of descriptors lets it.
func (r *Referee) inheritHigh() error {
	const number = 1000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur <= number {
		return err
	}
	high, err := r.dialOwn()
	if err != nil {
		return fmt.Errorf("connect for others: %w", err)
	}
	const skipped = 3 + 3 // the standard streams, and what hand leaves free
	r.files = append(r.files, make([]*os.File, number-skipped-len(r.files))...)
	r.hand("high", high)
	return nil
}

// hand adds a descriptor to what every attempt inherits. Between them are
// numbers that are free, as they are with real programs.
func (r *Referee) hand(name string, file *os.File) {
	r.files = append(r.files, nil, nil, nil, file)
	r.ground.Inherited[name] = 3 + len(r.files) - 1
}

// openSocket makes an IPv4 socket, connected to an address where there is one.
func openSocket(kind int, to *netip.AddrPort) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "socket")
	if to == nil {
		return file, nil
	}
	return file, unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}

// outsideNamespace opens the network namespace outside, from which Inside is to
// be kept: the calling thread's own must not be returned.
func (r *Referee) outsideNamespace() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", r.outsideThread))
}

// pair makes a unix socket pair. What is written to its one end has got out.
func (r *Referee) pair() (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	mine := os.NewFile(uintptr(fds[0]), "pair")
	defer mine.Close()
	conn, err := net.FileConn(mine)
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, conn)
	go r.datagrams(conn, "unixgram", true)
	return os.NewFile(uintptr(fds[1]), "pair"), nil
}

// packetSocket makes a packet socket on the interface that leads out, packet(7);
// nil where there is none.
func (r *Referee) packetSocket() (*os.File, error) {
	if r.options.Outer == "" {
		return nil, nil
	}
	device, err := net.InterfaceByName(r.options.Outer)
	if err != nil {
		return nil, err
	}
	// Of no protocol: it is there to send, and nobody reads it.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packet"), unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index})
}

// ownListener listens on the outer address; nil where there is none.
func (r *Referee) ownListener() (*os.File, error) {
	if r.options.Outer == "" {
		return nil, nil
	}
	file, err := openSocket(unix.SOCK_STREAM, nil)
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: r.options.Host4.As4()}); err != nil {
		return nil, err
	}
	return file, unix.Listen(fd, 16)
}

// openRing makes an io_uring of eight entries, io_uring_setup(2); nil where the
// kernel has none.
func (r *Referee) openRing() (*os.File, error) {
	m, err := newMemory(4096)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Munmap(m) }()
	fd, err := call(unix.SYS_IO_URING_SETUP, 8, m.at(0))
	if err != nil {
		return nil, nil
	}
	// struct io_uring_params, sq_off: tail, ring_mask and array.
	offset := func(at int) uint32 { return binary.NativeEndian.Uint32(m[at:]) }
	r.ground.Ring = Ring{Tail: offset(44), Mask: offset(48), Array: offset(64)}
	return os.NewFile(fd, "ring"), nil
}
