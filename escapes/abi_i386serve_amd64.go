package escapes

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// i386ServeAttempts have outside reach in by int 0x80.
func i386ServeAttempts() []Attempt {
	list := []Attempt{
		{Name: "abi/int80-accept", Does: "listen and accept by socketcall", Try: serving("tcp", func(r *routine, _ *Ground, wildcard uintptr, ready func()) {
			r.socketcall(callSocket, unix.AF_INET, unix.SOCK_STREAM, 0)
			r.socketcall(callBind, 0, wildcard, unix.SizeofSockaddrInet4)
			r.socketcall(callListen, 0, 1)
			ready()
			r.socketcall(callAccept, 0, 0, 0)
		})},
		{Name: "abi/int80-recvmmsg", Does: "be asked by recvmmsg and answer by sendmsg", Try: serving("udp", func(r *routine, g *Ground, wildcard uintptr, ready func()) {
			r.socketcall(callSocket, unix.AF_INET, unix.SOCK_DGRAM, 0)
			r.socketcall(callBind, 0, wildcard, unix.SizeofSockaddrInet4)
			ready()
			const room = unix.SizeofSockaddrInet4
			from := r.lay(make([]byte, room))
			r.call32(i386Recvmmsg, 0, r.message32(from, room, r.lay(make([]byte, 64)), 64), 1, 0, 0)
			text, length := r.token(g)
			r.call32(i386Sendmsg, 0, r.message32(from, room, text, length), 0)
		})},
	}
	for i := range list {
		list[i].Needs = []Need{NeedOuter}
	}
	return describe("32-bit calls by int 0x80: ", list)
}

// serving has a child serve at the wildcard address, and outside call it once
// the child has said that it is ready.
func serving(network string, write func(r *routine, g *Ground, wildcard uintptr, ready func())) func(*Ground) error {
	return func(g *Ground) error {
		from, to, err := os.Pipe()
		if err != nil {
			return err
		}
		defer from.Close()
		defer to.Close()
		r, err := newRoutine()
		if err != nil {
			return err
		}
		port := listenPort(g)
		r.call32(i386Close, 0)
		write(r, g, r.lay(sockaddr(netip.AddrPortFrom(netip.IPv4Unspecified(), port))), func() {
			r.call32(i386Write, to.Fd(), r.lay([]byte{1}), 1)
		})
		pid, err := r.start(uintptr(unix.SIGCHLD))
		if err != nil {
			return err
		}
		to.Close() // a child that is ended then ends the reading
		if err := from.SetReadDeadline(time.Now().Add(attemptTime / 2)); err != nil {
			return errors.Join(err, endChild(pid))
		}
		if _, err := from.Read(make([]byte, 1)); err != nil {
			return errors.Join(err, awaitEnd(pid))
		}
		called := g.Listens(network, netip.AddrPortFrom(g.Host4, port).String())
		return errors.Join(called, endChild(pid))
	}
}
