package escapes

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// listensFile is where an attempt says that it listens.
func (r *Referee) listensFile() string { return filepath.Join(r.options.Dir, "listens") }

// Listens tells the referee's caller the address, as outside knows it, on
// which the attempt listens by TCP, and waits until it was called; it is an
// escape where the caller got through. The network is "tcp" or "udp": a caller
// by UDP is answered with the token by the attempt itself.
func (g *Ground) Listens(network, address string) error {
	file := filepath.Join(g.Dir, "listens")
	if err := os.WriteFile(file+".new", []byte(network+" "+address), 0o644); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	time.Sleep(callFor)
	return nil
}

// callFor is how long an attempt waits to be called.
const callFor = 400 * time.Millisecond

// call has the caller look for an attempt that listens, until the returned
// function is called.
func (r *Referee) call(g *Ground) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			text, err := os.ReadFile(r.listensFile())
			if network, address, ok := strings.Cut(string(text), " "); err == nil && ok {
				r.callTo(network, address)
				return
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// callTo connects from outside, and notes whether that worked: by TCP that the
// connection was accepted, by UDP that an answer came.
func (r *Referee) callTo(network, address string) {
	var conn net.Conn
	err := r.options.Outside(func() (err error) {
		conn, err = net.DialTimeout(network, address, callFor/2)
		return err
	})
	if err != nil {
		return
	}
	defer conn.Close()
	if network == "tcp" {
		r.note("listener", "outside connected to "+address, nil)
		return
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return
	}
	// An error of this is an answer that never comes.
	_ = conn.SetReadDeadline(time.Now().Add(callFor / 2))
	buf := make([]byte, 1500)
	if n, err := conn.Read(buf); err == nil {
		r.note("listener", "outside was answered from "+address, buf[:n])
	}
}
