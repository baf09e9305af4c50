package supervisor

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// serveDNS answers on an address of loopback, by UDP and TCP, and returns its
// port; 0 asks for any.
func serveDNS(t *testing.T, address string, port int, handler dns.HandlerFunc) int {
	t.Helper()
	packets, err := net.ListenPacket("udp4", fmt.Sprintf("%s:%d", address, port))
	if err != nil {
		t.Fatal(err)
	}
	port = packets.LocalAddr().(*net.UDPAddr).Port
	stream, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", address, port))
	if err != nil {
		packets.Close()
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: stream, Handler: handler}} {
		go func() { _ = server.ActivateAndServe() }()
	}
	t.Cleanup(func() { packets.Close(); stream.Close() })
	return port
}

// answers are records in their usual spelling, by name and type.
func answers(t *testing.T, given map[string][]string) dns.HandlerFunc {
	t.Helper()
	parsed := map[string][]dns.RR{}
	for question, lines := range given {
		parsed[question] = nil
		for _, line := range lines {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			parsed[question] = append(parsed[question], rr)
		}
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		found, ok := parsed[q.Question[0].Name+" "+dns.TypeToString[q.Question[0].Qtype]]
		m.Answer = found
		if !ok {
			m.Rcode = dns.RcodeNameError
		}
		if w.LocalAddr().Network() == "udp" && strings.HasPrefix(q.Question[0].Name, "long.") {
			m.Answer, m.Truncated = nil, true
		}
		_ = w.WriteMsg(m)
	}
}

func TestFind(t *testing.T) {
	port := serveDNS(t, "127.0.0.1", 0, answers(t, map[string][]string{
		"both.test. A":         {"both.test. 60 IN A 192.0.2.1"},
		"both.test. AAAA":      {"both.test. 60 IN AAAA 2001:db8::1"},
		"alias.test. A":        {"alias.test. 60 IN CNAME real.test.", "real.test. 60 IN A 192.0.2.2"},
		"alias.test. AAAA":     {"alias.test. 60 IN CNAME real.test."},
		"long.test. A":         {"long.test. 60 IN A 192.0.2.3"},
		"empty.test. A":        nil,
		"empty.test. AAAA":     nil,
		"machine.near.test. A": {"machine.near.test. 60 IN A 192.0.2.4"},
	}))
	serveDNS(t, "127.0.0.2", port, func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
	})
	serveDNS(t, "127.0.0.3", port, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Question[0].Name = "other.test."
		_ = w.WriteMsg(m)
	})
	config := &dns.ClientConfig{
		Servers: []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, Port: fmt.Sprint(port), Attempts: 1, Timeout: 5, Ndots: 1,
		Search: []string{"far.test", "near.test"},
	}
	files := &nameFiles{config: config, hosts: parseHosts([]byte("192.0.2.7 both.other.test\n"))}
	for _, tt := range []struct {
		name, want string
		notFound   bool
	}{
		{"both.test", "192.0.2.1 2001:db8::1", false}, {"alias.test", "192.0.2.2", false}, {"long.test", "192.0.2.3", false},
		{"both.other.test", "192.0.2.7", false}, {"machine", "192.0.2.4", false}, {"machine.test", "", true},
		{"empty.test", "", true}, {"gone.test", "", true}, {"localhost", "127.0.0.1 ::1", false}, {"x.localhost", "127.0.0.1 ::1", false},
	} {
		r := testSession(t, "").resolver
		r.files = func() *nameFiles { return files }
		got, err := r.find(t.Context(), tt.name)
		if text := strings.Trim(fmt.Sprint(got), "[]"); text != tt.want || isNotFound(err) != tt.notFound {
			t.Errorf("%s is at %s, %v; want %s", tt.name, text, err, tt.want)
		}
	}
	for _, server := range []string{"127.0.0.2", "127.0.0.3"} {
		r := testSession(t, "").resolver
		alone := *config
		alone.Servers = []string{server}
		r.files = func() *nameFiles { return &nameFiles{config: &alone} }
		if got, err := r.find(t.Context(), "both.test"); err == nil || isNotFound(err) || len(got) > 0 {
			t.Errorf("by %s the name is at %v, %v", server, got, err)
		}
	}
}

func isNotFound(err error) bool {
	failed, ok := err.(*net.DNSError)
	return ok && failed.IsNotFound
}

func TestNameFiles(t *testing.T) {
	dir := t.TempDir()
	hosts, conf := filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	for path, text := range map[string]string{
		hosts: "# nothing\n127.0.0.1\tLocalhost here. # here\n::1 localhost\nnonsense x.test\n192.0.2.1\n\n  192.0.2.2 here x.test",
		conf:  "nameserver 192.0.2.53\nsearch corp.test\noptions timeout:0 attempts:0\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := readNameFiles(hosts, conf)
	a := netip.MustParseAddr
	want := map[string][]netip.Addr{
		"localhost": {a("127.0.0.1"), a("::1")}, "here": {a("127.0.0.1"), a("192.0.2.2")}, "x.test": {a("192.0.2.2")},
	}
	if diff := cmp.Diff(want, files.hosts, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("hosts (-want +got)\n%s", diff)
	}
	wantConfig := &dns.ClientConfig{
		Servers: []string{"192.0.2.53"}, Search: []string{"corp.test"}, Port: "53", Ndots: 1, Timeout: 1, Attempts: 1,
	}
	if diff := cmp.Diff(wantConfig, files.config); diff != "" {
		t.Errorf("resolv.conf (-want +got)\n%s", diff)
	}
	none := readNameFiles(dir+"/none", dir+"/none")
	if len(none.hosts) > 0 || cmp.Diff([]string{"127.0.0.1", "::1"}, none.config.Servers) != "" || none.config.Attempts < 1 {
		t.Errorf("without files: %v, %+v", none.hosts, none.config)
	}
}

// TestNameFilesFrozen: what the user may write to is read once.
func TestNameFilesFrozen(t *testing.T) {
	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(hosts, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("192.0.2.1 before.test\n")
	synctest.Test(t, func(t *testing.T) {
		files := nameFilesOf(hosts, filepath.Join(dir, "none"))
		write("192.0.2.1 after.test\n")
		time.Sleep(2 * lookupCache)
		if got := files().hosts; got["before.test"] == nil || got["after.test"] != nil {
			t.Errorf("read again: %v", got)
		}
	})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(hosts, link); err != nil {
		t.Fatal(err)
	}
	if !mayWrite(link) {
		t.Error("behind a link it is not seen that the file is the user's")
	}
	if os.Geteuid() != 0 && mayWrite(resolvConfPath) {
		t.Errorf("an ordinary user may write to %s", resolvConfPath)
	}
	if mayWrite("/proc/self/none/none") {
		t.Error("what is not there and can't be made may be written to")
	}
}
