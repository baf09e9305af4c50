package policies

import "net/netip"

// Protocol is a way to reach the outside that a rule can be about.
type Protocol string

// The protocols that a rule may name.
const (
	// HTTP is HTTP and HTTPS, judged request by request.
	HTTP Protocol = "http"
	// TLS is a connection that stays encrypted, judged by server name and port.
	TLS Protocol = "tls"
	// TCP is a byte stream, judged by host and port when it is opened.
	TCP Protocol = "tcp"
	// UDP is a datagram, judged by host and port.
	UDP Protocol = "udp"
	// Unix is a connection to a Unix domain socket, judged by its path.
	Unix Protocol = "unix"
)

// WebSocket is the method under which a WebSocket upgrade (RFC 6455 §4.1) is
// judged, in place of the GET that carries it.
const WebSocket = "WEBSOCKET"

// Process says which program asks.
type Process struct {
	// Exe is the absolute path of the executable. Where it is empty the
	// program is not known: no allow rule with `process` matches it, and every
	// deny rule with `process` does.
	Exe string
	// Ancestors are the executables above the process up to the first process
	// of the session, nearest first. An empty string is one that is not known.
	Ancestors []string
}

// Request is a question to a policy. Fields that its protocol does not have
// are ignored.
type Request struct {
	Protocol Protocol
	// Host is a name or an IP literal, without port. Any spelling that
	// [CanonicalHost] accepts will do.
	Host string
	Port uint16
	// Method is the HTTP method, or [WebSocket].
	Method string
	// Overrides are the methods that method-override headers of the request
	// name. The request must be allowed under each of them too.
	Overrides []string
	// Path is, for HTTP, the escaped path as it was sent, without the query;
	// for Unix, the path of the socket, where an abstract name begins with "@"
	// in place of its NUL.
	Path    string
	Process Process
	// Addr is the address that Host resolves to. While it is the zero Addr it
	// is not judged, unless Host is itself an address.
	Addr netip.Addr
	// AddrByOperator says that Addr is the operator's word (upstream.resolve),
	// and so is not judged.
	AddrByOperator bool
}

// Decision is the answer to a [Request]. The zero Decision denies.
type Decision struct {
	// Allowed is the verdict.
	Allowed bool
	// Rule is the name of the rule that decided; empty where none did. Where
	// the address of the host was refused, it is the rule that would have
	// allowed the request otherwise.
	Rule string
	// RuleAt is where that rule stands, as "file:line".
	RuleAt string
	// Reason is one of the Reason constants.
	Reason string
	// MaxRequestBytes is the largest request body, in bytes, that an allowed
	// HTTP request may have; -1 is no limit. For a denied request it is 0.
	MaxRequestBytes int64
}

// Why a decision was taken.
const (
	// ReasonRule: the rule named by the decision says so.
	ReasonRule = "rule"
	// ReasonDefault: no rule matches.
	ReasonDefault = "default"
	// ReasonAmbiguousPath: the path has control characters or a malformed
	// percent sign, or more readings than can be judged.
	ReasonAmbiguousPath = "ambiguous-path"
	// ReasonPrivateAddress: the host is or resolves to a private, shared,
	// unique-local or loopback address, and the rule lacks `private`.
	ReasonPrivateAddress = "private-address"
	// ReasonMetadataAddress: the host is or resolves to a link-local or
	// cloud-metadata address that the rule does not name.
	ReasonMetadataAddress = "metadata-address"
	// ReasonUnusableAddress: the host is or resolves to an unspecified,
	// multicast, broadcast or reserved address, which no rule can allow.
	ReasonUnusableAddress = "unusable-address"
	// ReasonHTTPDeny: a rule would allow the connection, but the rule named by
	// the decision denies HTTP requests to the same host and port, which could
	// not be seen within it.
	ReasonHTTPDeny = "http-deny"
	// ReasonInvalidRequest: the protocol, the host or a method is malformed.
	ReasonInvalidRequest = "invalid-request"
)
