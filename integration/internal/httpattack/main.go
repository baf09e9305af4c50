// Command httpattack stands for an agent that means harm: it reads scripts from
// standard input, sends each, byte for byte, on a connection of its own, and
// prints what came back.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"boundary/integration/internal/httpattack/script"
)

const (
	// atOnce is how many scripts are under way at the same time.
	atOnce = 64
	// longest bounds one script.
	longest = 5 * time.Second
	// firstAnswer is how long the first byte of an answer may take, and quiet
	// how long the next one: then the other side is taken to wait for more.
	firstAnswer = 1500 * time.Millisecond
	quiet       = 200 * time.Millisecond
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "httpattack: %v\n", err)
		os.Exit(1)
	}
}

// run performs all scripts, the last ones when the others are done.
func run() error {
	var all []script.Script
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		return fmt.Errorf("read scripts: %w", err)
	}
	encoder := json.NewEncoder(os.Stdout)
	var (
		mu       sync.Mutex
		failures []error // guarded by mu
	)
	for _, last := range []bool{false, true} {
		var group sync.WaitGroup
		slots := make(chan struct{}, atOnce)
		for _, one := range all {
			if one.Last != last {
				continue
			}
			slots <- struct{}{}
			group.Go(func() {
				outcome := perform(one)
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, encoder.Encode(outcome))
				<-slots
			})
		}
		group.Wait()
	}
	return errors.Join(failures...)
}

// perform sends one script.
func perform(s script.Script) script.Outcome {
	out := script.Outcome{Name: s.Name}
	conn, err := dial(s)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(longest)); err != nil {
		out.Error = err.Error()
		return out
	}
	received := make(chan []byte)
	go read(conn, received)
	for _, bytes := range s.Sends {
		// Who refuses what came before need not read this.
		_, _ = conn.Write(bytes)
		if collect(received, &out); out.Closed {
			break
		}
	}
	return out
}

// collect waits until the other side has closed, or says nothing more.
func collect(received <-chan []byte, out *script.Outcome) {
	wait := firstAnswer
	for {
		select {
		case bytes, open := <-received:
			if !open {
				out.Closed = true
				return
			}
			out.Received = append(out.Received, bytes...)
			wait = quiet
		case <-time.After(wait):
			return
		}
	}
}

// dial makes the connection of a script.
func dial(s script.Script) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address)
	if err != nil || s.ServerName == "" {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{
		ServerName: s.ServerName, NextProtos: s.Protocols, InsecureSkipVerify: s.Insecure,
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// read passes on what comes until the connection ends.
func read(conn net.Conn, received chan<- []byte) {
	defer close(received)
	for {
		buf := make([]byte, 16<<10)
		n, err := conn.Read(buf)
		if n > 0 {
			select {
			case received <- buf[:n]:
			case <-time.After(longest):
				return // nobody listens any more
			}
		}
		if err != nil {
			return
		}
	}
}
