package escapes

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// routeAttempts change where packets go.
func routeAttempts() []Attempt {
	return []Attempt{
		{Name: "host/route", Does: "add a route", Needs: inField, Try: func(g *Ground) error {
			// struct rtmsg: family, lengths, service, table, protocol, scope, type, flags.
			head := []byte{unix.AF_INET, 32, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK, unix.RTN_UNICAST, 0, 0, 0, 0}
			return routeChange(unix.RTM_NEWROUTE, unix.NLM_F_CREATE, head,
				attribute(unix.RTA_DST, g.spare(0)), attribute(unix.RTA_OIF, nativeUint32(loopbackIndex)))
		}},
		{Name: "host/route-ioctl", Does: "add a route the old way", Needs: inField, Try: routeByIoctl},
		{Name: "host/address", Does: "add an address", Needs: inField, Try: func(g *Ground) error {
			head := []byte{unix.AF_INET, 32, 0, unix.RT_SCOPE_HOST, loopbackIndex, 0, 0, 0}
			return routeChange(unix.RTM_NEWADDR, unix.NLM_F_CREATE, head,
				attribute(unix.IFA_LOCAL, g.spare(2)), attribute(unix.IFA_ADDRESS, g.spare(2)))
		}},
		{Name: "host/address-ioctl", Does: "add an address the old way", Needs: inField, Try: func(g *Ground) error {
			return interfaceIoctl(unix.SIOCSIFADDR, fmt.Sprintf("lo:%d", g.number()),
				append([]byte{unix.AF_INET, 0, 0, 0}, g.spare(3)...))
		}},
		{Name: "host/rule", Does: "add a routing rule", Needs: inField, Try: func(g *Ground) error {
			head := []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, 0, 0, 1 /* FR_ACT_TO_TBL */, 0, 0, 0, 0}
			const priority = 6 // FRA_PRIORITY
			return routeChange(unix.RTM_NEWRULE, unix.NLM_F_CREATE, head, attribute(priority, nativeUint32(uint32(40000+g.number()))))
		}},
		{Name: "host/neighbour", Does: "say which machine an address belongs to", Needs: inField, Try: func(g *Ground) error {
			link, err := net.InterfaceByName(g.Outer)
			if err != nil {
				return err
			}
			const permanent = 0x80 // NUD_PERMANENT
			head := append([]byte{unix.AF_INET, 0, 0, 0}, nativeUint32(uint32(link.Index))...)
			return routeChange(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, append(head, permanent, 0, 0, 0),
				attribute(unix.NDA_DST, []byte{192, 0, 2, byte(50 + g.number())}),
				attribute(unix.NDA_LLADDR, []byte{2, 0, 0, 0, 0, byte(g.number())}))
		}},
	}
}

func nativeUint32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// routeByIoctl is SIOCADDRT with a struct rtentry, of which the addresses, the
// flags and the device are filled in.
func routeByIoctl(g *Ground) error {
	const (
		destination, mask, flags, device = 8, 40, 56, 88
		up, host                         = 1, 4 // RTF_UP, RTF_HOST
	)
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	m.put(destination, append([]byte{unix.AF_INET, 0, 0, 0}, g.spare(1)...))
	m.put(mask, []byte{unix.AF_INET, 0, 0, 0, 255, 255, 255, 255})
	m[flags] = up | host
	m.word(device, uint64(m.put(512, []byte("lo\x00"))))
	return onTCP(func(fd uintptr) error {
		_, err := call(unix.SYS_IOCTL, fd, unix.SIOCADDRT, m.at(0))
		return err
	})
}

// onTCP does something with a socket that an agent may have.
func onTCP(do func(fd uintptr) error) error {
	fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(int(fd))
	return do(fd)
}

// interfaceIoctl makes a request of netdevice(7) with a struct ifreq: a name
// of 16 bytes and a value.
func interfaceIoctl(request uintptr, name string, value []byte) error {
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	m.put(0, append([]byte(name), 0))
	m.put(unix.IFNAMSIZ, value)
	return onTCP(func(fd uintptr) error {
		_, err := call(unix.SYS_IOCTL, fd, request, m.at(0))
		return err
	})
}
