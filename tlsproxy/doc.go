// Package tlsproxy is the part of boundary that reads the agent's HTTP: it
// holds the session's certificate authority, ends the agent's TLS with leaves
// that this authority signs, asks a [Judge] about every request, and forwards
// the allowed ones.
//
// # Trust boundary
//
// Everything that arrives on a connection given to [Proxy.Serve] is written by
// the agent and is hostile. The address that the agent dialled is never used to
// reach the outside: the upstream address is found from the host name of each
// request, by [Judge.Lookup], and each address is put to [Judge.Address] at the
// moment of the dial and again whenever a pooled connection is used anew.
// Upstream certificates are always verified.
//
// Nothing of a request leaves before [Judge.Request] has returned, and that
// call has then recorded the decision. A question that can't be answered is a
// denial.
//
// # What it refuses
//
// Bytes that are neither TLS nor HTTP, a request whose host is not the TLS
// server name (RFC 9110 §7.4), CONNECT, and protocol upgrades other than
// WebSocket, which are forwarded without the offer to upgrade. Bodies are
// streamed in both directions and never held whole.
//
// A request in which servers could differ about where it ends or what it is for
// (RFC 9112 §11.2) is refused, recorded and its connection closed; it is never
// mended. In HTTP/1 http1Conn sees to that, before net/http reads anything. In
// HTTP/2 net/http refuses by itself, and http2Conn has it recorded.
//
// # Secrets
//
// The authority's private key exists in memory only. Neither errors nor answers
// carry header values or bodies.
//
// # Goroutines
//
// All exported methods may be called concurrently. The goroutines of a [Proxy]
// end with [Proxy.Close].
package tlsproxy
