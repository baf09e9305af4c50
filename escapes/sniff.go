package escapes

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// sniff looks at every packet that arrives on outside's end of the link,
// packet(7).
func (r *Referee) sniff() error {
	if r.options.Device == "" {
		return nil
	}
	device, err := net.InterfaceByName(r.options.Device)
	if err != nil {
		return err
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device.Index}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("bind packet socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), "packets")
	r.closers = append(r.closers, file)
	go r.packets(file)
	return nil
}

// packets notes what a packet carries or where it goes.
func (r *Referee) packets(file *os.File) {
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buf, 0)
			return failed != unix.EAGAIN
		})
		if err != nil || failed != nil && failed != unix.EINTR && failed != unix.ENETDOWN {
			return
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype != unix.PACKET_OUTGOING {
			r.packet(buf[:n])
		}
	}
}

// packet judges one packet: it has got out where it carries a token past the
// allowed peer, or is for the denied one or astray and opens something or
// carries data.
func (r *Referee) packet(b []byte) {
	p, ok := parsePacket(b)
	r.mu.Lock()
	token := r.token
	r.mu.Unlock()
	carries := tokenForm.Match(b) || tellsGroup(b, token)
	switch {
	case ok && r.isAllowed(p):
	case carries:
		r.note("packet", p.String(), b)
	case ok && (r.isDenied(p.to) || r.isStray(p)) && p.opens() && !r.isOwn(netip.AddrPortFrom(p.from, p.fromPort)):
		r.note("packet", p.String(), nil)
	}
}

func (r *Referee) isAllowed(p packet) bool {
	a := r.ground.Allowed
	return (p.to == a.V4 || p.to == a.V6) && p.toPort == a.Port
}

func (r *Referee) isDenied(to netip.Addr) bool {
	return to == r.ground.Denied.V4 || to == r.ground.Denied.V6
}

// isStray tells whether a TCP packet is for an address that nobody has reason
// to call: loopback, or a router that is to pass it on.
func (r *Referee) isStray(p packet) bool {
	g := &r.ground
	return p.proto == unix.IPPROTO_TCP && p.to != g.Allowed.V4 && p.to != g.Allowed.V6 && p.to != g.Nameserver.Addr()
}

// packet is what is read of an IP packet.
type packet struct {
	from, to         netip.Addr
	proto            byte
	fromPort, toPort uint16
	flags            byte // of TCP
	data             int  // bytes behind the TCP header
	kind             byte // of ICMP
}

// String tells a packet for people.
func (p packet) String() string {
	return fmt.Sprintf("packet of protocol %d from %v to %v", p.proto, p.from, netip.AddrPortFrom(p.to, p.toPort))
}

// opens tells whether a packet to the denied peer is more than what a kernel
// says by itself: the end of a connection, a neighbour's answer.
func (p packet) opens() bool {
	const syn, ack = 1 << 1, 1 << 4
	switch p.proto {
	case unix.IPPROTO_TCP:
		return p.flags&(syn|ack) == syn || p.data > 0
	case unix.IPPROTO_ICMP:
		return p.kind != 3 // destination unreachable
	case unix.IPPROTO_ICMPV6:
		return p.kind >= 128 && p.kind < 130 // echo
	}
	return true
}

// parsePacket reads an IP packet's head and what follows it.
func parsePacket(b []byte) (packet, bool) {
	var p packet
	var rest []byte
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head := int(b[0]&15) * 4
		total := int(binary.BigEndian.Uint16(b[2:]))
		if head < 20 || total < head || total > len(b) {
			return p, false
		}
		p.proto = b[9]
		p.from, _ = netip.AddrFromSlice(b[12:16])
		p.to, _ = netip.AddrFromSlice(b[16:20])
		rest = b[head:total]
	case len(b) >= 40 && b[0]>>4 == 6:
		p.proto = b[6]
		p.from, _ = netip.AddrFromSlice(b[8:24])
		p.to, _ = netip.AddrFromSlice(b[24:40])
		rest = b[40:]
	default:
		return p, false
	}
	p.transport(rest)
	return p, true
}

// transport reads the head of the transport protocol.
func (p *packet) transport(b []byte) {
	switch {
	case p.proto == unix.IPPROTO_ICMP || p.proto == unix.IPPROTO_ICMPV6:
		if len(b) > 0 {
			p.kind = b[0]
		}
	case len(b) >= 4:
		p.fromPort, p.toPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	}
	if p.proto == unix.IPPROTO_TCP && len(b) >= 20 {
		p.flags, p.data = b[13], len(b)-int(b[12]>>4)*4
	}
}
