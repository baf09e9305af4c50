package escapes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options say where a referee stands.
type Options struct {
	// Self is this program, with [Main] in it.
	Self string
	// Dir is a folder that belongs to the attempts' user.
	Dir string
	// Credential is the attempts' user; nil is the caller's.
	Credential *syscall.Credential
	// Outside runs a function on a thread that stands outside: its sockets
	// are outside's. Inside does so where the attempts are made. Nil is here.
	Outside, Inside func(func() error) error
	// Denied, Allowed and Nameserver are addresses outside. Their ports are
	// set where they must be known, else the kernel's choice.
	Denied, Allowed Peer
	Nameserver      netip.AddrPort // the zero value: there is none
	// Outer, Host4 and Host6 are as in [Ground].
	Outer        string
	Host4, Host6 netip.Addr
	// Device is outside's end of Outer, on which every packet is looked at;
	// empty: packets are not looked at.
	Device string
	// Gives is what the ground gives, beside what the referee finds out.
	Gives []Need
	// Tunnel and Helpers are as in [Ground].
	Tunnel  string
	Helpers map[string]string
	// RaceFor is how long races are tried.
	RaceFor time.Duration
}

// Note is something that got out.
type Note struct {
	Channel string // by what it got out, such as "udp" or "packet"
	Detail  string
}

// Referee stands outside and notes what gets there. One attempt is made at a
// time.
type Referee struct {
	options Options
	ground  Ground
	victim  *victim
	files   []*os.File  // what is handed to every attempt
	machine atomic.Bool // an attempt on the machine's state is made
	// outsideThread is a thread that stands outside.
	outsideThread int
	closers       []io.Closer
	terminal      *terminal // of the attempt that is made

	// ports outside that the referee itself connects from are no escapes
	mu       sync.Mutex
	own      map[netip.AddrPort]bool // guarded by mu
	token    string                  // of the attempt that is made, guarded by mu
	notes    map[string][]Note       // by token, guarded by mu
	heard    int                     // how much was noted, floods too, guarded by mu
	spelling spelling                // guarded by mu
	changed  chan struct{}           // closed and replaced with each note, guarded by mu
}

// webPorts are the further ports on which the denied peer listens where they
// can be had: HTTP, HTTPS, DNS over TLS.
var webPorts = []uint16{80, 443, 853}

