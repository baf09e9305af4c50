package escapes

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNamespace starts a part in namespaces of its own, in which it is root.
func (a *arena) inNamespace(name string, flags uintptr) error {
	cmd := a.part(name)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if _, err := cmd.StdinPipe(); err != nil { // see endsWithParent
		return err
	}
	_, err := a.startPart(cmd)
	return err
}

// newDeafArena makes an arena where what is sent to loopback is dropped, with
// the address of a web server at its beginning.
func newDeafArena(g *Ground) (*arena, error) {
	endsWithParent()
	a, err := newArena(g)
	if err != nil {
		return nil, err
	}
	to := a.Denied
	to.Port = webPorts[0]
	a.put(0, sockaddr(to.AddrPort4()))
	return a, dropLoopback()
}

// namespacePart connects, for HTTP, in a network namespace where what is sent
// to loopback is dropped.
func namespacePart(g *Ground, _ []string) error {
	a, err := newDeafArena(g)
	if err != nil {
		return err
	}
	a.crowd(crowdSize, func(int) {
		if fd, err := openTCP(unix.AF_INET, 0); err == nil {
			_ = a.connect(fd, 0, unix.SizeofSockaddrInet4)
			unix.Close(fd)
		}
	})
	ready()
	select {}
}

// dropLoopback makes 127.0.0.0/8 a network beyond lo: packets that come back
// from there have no way on (rtnetlink(7)).
func dropLoopback() error {
	const loopbackIndex = 1
	up := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(up[4:], loopbackIndex)
	binary.NativeEndian.PutUint32(up[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(up[12:], unix.IFF_UP)
	index := binary.NativeEndian.AppendUint32(nil, loopbackIndex)
	route := func(table, kind, scope byte) []byte {
		head := []byte{unix.AF_INET, 8, 0, 0, table, unix.RTPROT_STATIC, scope, kind, 0, 0, 0, 0} // struct rtmsg
		return append(append(append(head, trafficAttribute(unix.RTA_DST, []byte{127, 0, 0, 0})...),
			trafficAttribute(unix.RTA_OIF, index)...), trafficAttribute(unix.RTA_PREFSRC, []byte{127, 0, 0, 1})...)
	}
	local := route(unix.RT_TABLE_LOCAL, unix.RTN_LOCAL, unix.RT_SCOPE_HOST)
	local[5] = unix.RTPROT_UNSPEC // whoever made it
	for _, m := range []struct {
		kind, flags uint16
		body        []byte
	}{
		{unix.RTM_NEWLINK, 0, up},
		{unix.RTM_DELROUTE, 0, local},
		{unix.RTM_NEWROUTE, unix.NLM_F_CREATE, route(unix.RT_TABLE_MAIN, unix.RTN_UNICAST, unix.RT_SCOPE_LINK)},
	} {
		if err := askRoute(m.kind, m.flags, m.body); err != nil {
			return fmt.Errorf("netlink message %d: %w", m.kind, err)
		}
	}
	return nil
}

// trafficAttribute is a struct rtattr with its value.
func trafficAttribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// askRoute makes one request of the routing family, by plain writes and reads.
func askRoute(kind, flags uint16, body []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	b = append(append(b, make([]byte, 8)...), body...)
	if _, err := unix.Write(fd, b); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, err := unix.Read(fd, answer)
	if err != nil || n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("no answer: %w", err)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// fusePart connects to a path on a file system of its own that answers nothing.
func fusePart(g *Ground, _ []string) error {
	endsWithParent()
	a, err := newArena(g)
	if err != nil {
		return err
	}
	dir := filepath.Join(a.Dir, "stall-mount")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("fuse", dir, "fuse", 0, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := unix.Chdir(a.Dir); err != nil {
		return err
	}
	a.put(0, unixName("stall-mount/socket"))
	a.put(256, unixName(dir+"/socket"))
	a.crowd(crowdSize, func(i int) {
		if fd, err := openUnix(unix.SOCK_STREAM); err == nil {
			_ = a.connect(fd, i%2*256, maxUnixName)
			unix.Close(fd)
		}
	})
	ready()
	select {}
}

// stallLinks makes forty symbolic links, each of thousands of steps through the
// next.
func stallLinks(a *arena) error {
	dir := filepath.Join(a.Dir, "stall-links")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir+"/d", 0o755); err != nil {
		return err
	}
	const links, longest = 39, 4000 // MAXSYMLINKS less one, PATH_MAX less a bit
	steps := strings.Repeat("d/../", longest/5)
	for i := range links {
		if err := os.Symlink(fmt.Sprintf("%sl%d", steps, i+1), fmt.Sprintf("%s/l%d", dir, i)); err != nil {
			return err
		}
	}
	if err := os.Symlink(a.Unix.Stream, fmt.Sprintf("%s/l%d", dir, links)); err != nil {
		return err
	}
	a.put(0, unixName(dir+"/l0"))
	a.crowd(2*crowdSize, func(int) {
		if fd, err := openUnix(unix.SOCK_STREAM); err == nil {
			_ = a.connect(fd, 0, maxUnixName)
			unix.Close(fd)
		}
	})
	return nil
}

// stallSockets has processes open as many sockets as they may.
func stallSockets(a *arena) error {
	for range 3 {
		if err := a.inBackground("sockets"); err != nil {
			return err
		}
	}
	return nil
}

// inBackground starts a part that ends with this process.
func (a *arena) inBackground(name string) error {
	cmd := a.part(name)
	if _, err := cmd.StdinPipe(); err != nil { // see endsWithParent
		return err
	}
	_, err := a.startPart(cmd)
	return err
}

// socketsPart opens sockets until it may not, UDP and TCP by turns, and waits.
func socketsPart(*Ground, []string) error {
	endsWithParent()
	ready()
	for {
		_, udp := openUDP(unix.AF_INET)
		_, tcp := openTCP(unix.AF_INET, 0)
		if udp != nil && tcp != nil {
			select {}
		}
	}
}

// stallPorts has processes hold many descriptors, and then asks for a port that
// is taken: a supervisor that looks into /proc for who has it looks long.
func stallPorts(a *arena) error {
	for range 8 {
		if err := a.inBackground("hoard"); err != nil {
			return err
		}
	}
	taken := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 40044}
	holder, err := openUDP(unix.AF_INET)
	if err != nil {
		return err
	}
	if err := unix.Bind(holder, &taken); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	stream, err := openTCP(unix.AF_INET, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(stream, &taken); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	a.crowd(crowdSize/4, func(int) {
		if fd, err := openUDP(unix.AF_INET); err == nil {
			_ = unix.Bind(fd, &taken)
			unix.Close(fd)
		}
		if fd, err := openTCP(unix.AF_INET, 0); err == nil {
			_ = unix.Bind(fd, &taken)
			unix.Close(fd)
		}
	})
	return nil
}

// hoardPart has many descriptors of one file.
func hoardPart(*Ground, []string) error {
	endsWithParent()
	for {
		if _, err := unix.Dup(0); err != nil {
			ready()
			select {}
		}
	}
}
