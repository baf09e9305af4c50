package supervisor

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"boundary/policies"
)

// agentProxies are the hosts and ports that the agent's environment calls
// proxies. Nobody needs one here, but many programs take the variables' word:
// what they send there comes to our own proxy, which judges it as a request to
// where it is for. The one that is named need not exist, and is never asked.
type agentProxies struct {
	hosts map[string]bool
	at    map[hostAndPort]bool
}

// hostAndPort is a canonical host with a port.
type hostAndPort struct {
	host string
	port uint16
}

// portCurlProxy is curl's for a proxy that is named without one, curl(1).
const portCurlProxy = 1080

// findAgentProxies reads all variables whose names end in "_proxy", in whatever
// case, and thereby those of npm, yarn and the like too.
func findAgentProxies(env []string) agentProxies {
	p := agentProxies{hosts: map[string]bool{}, at: map[hostAndPort]bool{}}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		name = strings.ToUpper(name)
		if strings.HasSuffix(name, "_PROXY") && !strings.HasSuffix(name, "NO_PROXY") {
			p.add(value)
		}
	}
	return p
}

// add notes a proxy, which is written as a URL or as HOST:PORT.
func (p agentProxies) add(value string) {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return
	}
	host, err := policies.CanonicalHost(u.Hostname())
	if err != nil {
		return
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		port = portCurlProxy // 80 and 443 lead to the proxy anyway
	}
	hosts := []string{host}
	if host == "localhost" {
		hosts = append(hosts, "127.0.0.1", netip.IPv6Loopback().String())
	}
	for _, host := range hosts {
		p.hosts[host] = true
		p.at[hostAndPort{host, uint16(port)}] = true
	}
	if port == portCurlProxy && u.Port() == "" {
		p.at[hostAndPort{host, portHTTP}] = true
		p.at[hostAndPort{host, portHTTPS}] = true
	}
}

// named says whether a name is a proxy's: it stands for an address, whether or
// not there is such a host.
func (p agentProxies) named(host string) bool { return p.hosts[host] }

// dialled says whether the agent dials a proxy.
func (p agentProxies) dialled(d destination) bool { return p.at[hostAndPort{d.host, d.port()}] }