// NewReferee opens the sockets outside. The caller closes it.
func NewReferee(o Options) (*Referee, error) {
	here := func(do func() error) error { return do() }
	if o.Outside == nil {
		o.Outside = here
	}
	if o.Inside == nil {
		o.Inside = here
	}
	r := &Referee{
		options: o, own: map[netip.AddrPort]bool{}, notes: map[string][]Note{}, changed: make(chan struct{}),
		ground: Ground{
			Denied: o.Denied, Allowed: o.Allowed, Outer: o.Outer, Host4: o.Host4, Host6: o.Host6, Dir: o.Dir,
			Nameserver: o.Nameserver, Domain: "denied.test", AllowedName: "allowed.test",
			Loopback: Peer{V4: netip.MustParseAddr("127.0.0.1"), V6: netip.IPv6Loopback()},
			Gives:    slices.Clone(o.Gives), RaceFor: o.RaceFor, Inherited: map[string]int{},
			Referee: os.Getpid(), Tunnel: o.Tunnel, Helpers: o.Helpers,
		},
	}
	if err := r.open(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// open opens everything that a referee has.
func (r *Referee) open() error {
	g := &r.ground
	if g.Denied.V6.IsValid() {
		g.Gives = append(g.Gives, NeedIPv6)
	}
	return errors.Join(
		r.options.Outside(func() error {
			r.outsideThread = unix.Gettid()
			return r.peer(&g.Denied, true)
		}),
		r.options.Outside(func() error { return r.peer(&g.Allowed, false) }),
		r.options.Outside(r.web),
		r.options.Outside(r.nameserver),
		r.options.Outside(r.sniff),
		r.options.Inside(func() error { return r.peer(&g.Loopback, true) }),
		r.options.Inside(r.host),
		r.options.Inside(r.stub),
		r.options.Inside(r.listenNetlink),
		r.options.Inside(r.unixSockets),
		r.inherit(),
		r.startVictim(),
		r.options.Inside(r.watchHost),
	)
}

// Close ends the referee.
func (r *Referee) Close() error {
	var errs []error
	if r.victim != nil {
		errs = append(errs, r.victim.end())
	}
	if r.terminal != nil {
		errs = append(errs, r.terminal.Close())
	}
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	for _, f := range r.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// Gives tells what the ground gives.
func (r *Referee) Gives() []Need { return slices.Clone(r.ground.Gives) }

// Policy is the text of the policy under which the attempts are made.
func (r *Referee) Policy() string {
	g := &r.ground
	hosts := fmt.Sprintf("%q", g.Allowed.V4)
	if g.Allowed.V6.IsValid() {
		hosts += fmt.Sprintf(", %q", g.Allowed.V6)
	}
	return fmt.Sprintf(`allow "stream" {
  protocol = "tcp"
  hosts    = [%[1]s]
  ports    = [%[2]d]
  private  = true
}

allow "datagrams" {
  protocol = "udp"
  hosts    = [%[1]s]
  ports    = [%[2]d]
  private  = true
}

allow "socket" {
  protocol = "unix"
  paths    = [%[3]q, %[4]q, "%[6]s/*"]
}

allow "web" {
  hosts   = [%[5]q]
  methods = ["GET"]
  paths   = ["/open/**"]
  private = true
}
`, hosts, g.Allowed.Port, g.Unix.Allowed, g.Unix.AllowedDgram, g.AllowedName, g.Unix.AllowedDir)
}

// peer listens by TCP and UDP on a peer's addresses. What reaches a denied
// peer is noted.
func (r *Referee) peer(p *Peer, denied bool) error {
	if err := r.tcp(p, p.V4, denied); err != nil {
		return err
	}
	if err := r.udp(p, p.V4, denied); err != nil {
		return err
	}
	if !p.V6.IsValid() {
		return nil
	}
	if err := r.tcp(p, p.V6, denied); err != nil {
		return err
	}
	return r.udp(p, p.V6, denied)
}

// tcp listens on the peer's port, or takes one that is free.
func (r *Referee) tcp(p *Peer, ip netip.Addr, denied bool) error {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, p.Port)))
	if err != nil {
		return err
	}
	r.closers = append(r.closers, l)
	p.Port = l.Addr().(*net.TCPAddr).AddrPort().Port()
	go r.serve(l, "tcp", denied)
	return nil
}

// serve notes every connection, and what comes on it.
func (r *Referee) serve(l net.Listener, channel string, denied bool) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !denied {
			go discard(c)
			continue
		}
		go r.connection(c, channel)
	}
}

// discard reads a connection to its end.
func discard(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(io.Discard, c) // whatever came is allowed
}

// connection notes one connection. Connections that the referee made for
// others to inherit are no escape, but what somebody sends on them is.
func (r *Referee) connection(c net.Conn, channel string) {
	defer c.Close()
	from, isIP := c.RemoteAddr().(*net.TCPAddr)
	if !isIP || !r.isOwn(from.AddrPort()) {
		r.note(channel, fmt.Sprintf("connection from %v to %v", c.RemoteAddr(), c.LocalAddr()), nil)
	}
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			r.note(channel, fmt.Sprintf("%d bytes to %v", n, c.LocalAddr()), buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// isOwn tells whether the referee connects from that address itself.
func (r *Referee) isOwn(from netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())]
}

// udp reads datagrams on the peer's port.
func (r *Referee) udp(p *Peer, ip netip.Addr, denied bool) error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, p.Port)))
	if err != nil {
		return err
	}
	r.closers = append(r.closers, c)
	go r.datagrams(c, "udp", denied)
	return nil
}

// datagrams notes every datagram.
func (r *Referee) datagrams(c net.Conn, channel string, denied bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if denied {
			r.note(channel, fmt.Sprintf("datagram of %d bytes to %v", n, c.LocalAddr()), buf[:n])
		}
	}
}

// web listens on the ports for which an ordinary policy has a proxy, where
// they can be had.
func (r *Referee) web() error {
	if !slices.Contains(r.ground.Gives, NeedWeb) {
		return nil
	}
	for _, port := range webPorts {
		if err := r.peer(&Peer{V4: r.ground.Denied.V4, V6: r.ground.Denied.V6, Port: port}, true); err != nil {
			return err
		}
	}
	return nil
}

// host listens on the machine's own outer addresses, under the port of the
// process on loopback.
func (r *Referee) host() error {
	if !r.ground.Host4.IsValid() {
		return nil
	}
	return r.peer(&Peer{V4: r.ground.Host4, V6: r.ground.Host6, Port: r.ground.Loopback.Port}, true)
}

