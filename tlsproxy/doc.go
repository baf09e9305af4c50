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
// Two kinds of connection are carried without being read, where [Judge.Connect]
// says so: TLS, by its server name, and what is within a CONNECT.
//
// # What it refuses
//
// Bytes that are neither TLS nor HTTP, a request whose host is not the TLS
// server name (RFC 9110 §7.4), CONNECT in HTTP/2, in another CONNECT or in TLS
// that was not made to a proxy, and protocol upgrades other than WebSocket, which
// are forwarded without the offer to upgrade. Bodies are streamed in both
// directions and never held whole.
//
// # Proxies
//
// A program may take what it dials for a proxy. A CONNECT, and a request in
// absolute form, are judged by the host and port that they name, as if these had
// been dialled. Proxy-Authorization is never forwarded. The proxy that leads
// outside, if there is one, is the operator's: its address is not judged, and it
// looks hosts up by itself.
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
