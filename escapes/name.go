package escapes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// nameAttempts put names on the wire.
func nameAttempts() []Attempt {
	list := []Attempt{
		{Name: "name/tcp", Does: "ask for a name by TCP", Needs: []Need{NeedNames}, Try: func(g *Ground) error {
			return askStream(g, packed(question(g, dns.TypeA)))
		}},
		{Name: "name/trailing", Does: "ask for an allowed name, with bytes behind the query", Needs: []Need{NeedNames}, Try: func(g *Ground) error {
			return sendDatagram(g.Nameserver, append(packed(allowedQuery(g)), g.Token...))
		}},
		{Name: "name/mdns", Does: "ask the network by mDNS", Needs: []Need{NeedOuter}, Try: func(g *Ground) error {
			return sendDatagram(netip.MustParseAddrPort("224.0.0.251:5353"), packed(questionFor(g.Token+".local.", dns.TypeA)))
		}},
		{Name: "name/mdns-ipv6", Does: "ask the network by mDNS over IPv6", Needs: []Need{NeedOuter, NeedIPv6}, Try: func(g *Ground) error {
			return sendScoped(g, "ff02::fb", 5353, packed(questionFor(g.Token+".local.", dns.TypeAAAA)))
		}},
		{Name: "name/llmnr", Does: "ask the network by LLMNR", Needs: []Need{NeedOuter}, Try: func(g *Ground) error {
			return sendDatagram(netip.MustParseAddrPort("224.0.0.252:5355"), packed(questionFor(g.Token+".", dns.TypeA)))
		}},
		{Name: "name/other-server", Does: "ask another server than the machine's", Try: func(g *Ground) error {
			return sendDatagram(g.Denied.AddrPort4(), packed(question(g, dns.TypeA)))
		}},
		{Name: "name/tls", Does: "speak DNS over TLS", Needs: []Need{NeedWeb}, Try: func(g *Ground) error {
			return connectAndWrite(g, netip.AddrPortFrom(g.Denied.V4, 853))
		}},
		{Name: "name/from-bound", Does: "ask from a socket that is bound and not connected", Needs: []Need{NeedNames}, Try: askBound},
	}
	for name, kind := range map[string]uint16{
		"a": dns.TypeA, "aaaa": dns.TypeAAAA, "txt": dns.TypeTXT, "ptr": dns.TypePTR, "https": dns.TypeHTTPS, "svcb": dns.TypeSVCB,
		"srv": dns.TypeSRV, "any": dns.TypeANY, "null": dns.TypeNULL, "cname": dns.TypeCNAME, "mx": dns.TypeMX, "axfr": dns.TypeAXFR,
	} {
		list = append(list, Attempt{
			Name: "name/type-" + name, Does: "ask for a record of type " + dns.TypeToString[kind], Needs: []Need{NeedNames},
			Try: func(g *Ground) error { return sendDatagram(g.Nameserver, packed(question(g, kind))) },
		})
	}
	for name, query := range map[string]func(g *Ground) *dns.Msg{
		"below-allowed": func(g *Ground) *dns.Msg { return questionFor(g.Token+"."+g.AllowedName+".", dns.TypeA) },
		"second-question": func(g *Ground) *dns.Msg {
			m := allowedQuery(g)
			m.Question = append(m.Question, question(g, dns.TypeA).Question...)
			return m
		},
		"edns-option": func(g *Ground) *dns.Msg {
			m := allowedQuery(g)
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte(g.Token)})
			return m
		},
		"additional": func(g *Ground) *dns.Msg {
			m := allowedQuery(g)
			m.Extra = append(m.Extra, text(g))
			return m
		},
		"authority": func(g *Ground) *dns.Msg {
			m := allowedQuery(g)
			m.Ns = append(m.Ns, text(g))
			return m
		},
		"update": func(g *Ground) *dns.Msg {
			m := question(g, dns.TypeSOA)
			m.Opcode = dns.OpcodeUpdate
			return m
		},
		"notify": func(g *Ground) *dns.Msg {
			m := question(g, dns.TypeSOA)
			m.Opcode = dns.OpcodeNotify
			return m
		},
		"chaos": func(g *Ground) *dns.Msg {
			m := question(g, dns.TypeTXT)
			m.Question[0].Qclass = dns.ClassCHAOS
			return m
		},
	} {
		list = append(list, Attempt{
			Name: "name/" + name, Does: "put a name into a query: " + name, Needs: []Need{NeedNames},
			Try: func(g *Ground) error { return sendDatagram(g.Nameserver, packed(query(g))) },
		})
	}
	for _, more := range slices.Concat(nameSpellAttempts(), nameWireAttempts(), nameCarrierAttempts(), nameWebAttempts(), nameFileAttempts()) {
		if len(more.Needs) == 0 {
			more.Needs = []Need{NeedNames}
		}
		list = append(list, more)
	}
	return sorted(list)
}

