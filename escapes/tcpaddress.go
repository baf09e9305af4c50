package escapes

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// tcpAddressAttempts vary how the address is written.
func tcpAddressAttempts() []Attempt {
	mapped := func(g *Ground) netip.AddrPort { return g.Denied.Mapped() }
	v4 := func(g *Ground) netip.AddrPort { return g.Denied.AddrPort4() }
	v6 := func(g *Ground) netip.AddrPort { return g.Denied.AddrPort6() }
	six := []Need{NeedIPv6}
	return []Attempt{
		{Name: "tcp/address-mapped", Does: "connect an IPv6 socket to an IPv4 address", Try: connectWritten(mapped, asItIs)},
		{Name: "tcp/address-mapped-v6only", Does: "connect an IPv6 socket to IPv4 once it is no longer IPv6 only", Try: func(g *Ground) error {
			s, err := streamTo(mapped(g))
			if err != nil {
				return err
			}
			for only := range uint32(2) {
				if err := s.setInt(unix.SOL_IPV6, unix.IPV6_V6ONLY, 1-only); err != nil {
					return err
				}
			}
			return s.connectAndWrite(g, mapped(g))
		}},
		{Name: "tcp/address-v6only", Does: "connect a socket that is IPv6 only", Needs: six, Try: func(g *Ground) error {
			s, err := streamTo(v6(g))
			if err != nil {
				return err
			}
			if err := s.setInt(unix.SOL_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
				return err
			}
			return s.connectAndWrite(g, v6(g))
		}},
		{Name: "tcp/address-scope", Does: "connect to an IPv6 address with a scope", Needs: six, Try: connectWritten(v6, func(name []byte) []byte {
			binary.NativeEndian.PutUint32(name[24:], 1)
			return name
		})},
		{Name: "tcp/address-flow", Does: "connect to an IPv6 address with a flow label that it leased", Needs: six, Try: connectLabelled},
		{Name: "tcp/address-unscoped", Does: "connect with an IPv6 address too short for a scope", Needs: six,
			Try: connectWritten(v6, func(name []byte) []byte { return name[:24] })},
		{Name: "tcp/address-long", Does: "connect with an address longer than there is", Try: connectWritten(v4, func(name []byte) []byte {
			return append(name, 0)
		})},
		{Name: "tcp/address-longest", Does: "connect with the longest address that the kernel takes", Try: connectWritten(v4, func(name []byte) []byte {
			long := make([]byte, unix.SizeofSockaddrAny+16) // struct sockaddr_storage
			return append(name, long...)[:128]
		})},
		{Name: "tcp/address-padding", Does: "connect with another address in the padding", Try: func(g *Ground) error {
			return connectWritten(v4, func(name []byte) []byte {
				copy(name[8:], sockaddr(g.Allowed.AddrPort4())[:8])
				return name
			})(g)
		}},
		{Name: "tcp/address-length-high-bits", Does: "connect with bits above the low 32 of the length", Try: func(g *Ground) error {
			s, err := streamTo(v4(g))
			if err != nil {
				return err
			}
			const above = 1<<32 | 1<<63
			if _, err := call(unix.SYS_CONNECT, s.fd, s.lay(sockaddr(v4(g))), above|unix.SizeofSockaddrInet4); err != nil {
				return fmt.Errorf("connect: %w", err)
			}
			return s.write([]byte(g.Token))
		}},
		{Name: "tcp/address-page-end", Does: "connect with an address at the end of mapped memory", Try: func(g *Ground) error {
			name := sockaddr(v4(g))
			return connectFrom(g, name, func(m memory) (uintptr, error) {
				page := unix.Getpagesize()
				return m.put(page-len(name), name), unix.Mprotect(m[page:], unix.PROT_NONE)
			})
		}},
		{Name: "tcp/address-two-pages", Does: "connect with an address across two mappings, one of them for reading only", Try: func(g *Ground) error {
			name := sockaddr(v4(g))
			return connectFrom(g, name, func(m memory) (uintptr, error) {
				page := unix.Getpagesize()
				return m.put(page-5, name), unix.Mprotect(m[page:], unix.PROT_READ)
			})
		}},
		{Name: "tcp/address-shared-file", Does: "connect with an address in a mapped file", Try: connectFromFile},
	}
}

func asItIs(name []byte) []byte { return name }

// connectWritten connects with an address as spell writes it.
func connectWritten(to func(*Ground) netip.AddrPort, spell func([]byte) []byte) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(to(g))
		if err != nil {
			return err
		}
		if err := s.connect(spell(sockaddr(to(g)))); err != nil {
			return err
		}
		return s.write([]byte(g.Token))
	}
}

// connectFrom connects with an address that place puts into two pages.
func connectFrom(g *Ground, name []byte, place func(memory) (uintptr, error)) error {
	s, err := streamTo(g.Denied.AddrPort4())
	if err != nil {
		return err
	}
	m, err := newMemory(2 * unix.Getpagesize())
	if err != nil {
		return err
	}
	at, err := place(m)
	if err != nil {
		return fmt.Errorf("protect memory: %w", err)
	}
	if _, err := call(unix.SYS_CONNECT, s.fd, at, uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return s.write([]byte(g.Token))
}

// connectFromFile connects with an address that lies in a file.
func connectFromFile(g *Ground) error {
	file, err := unix.MemfdCreate("address", 0)
	if err != nil {
		return fmt.Errorf("memfd_create: %w", err)
	}
	name := sockaddr(g.Denied.AddrPort4())
	if _, err := unix.Write(file, name); err != nil {
		return err
	}
	mapped, err := unix.Mmap(file, 0, len(name), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map file: %w", err)
	}
	s, err := streamTo(g.Denied.AddrPort4())
	if err != nil {
		return err
	}
	if _, err := call(unix.SYS_CONNECT, s.fd, memory(mapped).at(0), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return s.write([]byte(g.Token))
}

// connectLabelled leases a flow label for the allowed peer, IPV6_FLOWLABEL_MGR
// of <linux/in6.h>, and connects to the denied one under it.
func connectLabelled(g *Ground) error {
	const (
		labelManager, labelSend     = 32, 33 // IPV6_FLOWLABEL_MGR, IPV6_FLOWINFO_SEND
		actionGet, shareAny, create = 0, 255, 1
		label                       = 0x12345
	)
	s, err := streamTo(g.Denied.AddrPort6())
	if err != nil {
		return err
	}
	peer := g.Allowed.V6.As16()
	request := binary.BigEndian.AppendUint32(peer[:], label) // struct in6_flowlabel_req
	request = append(request, actionGet, shareAny, create, 0)
	request = append(request, make([]byte, 8)...)
	if err := s.set(unix.SOL_IPV6, labelManager, request); err != nil {
		return err
	}
	if err := s.setInt(unix.SOL_IPV6, labelSend, 1); err != nil {
		return err
	}
	name := sockaddr(g.Denied.AddrPort6())
	binary.BigEndian.PutUint32(name[4:], label)
	if err := s.connect(name); err != nil {
		return err
	}
	return s.write([]byte(g.Token))
}
