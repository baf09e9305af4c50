package escapes

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// netlinkFamilies are the families of netlink(7) in which a process outside
// listens, and to which of them an ordinary user may send.
var netlinkFamilies = []struct {
	name     string
	family   uintptr
	everyone bool
}{
	{"usersock", unix.NETLINK_USERSOCK, true}, {"route", unix.NETLINK_ROUTE, false}, {"process", unix.NETLINK_GENERIC, false},
	{"netfilter", unix.NETLINK_NETFILTER, false}, {"xfrm", unix.NETLINK_XFRM, false}, {"sock-diag", unix.NETLINK_INET_DIAG, false},
}

// netlinkGroup is the first group of a family.
const netlinkGroup = 1

// listenNetlink listens as a process outside does, such as udev or a network
// manager, and notes what carries a token.
func (r *Referee) listenNetlink() error {
	var port [4]byte
	rand.Read(port[:])                                                    // never fails, crypto/rand
	r.ground.Netlink = binary.NativeEndian.Uint32(port[:])&0xffff | 1<<30 // beyond process ids
	for _, one := range netlinkFamilies {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(one.family))
		if err != nil {
			continue // this kernel lacks the family
		}
		file := os.NewFile(uintptr(fd), "netlink")
		r.closers = append(r.closers, file)
		at := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: r.ground.Netlink}
		if os.Geteuid() == 0 && one.family == unix.NETLINK_USERSOCK {
			at.Groups = netlinkGroup
		}
		if err := unix.Bind(fd, at); err != nil {
			return fmt.Errorf("listen to netlink %s: %w", one.name, err)
		}
		go r.netlinkMessages(file, one.name)
	}
	return nil
}

func (r *Referee) netlinkMessages(file *os.File, name string) {
	buf := make([]byte, 64<<10)
	for {
		n, err := file.Read(buf)
		if errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil {
			return
		}
		// What is told without a token is of somebody else's doing.
		if tokenForm.Match(bytes.ToLower(buf[:n])) {
			r.note("netlink", fmt.Sprintf("message of %d bytes in the family %s", n, name), buf[:n])
		}
	}
}

// netlinkAttempts send to a process outside by netlink, by each way to name it.
func netlinkAttempts() []Attempt {
	var list []Attempt
	for _, one := range netlinkFamilies {
		for _, way := range netlinkWays() {
			a := Attempt{
				Name: "family/netlink-" + one.name + way.suffix, Does: "send to a process outside by netlink's family " + one.name + way.does,
				Rare: one.family == unix.NETLINK_XFRM, // many kernels are built without
				Try:  func(g *Ground) error { return netlinkToken(g, one.family, way.send) },
			}
			if !one.everyone {
				a.Needs = []Need{NeedRoot}
			}
			list = append(list, a)
		}
	}
	return append(list, Attempt{
		Name: "family/netlink-group", Does: "send to a group of processes outside by netlink", Needs: []Need{NeedRoot},
		Try: func(g *Ground) error {
			return netlinkToken(g, unix.NETLINK_USERSOCK, func(s *sock, g *Ground, data []byte) error {
				return s.sendto(data, 0, netlinkName(0, netlinkGroup))
			})
		},
	})
}

// netlinkWay is a way to send to a port.
type netlinkWay struct {
	suffix, does string
	send         func(s *sock, g *Ground, data []byte) error
}

func netlinkWays() []netlinkWay {
	return []netlinkWay{
		{"", "", func(s *sock, g *Ground, data []byte) error { return s.sendto(data, 0, netlinkName(g.Netlink, 0)) }},
		{"-message", ", by sendmsg", func(s *sock, g *Ground, data []byte) error {
			return unix.Sendmsg(int(s.fd), data, nil, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: g.Netlink}, 0)
		}},
		{"-connected", ", connected", func(s *sock, g *Ground, data []byte) error {
			if err := s.connect(netlinkName(g.Netlink, 0)); err != nil {
				return err
			}
			return s.write(data)
		}},
	}
}

// netlinkToken sends the token in a message that asks for nothing.
func netlinkToken(g *Ground, family uintptr, send func(*sock, *Ground, []byte) error) error {
	s, err := newSock(unix.AF_NETLINK, unix.SOCK_RAW, family)
	if err != nil {
		return err
	}
	return send(s, g, netlinkMessage(unix.NLMSG_NOOP, 0, []byte(g.Token)))
}

// netlinkName is a struct sockaddr_nl.
func netlinkName(port, groups uint32) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_NETLINK)
	b = append(b, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, port)
	return binary.NativeEndian.AppendUint32(b, groups)
}
