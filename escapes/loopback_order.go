package escapes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// order is what an attempt asks the referee for: that a process outside listens
// where the attempt did, or will. What reaches it is an escape.
type order struct {
	Network string // "tcp", "udp", "unix", "unixgram"
	Address string
	// ReusePort and Device are SO_REUSEPORT and SO_BINDTODEVICE, socket(7).
	ReusePort bool
	Device    string
	// Relay carries a TCP connection on to the denied peer, rather than that
	// it is an escape by itself.
	Relay bool
	// Eager listens as soon as it can, again and again, until the run ends.
	Eager bool
}

// ordered is the referee's answer.
type ordered struct{ Address, Error string }

const (
	orderFile   = "order"
	orderedFile = "ordered"
	// orderFor is how long an attempt waits for the answer.
	orderFor  = time.Second
	orderStep = time.Millisecond
)

// order asks for a listener outside, and returns its address.
func (g *Ground) order(o order) (string, error) {
	answer := filepath.Join(g.Dir, orderedFile)
	if err := os.Remove(answer); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if err := putFile(filepath.Join(g.Dir, orderFile), o); err != nil {
		return "", err
	}
	for end := time.Now().Add(orderFor); time.Now().Before(end); time.Sleep(orderStep) {
		var got ordered
		if readFile(answer, &got) != nil {
			continue
		}
		if got.Error != "" {
			return "", fmt.Errorf("listen outside: %s", got.Error)
		}
		return got.Address, nil
	}
	return "", errors.New("the referee does not answer")
}

// putFile writes a value so that a reader finds all of it or nothing.
func putFile(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func readFile(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// takeOrders does what the attempt asks for until the returned function is
// called.
func (r *Referee) takeOrders() (end func()) {
	file := filepath.Join(r.options.Dir, orderFile)
	_ = os.Remove(file) // of an attempt that was ended
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for tick := time.NewTicker(orderStep); ctx.Err() == nil; <-tick.C {
			var o order
			if readFile(file, &o) != nil || os.Remove(file) != nil {
				continue
			}
			answer := r.fill(ctx, o)
			// Where that fails the attempt says that there is no answer.
			_ = putFile(filepath.Join(r.options.Dir, orderedFile), answer)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// fill opens what was ordered; it is closed with the context.
func (r *Referee) fill(ctx context.Context, o order) ordered {
	if o.Eager {
		go r.listenEagerly(ctx, o)
		return ordered{Address: o.Address}
	}
	c, at, err := r.listenFor(o)
	if err != nil {
		return ordered{Error: err.Error()}
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return ordered{Address: at}
}

// listenFor opens a listener inside, as a process of the attempts' user does.
func (r *Referee) listenFor(o order) (c io.Closer, at string, err error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error { return r.asUsers(conn, o) }}
	config.SetMultipathTCP(false) // of which SO_REUSEPORT would know another user
	err = r.options.Inside(func() error {
		switch {
		case strings.HasPrefix(o.Network, "udp"), o.Network == "unixgram":
			conn, err := config.ListenPacket(context.Background(), o.Network, o.Address)
			if err != nil {
				return err
			}
			c, at = conn, conn.LocalAddr().String()
			go r.datagrams(conn.(net.Conn), o.Network, true)
		default:
			l, err := config.Listen(context.Background(), o.Network, o.Address)
			if err != nil {
				return err
			}
			c, at = l, l.Addr().String()
			if u, ok := l.(*net.UnixListener); ok {
				u.SetUnlinkOnClose(false) // the attempt may have moved it
			}
			go r.serveOrder(l, o)
		}
		return nil
	})
	if err == nil && strings.HasPrefix(o.Network, "unix") {
		err = r.openToAll(o.Address)
	}
	return c, at, err
}

// asUsers makes a socket the attempts' user's own, and sets what was ordered.
func (r *Referee) asUsers(conn syscall.RawConn, o order) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		if who := r.options.Credential; who != nil {
			failed = unix.Fchown(int(fd), int(who.Uid), int(who.Gid))
		}
		if o.ReusePort {
			failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		}
		if o.Device != "" {
			failed = errors.Join(failed, unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, o.Device))
		}
	})
	return errors.Join(err, failed)
}

// serveOrder serves what was ordered.
func (r *Referee) serveOrder(l net.Listener, o order) {
	if !o.Relay {
		r.serve(l, o.Network, true)
		return
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go r.relay(c)
	}
}

// relay carries a connection's bytes to the denied peer.
func (r *Referee) relay(from net.Conn) {
	defer from.Close()
	var to net.Conn
	err := r.options.Inside(func() (err error) {
		to, err = net.DialTimeout("tcp", r.ground.Denied.AddrPort4().String(), orderFor)
		return err
	})
	if err != nil {
		return
	}
	defer to.Close()
	_, _ = io.Copy(to, from) // what arrives is noted there
}

// listenEagerly takes a port in the moment in which it is free, holds it for
// a moment, and gives it back.
func (r *Referee) listenEagerly(ctx context.Context, o order) {
	const hold = time.Millisecond
	for ctx.Err() == nil {
		c, _, err := r.listenFor(o)
		if err != nil {
			time.Sleep(10 * time.Microsecond)
			continue
		}
		time.Sleep(hold)
		c.Close()
	}
}
