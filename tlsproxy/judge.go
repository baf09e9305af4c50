package tlsproxy

import (
	"context"
	"net/netip"
	"time"
)

// Reasons of the denials that the proxy finds by itself. Each is one short word
// for the audit record.
const (
	// ReasonHostMismatch: the request's host, port or scheme is not that of
	// the connection it came on.
	ReasonHostMismatch = "host-mismatch"
	// ReasonNotHTTP: the first bytes are neither TLS nor HTTP.
	ReasonNotHTTP = "not-http"
	// ReasonTLS: the TLS handshake with the agent failed; most often the
	// program does not trust the session authority.
	ReasonTLS = "tls-handshake"
	// ReasonBadHost: the Host header is missing or is no host name.
	ReasonBadHost = "bad-host"
	// ReasonBadTarget: the request target is not one that RFC 9112 §3.2 allows.
	ReasonBadTarget = "bad-target"
	// ReasonBadFraming: the request or its body has not exactly one reading by
	// RFC 9112, so that another server could find another request in it.
	ReasonBadFraming = "bad-framing"
	// ReasonAmbiguousPath: there is a malformed percent sign in the target.
	ReasonAmbiguousPath = "ambiguous-path"
	// ReasonUnsupportedMethod: the method asks for a tunnel.
	ReasonUnsupportedMethod = "unsupported-method"
	// ReasonBody: the request body is larger than the rule allows.
	ReasonBody = "body"
	// ReasonNotRecorded: the decision could not be recorded.
	ReasonNotRecorded = "not-recorded"
)

// NoLimit as [Verdict.MaxRequestBytes] says that a body may have any size.
const NoLimit int64 = -1

// Flow is what the supervisor knows of one connection of the agent.
type Flow struct {
	// Dialled is the address that the agent dialled. Only its port is used
	// for the upstream connection, never its address.
	Dialled netip.AddrPort
	// Name is the host name for which the dialled address stands in this
	// session. Empty: the host is the address itself, as a literal.
	Name string
	// Proxy tells that the agent takes the dialled address for a proxy.
	Proxy bool
	// End tells about the agent's end of the connection; nil where nothing can
	// be told.
	End End
	// Process tells who dialled. The proxy hands it back and never looks.
	Process any
}

// End is the agent's end of a connection.
type End interface {
	// Held tells whether any process still has it open.
	Held() bool
}

// Request is one request of the agent, as put to the [Judge]. It is not changed
// once the Judge has seen it.
type Request struct {
	Flow Flow
	// ID names the request in records and in the agent's answer.
	ID string
	// Scheme is "https" or "http"; "tls" or "tcp" for a connection that is
	// not read, and empty where the bytes were none of these.
	Scheme string
	// Proto is the version towards the agent, such as "HTTP/1.1" or "HTTP/2.0".
	Proto string
	// Method is the method as sent; for a WebSocket handshake it is GET and
	// WebSocket is true.
	Method string
	// Host is the canonical host name or IP literal (without brackets).
	Host string
	// Port is the port that the agent dialled.
	Port uint16
	// Path is the path of the request target, byte for byte as sent, or "*".
	Path string
	// Query is what follows the first question mark, as sent.
	Query string
	// Overrides holds the methods named by method-override headers, in upper
	// case.
	Overrides []string
	// WebSocket tells that the request asks to be upgraded to WebSocket.
	WebSocket bool
	// ContentLength is the declared size of the body in bytes; -1 is unknown.
	ContentLength int64
}

// Verdict is the answer to a question about a request.
type Verdict struct {
	Allowed bool
	// Rule and RuleAt are the name of the rule that decided and its place
	// ("file:line"). Both are empty for the default.
	Rule, RuleAt string
	// Reason is one short word, such as "default" or "private-address".
	Reason string
	// Suggestion is what a person would add to the policy to allow the
	// request. It is shown to the agent.
	Suggestion string
	// MaxRequestBytes is the largest request body in bytes; [NoLimit] for
	// none. The zero value allows no body.
	MaxRequestBytes int64
}

// Result tells how an allowed request ended.
type Result struct {
	// Status is the status sent to the agent; 0 if none was.
	Status int
	// Upstream is the address that was really used; the zero value if the
	// request never got a connection.
	Upstream netip.AddrPort
	// Sent and Received are the body bytes that went upstream and that came
	// back. For an upgraded connection: the bytes after the upgrade.
	Sent, Received int64
	Duration       time.Duration
	// Denied tells that the request was allowed first and refused later, for
	// its body or its upstream address: Refused was called for it.
	Denied bool
	// Err is why the request did not end well; nil if it did.
	Err error
}

// Way is which way a connection goes.
type Way int

// The ways of a connection.
const (
	WayDeny  Way = iota // none
	WayRead             // through the proxy, request by request
	WayRelay            // untouched to the upstream
)

// Judge decides and records. Its methods are called concurrently.
type Judge interface {
	// NewID makes the identifier of a request.
	NewID() string

	// CanonicalHost returns the one spelling of a host name or IP literal
	// (given without port and brackets) by which rules know it.
	CanonicalHost(host string) (string, error)

	// Request decides on a request, before anything of it goes upstream,
	// and has recorded the decision when it returns. An error means that
	// it could not be recorded: nothing is forwarded.
	Request(ctx context.Context, req *Request) (Verdict, error)

	// Connect decides which way a connection goes, of which the scheme ("tls",
	// or "tcp" for a CONNECT), the host and the port are known. It has
	// recorded WayRelay and WayDeny, the latter as answered with the given
	// status, when it returns; WayRead is recorded request by request.
	// With an error the connection is refused.
	Connect(ctx context.Context, req *Request, status int) (Way, Verdict, error)

	// Refused records a denial that the proxy found, before it is answered
	// with the given status; 0 where the connection is reset instead. Rule,
	// RuleAt and Reason of the verdict are set where they are known. It may
	// follow a Request that was allowed, under the same ID. The answer is a
	// denial whatever Refused returns.
	Refused(ctx context.Context, req *Request, verdict Verdict, status int) error

	// Address decides whether the request may use this upstream address. It
	// is asked at the moment of the dial, and when a connection made for
	// another request is about to be used. Addresses that the operator gave
	// are not put to it.
	Address(req *Request, addr netip.AddrPort) Verdict

	// Lookup finds the upstream addresses of a canonical host, which may be
	// an IP literal. With byOperator they are the operator's own word.
	Lookup(ctx context.Context, host string, port uint16) (addrs []netip.AddrPort, byOperator bool, err error)

	// Done is called exactly once for each request that Request allowed, and
	// for each connection that Connect let be relayed.
	Done(req *Request, result Result)
}
