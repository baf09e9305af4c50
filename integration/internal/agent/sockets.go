package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dial connects once and prints the errno and the milliseconds it took.
func dial(args []string) error {
	began := time.Now()
	conn, err := net.DialTimeout(args[0], args[1], 10*time.Second)
	took := time.Since(began)
	if err == nil {
		conn.Close()
	}
	fmt.Println(errnoName(err), took.Milliseconds())
	return nil
}

// udp sends one datagram on a connected and one on an unconnected socket.
func udp(args []string) error {
	fmt.Println("connected", errnoName(sendConnected(args[0])))
	fmt.Println("unconnected", errnoName(sendUnconnected(args[0])))
	return nil
}

// sendConnected is connect, write, and a read that tells what became of the
// datagram, within a second.
func sendConnected(address string) error {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("secret")); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 100))
	return err
}

// sendUnconnected is sendto with an address.
func sendUnconnected(address string) error {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.WriteTo([]byte("secret"), to)
	return err
}

// sockets prints the errno of each kind of socket that no agent gets.
func sockets([]string) error {
	kinds := []struct {
		name                   string
		family, kind, protocol int
	}{
		{"raw4", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		{"raw6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6},
		{"packet", unix.AF_PACKET, unix.SOCK_DGRAM, 0},
		{"packet-raw", unix.AF_PACKET, unix.SOCK_RAW, 0},
		{"vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		{"sctp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP},
		{"sctp-seqpacket", unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP},
		{"mptcp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP},
		{"udplite", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE},
		{"ping", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
		{"bluetooth", unix.AF_BLUETOOTH, unix.SOCK_STREAM, 3},
		{"alg", unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
		{"xdp", unix.AF_XDP, unix.SOCK_RAW, 0},
		{"netlink-audit", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT},
	}
	for _, k := range kinds {
		fd, err := unix.Socket(k.family, k.kind|unix.SOCK_CLOEXEC, k.protocol)
		if err == nil {
			unix.Close(fd)
		}
		fmt.Println(k.name, errnoName(err))
	}
	_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 8, 0, 0)
	fmt.Println("io_uring", unix.ErrnoName(errno))
	_, _, errno = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, 0)
	fmt.Println("listener", unix.ErrnoName(errno))
	fmt.Println("fastopen", errnoName(fastOpen()))
	return nil
}

// fastOpen sends the first bytes together with the connect, tcp(7).
func fastOpen() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte("secret"), unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
}

// sockname connects and prints the socket's local address and inode. The
// connection stays until standard input ends.
func sockname(args []string) error {
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var inode uint64
	err = raw.Control(func(fd uintptr) {
		var stat unix.Stat_t
		if unix.Fstat(int(fd), &stat) == nil {
			inode = stat.Ino
		}
	})
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr(), inode)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
