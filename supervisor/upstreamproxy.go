package supervisor

import (
	"net/url"

	"golang.org/x/net/http/httpproxy"

	"boundary/policies"
)

// upstreamProxy returns what finds the proxy that leads to a URL: the policy's,
// else the one of the supervisor's own environment. NO_PROXY holds for both, and
// for a host that the policy resolves itself there is none.
func upstreamProxy(policy *policies.Policy) func(*url.URL) (*url.URL, error) {
	config := httpproxy.FromEnvironment()
	if own := policy.UpstreamProxy(); own != nil {
		config.HTTPProxy, config.HTTPSProxy = own.String(), own.String()
	}
	find := config.ProxyFunc()
	return func(u *url.URL) (*url.URL, error) {
		if policy.ResolvesName(u.Hostname()) {
			return nil, nil
		}
		return find(u)
	}
}

// throughProxy says whether a host is reached by way of a proxy on its usual
// ports: then it is the proxy that looks its name up, and here it may be unknown.
func (s *Session) throughProxy(host string) bool {
	for _, scheme := range []string{"http", "https"} {
		if proxy, err := s.upstreamProxy(&url.URL{Scheme: scheme, Host: host}); err == nil && proxy != nil {
			return true
		}
	}
	return false
}
