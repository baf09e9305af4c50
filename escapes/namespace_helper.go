package escapes

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Names of Ground.Helpers, by what they give who runs them.
const (
	// HelperRoot is a set-user-id program of root's.
	HelperRoot = "root"
	// HelperCapabilities is a program with file capabilities: CAP_NET_RAW,
	// CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SYS_PTRACE.
	HelperCapabilities = "capabilities"
)

// helperSetting is the attempt among them that is on the machine's own state.
const helperSetting = "helper/setuid-setting"

// helperAttempts run programs that give an ordinary user more rights.
func helperAttempts() []Attempt {
	by := func(helper, step string) func(*Ground) error {
		return func(g *Ground) error { return g.step(g.Helpers[helper], step, nil) }
	}
	list := []Attempt{
		{Name: "helper/setuid-raw", Does: "send raw by a set-user-id program", Try: by(HelperRoot, stepRaw)},
		{Name: "helper/setuid-join", Does: "enter outside's network by a set-user-id program", Try: by(HelperRoot, stepJoin)},
		{Name: "helper/setuid-route", Does: "add a route by a set-user-id program", Try: by(HelperRoot, "host/route")},
		{Name: helperSetting, Does: "write the machine's settings by a set-user-id program", Try: by(HelperRoot, "host/core-pattern")},
		{Name: "helper/filecap-raw", Does: "send raw by a program with file capabilities", Try: by(HelperCapabilities, stepRaw)},
		{Name: "helper/filecap-packet", Does: "send a packet by a program with file capabilities", Try: by(HelperCapabilities, stepPacket)},
		{Name: "helper/filecap-address", Does: "add an address by a program with file capabilities", Try: by(HelperCapabilities, "host/address")},
		{Name: "helper/filecap-join", Does: "enter outside's network by a program with file capabilities",
			Try: by(HelperCapabilities, stepJoin)},
	}
	for i := range list {
		list[i].Needs = []Need{NeedHelpers, NeedOrdinary, NeedOuter}
	}
	return list
}

// Steps that need capabilities.
const (
	stepRaw    = "step/raw"
	stepPacket = "step/packet"
)

// sendRaw sends the token in an ICMP echo request, raw(7).
func sendRaw(g *Ground) error {
	fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	if err != nil {
		return fmt.Errorf("raw socket: %w", err)
	}
	defer unix.Close(int(fd))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	const echo = 8
	data := append([]byte{echo, 0, 0, 0, 0, 1, 0, 1}, g.Token...)
	if len(data)%2 != 0 {
		data = append(data, 0)
	}
	sum := internetChecksum(data)
	data[2], data[3] = byte(sum>>8), byte(sum)
	name := sockaddr(g.Denied.AddrPort4())
	_, err = call(unix.SYS_SENDTO, fd, m.put(0, data), uintptr(len(data)), 0, m.put(512, name), uintptr(len(name)))
	return err
}

// packetPastRoutes sends an IP packet past the machine's routes, packet(7), to
// whoever is on the link.
func packetPastRoutes(g *Ground) error {
	link, err := net.InterfaceByName(g.Outer)
	if err != nil {
		return err
	}
	const ipInNetworkOrder = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, ipInNetworkOrder)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, datagram(g.Host4.As4(), g.Denied.V4.As4(), g.Denied.Port, []byte(g.Token)), 0,
		&unix.SockaddrLinklayer{Protocol: ipInNetworkOrder, Ifindex: link.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}})
}
