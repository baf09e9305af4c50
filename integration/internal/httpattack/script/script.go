// Package script holds what a test and the program that attacks for it say to
// each other: both in JSON, a list of scripts in, an outcome a line out.
package script

// Script is one connection and what is sent on it.
type Script struct {
	Name string
	// Address is dialled, as host and port.
	Address string
	// ServerName is the name for TLS; empty is no TLS.
	ServerName string
	// Protocols are offered in TLS (ALPN).
	Protocols []string
	// Insecure takes any certificate.
	Insecure bool
	// Sends are written one after another, each but the first once something
	// was received, or a moment has passed.
	Sends [][]byte
	// Last has the script wait until all others are done.
	Last bool
}

// Outcome is what came of a script.
type Outcome struct {
	Name     string
	Received []byte
	// Closed tells that the other side ended the connection.
	Closed bool
	// Error is why nothing could be sent.
	Error string
}
