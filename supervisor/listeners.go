package supervisor

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// listeners are the TCP sockets on which processes of the session listen.
type listeners struct {
	mu       sync.Mutex
	known    map[inode]tcpListener // guarded by mu
	narrowed map[inode]wildcard    // guarded by mu: sockets bound but not yet listening
}

// wildcard is which families a listener asked for by a wildcard address.
type wildcard struct{ v4, v6 bool }

type tcpListener struct {
	at   netip.AddrPort // where it is bound
	wild wildcard       // what else it would have served
}

// serves says whether a loopback address would reach the listener if the
// supervisor had not narrowed it.
func (l tcpListener) serves(dialled netip.Addr) bool {
	return l.at.Addr() == dialled || dialled.Is4() && l.wild.v4 || dialled.Is6() && l.wild.v6
}

func newListeners() *listeners {
	return &listeners{known: map[inode]tcpListener{}, narrowed: map[inode]wildcard{}}
}

// narrow notes that a socket asked for a wildcard address.
func (l *listeners) narrow(ino inode, wild wildcard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.narrowed) >= maxPeers {
		clear(l.narrowed) // of sockets that were bound and never listened
	}
	l.narrowed[ino] = wild
}

func (l *listeners) add(ino inode, at netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[ino] = tcpListener{at: at, wild: l.narrowed[ino]}
	delete(l.narrowed, ino)
}

// find returns the address of the session's own listener that an agent means
// by a loopback address.
//
// The kernel is asked whether the very socket still listens; else a program
// outside that took the port afterwards would be reachable.
func (l *listeners) find(dialled netip.AddrPort) (netip.AddrPort, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	candidates := map[inode]tcpListener{}
	for ino, known := range l.known {
		if known.at.Port() == dialled.Port() && known.serves(dialled.Addr()) {
			candidates[ino] = known
		}
	}
	if len(candidates) == 0 {
		return netip.AddrPort{}, false
	}
	live, err := listening(dialled.Port())
	if err != nil {
		return netip.AddrPort{}, false
	}
	best := netip.AddrPort{}
	for ino, known := range candidates {
		if _, listens := live[ino]; !listens {
			delete(l.known, ino)
			continue
		}
		if !best.IsValid() || known.at.Addr() == dialled.Addr() {
			best = known.at
		}
	}
	if !best.IsValid() || l.shared(best, live) {
		return netip.AddrPort{}, false
	}
	if best.Addr().IsUnspecified() {
		best = dialled // a public listener
	}
	return best, true
}

// shared says whether somebody outside listens at the same address too
// (SO_REUSEPORT, or on another device): the kernel might choose him. The caller
// holds mu.
func (l *listeners) shared(at netip.AddrPort, live map[inode]netip.Addr) bool {
	for ino, addr := range live {
		if known, own := l.known[ino]; addr == at.Addr() && (!own || known.at != at) {
			return true
		}
	}
	return false
}

// Constants of sock_diag(7) and <linux/inet_diag.h>.
const (
	tcpListenState   = 10
	inetDiagReqSize  = 56 // struct inet_diag_req_v2
	inetDiagMsgSize  = 72 // struct inet_diag_msg
	inetDiagMsgInode = 68
	inetDiagMsgSport = 4
	inetDiagMsgSrc   = 8 // of four bytes for AF_INET, else of sixteen
)

// listening asks the kernel for the sockets that listen on a TCP port, and at
// which addresses.
func listening(port uint16) (map[inode]netip.Addr, error) {
	found := map[inode]netip.Addr{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := make([]byte, inetDiagReqSize)
		req[0], req[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(req[4:], 1<<tcpListenState)
		binary.BigEndian.PutUint16(req[8:], port) // idiag_sport
		if err := dumpSockets(req, func(msg []byte) { noteListening(msg, port, found) }); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// noteListening takes one socket of a dump.
func noteListening(msg []byte, port uint16, found map[inode]netip.Addr) {
	if len(msg) >= inetDiagMsgSize && binary.BigEndian.Uint16(msg[inetDiagMsgSport:]) == port {
		found[inode(binary.NativeEndian.Uint32(msg[inetDiagMsgInode:]))] = diagSource(msg)
	}
}

// diagSource is the address at which a socket of a dump is bound.
func diagSource(msg []byte) netip.Addr {
	if msg[0] == unix.AF_INET {
		return netip.AddrFrom4([4]byte(msg[inetDiagMsgSrc:]))
	}
	return netip.AddrFrom16([16]byte(msg[inetDiagMsgSrc:])).Unmap()
}
