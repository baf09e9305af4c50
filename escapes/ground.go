package escapes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"
)

// Ground is what an attempt is told of the world: where outside is.
type Ground struct {
	// Token is what the attempt puts into whatever it sends, so that the
	// referee knows it again.
	Token string
	Gives []Need

	// Denied is a peer outside that no rule allows. Allowed is one that a tcp
	// and a udp rule allow, and so is no escape; races flip between the two.
	Denied, Allowed Peer
	// Loopback is a process outside the session that listens on loopback and
	// that no rule allows.
	Loopback Peer
	// Outer is the interface that leads out; Host4 and Host6 are the
	// addresses by which outside reaches this machine.
	Outer        string
	Host4, Host6 netip.Addr
	// Nameserver is the machine's. Domain is a zone that no rule names,
	// AllowedName a name that a rule for HTTP names.
	Nameserver          netip.AddrPort
	Domain, AllowedName string

	// Dir belongs to the attempt's user. An attempt that listens writes
	// "ADDRESS:PORT" into the file Dir/listens and waits: the referee's
	// caller connects to it from outside (see [Ground.Listens]).
	Dir string
	// Unix are sockets of a process outside.
	Unix UnixPeers
	// Inherited are descriptors that the caller left open, by what they are.
	Inherited map[string]int
	// Ring tells how the inherited io_uring is laid out.
	Ring Ring
	// Victim is a process outside, of the same user.
	Victim Victim
	// Referee is the referee's process: what stands between it and the
	// attempt is the session (see above).
	Referee int
	// Terminal is the path of a terminal of the user's. What is typed there
	// somebody outside takes for his own.
	Terminal string
	// Tunnel is a persistent tunnel device, tun(4), that somebody left there.
	Tunnel string
	// Helpers are programs that run this package's stages with more rights
	// than the user has, by which rights.
	Helpers map[string]string

	// RaceFor is how long a race is tried.
	RaceFor time.Duration
}

// Peer is somebody who listens, by TCP and UDP on one port.
type Peer struct {
	V4, V6 netip.Addr
	Port   uint16
}

// UnixPeers names the unix sockets outside. No rule allows them, but one.
type UnixPeers struct {
	Stream, Dgram, Seqpacket string // paths
	Abstract, AbstractDgram  string // names, without the leading NUL
	Allowed                  string // path of a stream socket that a rule allows
	AllowedDgram             string // the same for datagrams
	AllowedDir               string // a folder of the attempt's user, in which a rule allows every path
}

// Ring has offsets in the memory of an io_uring's submission queue.
type Ring struct{ Tail, Mask, Array uint32 }

// Victim is a process outside to be attacked.
type Victim struct {
	PID int
	// SecretAt is the address in its memory of SecretSize bytes that no other
	// process knows: to find them is an escape.
	SecretAt uint64
	// MarkAt is the address of eight bytes: to change them is an escape.
	MarkAt uint64
	// Socket is the number of a descriptor: a TCP connection to the denied
	// peer. To send the token there is an escape.
	Socket int
	// File is the number of a descriptor: a file without a name that holds
	// the secret.
	File int
}

// SecretSize is how long the victim's secret is, in bytes.
const SecretSize = 32

// AddrPort4 is the IPv4 address with the port.
func (p Peer) AddrPort4() netip.AddrPort { return netip.AddrPortFrom(p.V4, p.Port) }

// AddrPort6 is the IPv6 address with the port.
func (p Peer) AddrPort6() netip.AddrPort { return netip.AddrPortFrom(p.V6, p.Port) }

// Mapped is the IPv4 address as an IPv6 one, ::ffff:a.b.c.d.
func (p Peer) Mapped() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(p.V4.As16()), p.Port)
}

// readGround reads what Write wrote.
func readGround(path string) (*Ground, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read ground: %w", err)
	}
	var g Ground
	if err := json.Unmarshal(text, &g); err != nil {
		return nil, fmt.Errorf("read ground: %w", err)
	}
	return &g, nil
}

// write makes the file that the attempt's process reads.
func (g *Ground) write(path string) error {
	text, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("write ground: %w", err)
	}
	return os.WriteFile(path, text, 0o644)
}
