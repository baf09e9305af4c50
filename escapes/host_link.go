package escapes

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// linkAttempts change interfaces and make new ones.
func linkAttempts() []Attempt {
	return []Attempt{
		{Name: "host/interface", Does: "change an interface", Needs: inField, Try: func(g *Ground) error {
			return interfaceIoctl(unix.SIOCSIFTXQLEN, g.Outer, nativeUint32(uint32(500+g.number())))
		}},
		{Name: "host/interface-flags", Does: "change an interface's flags", Needs: inField, Try: toggleDebug},
		{Name: "host/interface-netlink", Does: "change an interface by netlink", Needs: inField, Try: func(g *Ground) error {
			return routeChange(unix.RTM_SETLINK, 0, linkHead(loopbackIndex), attribute(unix.IFLA_MTU, nativeUint32(uint32(60000+g.number()))))
		}},
		{Name: "host/bridge", Does: "make a bridge", Needs: inField, Try: func(g *Ground) error {
			m, err := newMemory(4096)
			if err != nil {
				return err
			}
			at := m.put(0, []byte(newLinkName(g)))
			return onTCP(func(fd uintptr) error {
				_, err := call(unix.SYS_IOCTL, fd, unix.SIOCBRADDBR, at)
				return err
			})
		}},
		{Name: "host/veth", Does: "make a pair of interfaces", Needs: inField, Try: func(g *Ground) error {
			return routeChange(unix.RTM_NEWLINK, unix.NLM_F_CREATE, linkHead(0), attributeText(unix.IFLA_IFNAME, newLinkName(g)),
				nested(unix.IFLA_LINKINFO, attributeText(unix.IFLA_INFO_KIND, "veth")))
		}},
		{Name: "host/tunnel", Does: "make a tunnel device", Needs: inField, Try: func(g *Ground) error {
			tun, err := attachTunnel(newLinkName(g))
			if err != nil {
				return err
			}
			defer unix.Close(tun)
			return unix.IoctlSetInt(tun, unix.TUNSETPERSIST, 1)
		}},
		{Name: "host/tunnel-spare", Does: "send through a tunnel device that somebody left there", Needs: []Need{NeedTunnel},
			Try: sendThroughTunnel},
	}
}

// newLinkName is a name that no interface has.
func newLinkName(g *Ground) string { return "e" + g.Token[len(g.Token)-10:] }

// linkHead is a struct ifinfomsg.
func linkHead(index uint32) []byte {
	b := append(make([]byte, 4), nativeUint32(index)...)
	return append(b, make([]byte, 8)...)
}

// toggleDebug turns over a flag of an interface that nothing looks at.
func toggleDebug(g *Ground) error {
	link, err := net.InterfaceByName(g.Outer)
	if err != nil {
		return err
	}
	return onTCP(func(fd uintptr) error {
		request, err := unix.NewIfreq(link.Name)
		if err != nil {
			return err
		}
		if err := unix.IoctlIfreq(int(fd), unix.SIOCGIFFLAGS, request); err != nil {
			return fmt.Errorf("read flags: %w", err)
		}
		request.SetUint16(request.Uint16() ^ unix.IFF_DEBUG)
		return unix.IoctlIfreq(int(fd), unix.SIOCSIFFLAGS, request)
	})
}

// attachTunnel opens a tunnel device of IP packets, tun(4); where there is none
// of that name it is made.
func attachTunnel(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("attach to %s: %w", name, err)
	}
	return fd, nil
}

// sendThroughTunnel writes a datagram to the denied peer as one that has come
// in by the device, and that the machine passes on.
func sendThroughTunnel(g *Ground) error {
	tun, err := attachTunnel(g.Tunnel)
	if err != nil {
		return err
	}
	defer unix.Close(tun)
	_, err = unix.Write(tun, datagram(tunnelPeer, g.Denied.V4.As4(), g.Denied.Port, []byte(g.Token)))
	if err != nil {
		return fmt.Errorf("write packet: %w", err)
	}
	return nil
}

// tunnelPeer is who is behind the tunnel (RFC 5737).
var tunnelPeer = [4]byte{203, 0, 113, 250}

// datagram is an IPv4 packet with a UDP datagram without a checksum.
func datagram(from, to [4]byte, port uint16, data []byte) []byte {
	const head, udp = 20, 8
	b := make([]byte, head, head+udp+len(data))
	b[0], b[8], b[9] = 4<<4|head/4, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(head+udp+len(data)))
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	binary.BigEndian.PutUint16(b[10:], internetChecksum(b))
	b = binary.BigEndian.AppendUint16(b, 4000)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(udp+len(data)))
	return append(append(b, 0, 0), data...)
}

// internetChecksum is that of RFC 1071 over an even number of bytes.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
