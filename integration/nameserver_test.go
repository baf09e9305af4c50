package integration

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// nameserver answers every question with 127.0.0.1 (and with no IPv6
// address), over UDP and TCP, and keeps the names it was asked for.
type nameserver struct {
	servers []*dns.Server
	served  sync.WaitGroup

	mu    sync.Mutex
	asked []string // lower case, no final dot; guarded by mu
	errs  []error  // guarded by mu
}

// startNameserver starts one on an address. The caller closes it.
func startNameserver(address string) (*nameserver, error) {
	n := &nameserver{}
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for queries: %w", err)
	}
	streams, err := net.Listen("tcp", address)
	if err != nil {
		packets.Close()
		return nil, fmt.Errorf("listen for queries: %w", err)
	}
	n.serve(&dns.Server{PacketConn: packets, Handler: n})
	n.serve(&dns.Server{Listener: streams, Handler: n})
	return n, nil
}

// serve runs one server and returns when it is ready.
func (n *nameserver) serve(server *dns.Server) {
	n.servers = append(n.servers, server)
	ready := make(chan struct{})
	server.NotifyStartedFunc = func() { close(ready) }
	n.served.Go(func() {
		if err := server.ActivateAndServe(); err != nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.errs = append(n.errs, err)
		}
	})
	<-ready
}

// ServeDNS implements dns.Handler.
func (n *nameserver) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(question)
	for _, q := range question.Question {
		n.mu.Lock()
		n.asked = append(n.asked, strings.ToLower(strings.TrimSuffix(q.Name, ".")))
		n.mu.Unlock()
		if q.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.IPv4(127, 0, 0, 1),
			})
		}
	}
	// The client has gone when this fails; there is nobody to tell.
	_ = w.WriteMsg(answer)
}

// queries returns the names that were asked for and contain a part.
func (n *nameserver) queries(part string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []string
	for _, name := range n.asked {
		if strings.Contains(name, part) {
			found = append(found, name)
		}
	}
	return found
}

// close ends the servers.
func (n *nameserver) close() error {
	var errs []error
	for _, server := range n.servers {
		errs = append(errs, server.Shutdown())
	}
	n.served.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(append(errs, n.errs...)...)
}
