package escapes

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// stubAddress is where a machine's own resolver listens,
// systemd-resolved.service(8).
const stubAddress = "127.0.0.53:53"

// nameCarrierAttempts carry queries on other ways than to the nameserver.
func nameCarrierAttempts() []Attempt {
	ask := func(g *Ground) []byte { return packed(question(g, dns.TypeA)) }
	at := func(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
	stub := netip.MustParseAddrPort(stubAddress)
	outer, six := []Need{NeedOuter}, []Need{NeedOuter, NeedIPv6}
	return []Attempt{
		{Name: "name/tcp-pipelined", Does: "ask for an allowed name and another at once, by TCP", Try: func(g *Ground) error {
			return sendStream(g.Nameserver, append(framed(packed(allowedQuery(g))), framed(ask(g))...))
		}},
		{Name: "name/stub", Does: "ask the resolver of the machine on loopback", Try: func(g *Ground) error { return sendDatagram(stub, ask(g)) }},
		{Name: "name/stub-tcp", Does: "ask the resolver of the machine on loopback, by TCP", Try: func(g *Ground) error { return sendStream(stub, framed(ask(g))) }},
		{Name: "name/mapped", Does: "ask the nameserver by its mapped address", Try: func(g *Ground) error {
			return sendDatagram(at(netip.AddrFrom16(g.Nameserver.Addr().As16()), g.Nameserver.Port()), ask(g))
		}},
		{Name: "name/other-port-53", Does: "ask another server than the machine's, on port 53", Needs: outer, Try: func(g *Ground) error {
			return sendDatagram(at(g.Denied.V4, 53), ask(g))
		}},
		{Name: "name/other-port-53-tcp", Does: "ask another server than the machine's, on port 53 by TCP", Needs: outer, Try: func(g *Ground) error {
			return sendStream(at(g.Denied.V4, 53), framed(ask(g)))
		}},
		{Name: "name/other-port-53-ipv6", Does: "ask another server than the machine's, on port 53 over IPv6", Needs: six, Try: func(g *Ground) error {
			return sendDatagram(at(g.Denied.V6, 53), ask(g))
		}},
		{Name: "name/allowed-port-53", Does: "ask the allowed peer on port 53, which no rule names", Needs: outer, Try: func(g *Ground) error {
			return sendDatagram(at(g.Allowed.V4, 53), ask(g))
		}},
		{Name: "name/resolve", Does: "look a name up and connect to it", Try: func(g *Ground) error {
			return dialNamed(g.Token+"."+g.Domain, g.Denied.Port, g.Token)
		}},
		{Name: "name/resolve-web", Does: "look a name up and ask it for a page", Try: func(g *Ground) error {
			host := g.Token + "." + g.Domain
			return dialNamed(host, 80, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		}},
		{Name: "name/llmnr-ipv6", Does: "ask the network by LLMNR over IPv6", Needs: six, Try: func(g *Ground) error {
			return sendScoped(g, "ff02::1:3", 5355, packed(questionFor(g.Token+".", dns.TypeA)))
		}},
		{Name: "name/netbios", Does: "ask the network by NetBIOS", Needs: outer, Try: broadcastName},
	}
}

// nameWebAttempts ask by what is spoken on other ports (RFC 7858, RFC 8484, RFC
// 9250).
func nameWebAttempts() []Attempt {
	ask := func(g *Ground) []byte { return packed(question(g, dns.TypeA)) }
	at := func(g *Ground, port uint16) netip.AddrPort { return netip.AddrPortFrom(g.Denied.V4, port) }
	list := []Attempt{
		{Name: "name/tls-hello", Does: "name a host to a server of DNS over TLS", Try: func(g *Ground) error {
			return sendStream(at(g, 853), hello(g.Token+"."+g.Domain, ""))
		}},
		{Name: "name/https-hello", Does: "name a host to a server of DNS over HTTPS", Try: func(g *Ground) error {
			return sendStream(at(g, 443), hello(g.Token+"."+g.Domain, ""))
		}},
		{Name: "name/https-raw", Does: "send a query to port 443 as it is", Try: func(g *Ground) error { return sendStream(at(g, 443), framed(ask(g))) }},
		{Name: "name/http", Does: "post a query to a server on port 80", Try: func(g *Ground) error {
			return sendStream(at(g, 80), fmt.Appendf(nil, "POST /dns-query HTTP/1.1\r\nHost: %s.%s\r\nContent-Length: %d\r\n\r\n%s",
				g.Token, g.Domain, len(ask(g)), ask(g)))
		}},
		{Name: "name/quic", Does: "send to a server of DNS over QUIC", Try: func(g *Ground) error { return sendDatagram(at(g, 853), ask(g)) }},
		{Name: "name/crypt", Does: "send to a server of DNSCrypt", Try: func(g *Ground) error { return sendDatagram(at(g, 443), ask(g)) }},
	}
	for i := range list {
		list[i].Needs = []Need{NeedWeb}
	}
	return list
}

// sendStream connects, writes, and waits a moment for what becomes of it.
func sendStream(to netip.AddrPort, data []byte) error {
	conn, err := net.DialTimeout("tcp", to.String(), 500*time.Millisecond)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(data)
	time.Sleep(100 * time.Millisecond)
	return err
}

// framed is a message as TCP carries it, behind its length (RFC 1035 §4.2.2).
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

// dialNamed looks a name up as programs do, and sends something there.
func dialNamed(host string, port uint16, data string) error {
	dialer := net.Dialer{Timeout: time.Second, Resolver: &net.Resolver{PreferGo: true}}
	conn, err := dialer.Dial("tcp4", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(data))
	time.Sleep(100 * time.Millisecond)
	return err
}

// broadcastName asks everybody on the link (RFC 1002 §4.2.12).
func broadcastName(g *Ground) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return fmt.Errorf("set SO_BROADCAST: %w", err)
	}
	query := append([]byte{0, 1, 1, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, byte(len(g.Token))}, g.Token...)
	query = append(query, 0, 0, 0x20, 0, 1)
	to := &unix.SockaddrInet4{Addr: [4]byte{255, 255, 255, 255}, Port: 137}
	return unix.Sendto(fd, query, 0, to)
}