// question asks for the token's name in a zone that no rule allows.
func question(g *Ground, kind uint16) *dns.Msg { return questionFor(g.Token+"."+g.Domain+".", kind) }

// allowedQuery asks for the name that a rule allows.
func allowedQuery(g *Ground) *dns.Msg { return questionFor(g.AllowedName+".", dns.TypeA) }

func questionFor(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	return m
}

// text is a record with the token in it.
func text(g *Ground) dns.RR {
	return &dns.TXT{Hdr: dns.RR_Header{Name: g.Token + ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{g.Token}}
}

func packed(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err) // all of it is made here
	}
	return b
}

// sendDatagram sends by sendto on a new UDP socket.
func sendDatagram(to netip.AddrPort, payload []byte) error {
	return sendOn(unix.SOCK_DGRAM, 0, to, payload)
}

// sendOn sends by sendto on a new socket of a kind.
func sendOn(kind, protocol uintptr, to netip.AddrPort, payload []byte) error {
	fd, err := call(unix.SYS_SOCKET, family(to), kind, protocol)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(int(fd))
	m, err := newMemory(64 << 10)
	if err != nil {
		return err
	}
	name := sockaddr(to)
	_, err = call(unix.SYS_SENDTO, fd, m.put(256, payload), uintptr(len(payload)), 0, m.put(0, name), uintptr(len(name)))
	time.Sleep(50 * time.Millisecond) // what answers for a query is asynchronous
	return err
}

// sendScoped sends to a link-local group on the interface that leads out.
func sendScoped(g *Ground, group string, port uint16, payload []byte) error {
	index, err := interfaceIndex(g.Outer)
	if err != nil {
		return err
	}
	fd, err := call(unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(int(fd))
	m, err := newMemory(64 << 10)
	if err != nil {
		return err
	}
	name := sockaddr(netip.AddrPortFrom(netip.MustParseAddr(group), port))
	binary.NativeEndian.PutUint32(name[24:], uint32(index))
	_, err = call(unix.SYS_SENDTO, fd, m.put(256, payload), uintptr(len(payload)), 0, m.put(0, name), uintptr(len(name)))
	return err
}

// askStream asks the nameserver by TCP (RFC 1035 §4.2.2).
func askStream(g *Ground, query []byte) error {
	fd, err := call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(int(fd))
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	name := sockaddr(g.Nameserver)
	if _, err := call(unix.SYS_CONNECT, fd, m.put(0, name), uintptr(len(name))); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	message := framed(query)
	_, err = call(unix.SYS_WRITE, fd, m.put(256, message), uintptr(len(message)))
	time.Sleep(50 * time.Millisecond)
	return err
}

// askBound asks as musl does.
func askBound(g *Ground) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	to := &unix.SockaddrInet4{Addr: g.Nameserver.Addr().As4(), Port: int(g.Nameserver.Port())}
	err = unix.Sendto(fd, packed(question(g, dns.TypeA)), 0, to)
	time.Sleep(50 * time.Millisecond)
	return err
}
