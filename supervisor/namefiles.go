package supervisor

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Where a machine says what names mean, hosts(5) and resolv.conf(5).
const (
	hostsPath      = "/etc/hosts"
	resolvConfPath = "/etc/resolv.conf"
)

// nameFiles is what these files say.
type nameFiles struct {
	hosts  map[string][]netip.Addr // by name, in lower case and without a final dot
	config *dns.ClientConfig
}

// nameFilesOf returns how a session learns what the files say. Where the user may
// write to them, as root may, an agent could have an allowed name lead where it
// likes: then they are read once, before the agent starts. Else they are read
// again when they are some seconds old, as networks come and go.
func nameFilesOf(hosts, resolvConf string) func() *nameFiles {
	var mu sync.Mutex
	frozen := mayWrite(hosts) || mayWrite(resolvConf)
	files, at := readNameFiles(hosts, resolvConf), time.Now()
	return func() *nameFiles {
		mu.Lock()
		defer mu.Unlock()
		if !frozen && time.Since(at) > lookupCache {
			files, at = readNameFiles(hosts, resolvConf), time.Now()
		}
		return files
	}
}

// mayWrite says whether the user may change a file, or put another in its place,
// also behind a symbolic link.
func mayWrite(path string) bool {
	places := []string{path, filepath.Dir(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		places = append(places, filepath.Dir(real))
	}
	return slices.ContainsFunc(places, func(p string) bool {
		return unix.Faccessat(unix.AT_FDCWD, p, unix.W_OK, unix.AT_EACCESS) == nil
	})
}

// readNameFiles reads both. One that can't be read says nothing; without name
// servers the machine's own is asked, as resolv.conf(5) says.
func readNameFiles(hosts, resolvConf string) *nameFiles {
	config, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		config, _ = dns.ClientConfigFromReader(strings.NewReader("")) // can't fail: nothing is read
	}
	if len(config.Servers) == 0 {
		config.Servers = []string{"127.0.0.1", "::1"}
	}
	text, _ := os.ReadFile(hosts)
	return &nameFiles{hosts: parseHosts(text), config: config}
}

// parseHosts reads a hosts file. Lines that make no sense are left out.
func parseHosts(text []byte) map[string][]netip.Addr {
	hosts := map[string][]netip.Addr{}
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			hosts[name] = append(hosts[name], addr)
		}
	}
	return hosts
}