// unixSockets listens on the sockets of [UnixPeers].
func (r *Referee) unixSockets() error {
	dir := filepath.Join(r.options.Dir, "outside")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	abstract := fmt.Sprintf("boundary-escapes-%d", os.Getpid())
	u := UnixPeers{
		Stream: filepath.Join(dir, "stream"), Dgram: filepath.Join(dir, "dgram"), Seqpacket: filepath.Join(dir, "seqpacket"),
		Abstract: abstract, AbstractDgram: abstract + "-dgram",
		Allowed: filepath.Join(dir, "allowed"), AllowedDgram: filepath.Join(dir, "allowed-dgram"),
		AllowedDir: filepath.Join(r.options.Dir, "granted"),
	}
	r.ground.Unix = u
	if err := os.MkdirAll(u.AllowedDir, 0o755); err != nil {
		return err
	}
	return errors.Join(
		r.giveToUser(u.AllowedDir),
		r.unixListener("unix", u.Stream, true), r.unixListener("unixpacket", u.Seqpacket, true),
		r.unixListener("unix", "@"+u.Abstract, true), r.unixListener("unix", u.Allowed, false),
		r.unixDatagrams(u.Dgram, true), r.unixDatagrams("@"+u.AbstractDgram, true), r.unixDatagrams(u.AllowedDgram, false),
	)
}

func (r *Referee) unixListener(network, name string, denied bool) error {
	l, err := net.ListenUnix(network, &net.UnixAddr{Net: network, Name: name})
	if err != nil {
		return err
	}
	r.closers = append(r.closers, l)
	go r.serve(l, network, denied)
	return r.openToAll(name)
}

func (r *Referee) unixDatagrams(name string, denied bool) error {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		return err
	}
	r.closers = append(r.closers, c)
	go r.datagrams(c, "unixgram", denied)
	return r.openToAll(name)
}

// openToAll lets every user connect to a socket's path, and gives it to the
// attempts' user: the processes outside that count are the same user's.
func (r *Referee) openToAll(name string) error {
	if name[0] == '@' {
		return nil
	}
	return errors.Join(os.Chmod(name, 0o777), r.giveToUser(name))
}

// giveToUser makes a file the attempts' user's.
func (r *Referee) giveToUser(path string) error {
	if r.options.Credential == nil {
		return nil
	}
	return os.Chown(path, int(r.options.Credential.Uid), int(r.options.Credential.Gid))
}

// tokenForm is what a token looks like, in whatever it is wrapped.
var tokenForm = regexp.MustCompile(`escape-[0-9a-f]{16}`)

// note notes that something got out. Data without a token is laid to the
// attempt that is being made.
func (r *Referee) note(channel, detail string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	token := r.token
	if found := tokenForm.Find(bytes.ToLower(data)); found != nil {
		token = string(found)
	}
	r.heard++
	if len(r.notes[token]) >= 100 {
		return // a flood says nothing more
	}
	r.notes[token] = append(r.notes[token], Note{channel, detail})
	close(r.changed)
	r.changed = make(chan struct{})
}

// seen returns what was noted for a token, and a channel that is closed with
// the next note.
func (r *Referee) seen(token string) ([]Note, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes[token]), r.changed
}

// dialOwn makes a TCP connection from inside to the denied peer for others to
// take over; as such it is no escape.
func (r *Referee) dialOwn() (*os.File, error) {
	var file *os.File
	err := r.options.Inside(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), "connected")
		// Bound first, so that the address is known before anybody accepts.
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: r.sourceFor(r.ground.Denied.V4).As4()}); err != nil {
			return err
		}
		from, err := unix.Getsockname(fd)
		if err != nil {
			return err
		}
		local := from.(*unix.SockaddrInet4)
		r.mu.Lock()
		r.own[netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port))] = true
		r.mu.Unlock()
		to := &unix.SockaddrInet4{Addr: r.ground.Denied.V4.As4(), Port: int(r.ground.Denied.Port)}
		return unix.Connect(fd, to)
	})
	return file, err
}

// sourceFor is the address of this side towards a peer.
func (r *Referee) sourceFor(peer netip.Addr) netip.Addr {
	if peer.IsLoopback() || !r.options.Host4.IsValid() {
		return peer
	}
	return r.options.Host4
}
