package tlsproxy

import (
	"bytes"
	"strings"
)

// protocol is what the first bytes of a connection are.
type protocol int

const (
	protoUndecided protocol = iota // more bytes are needed
	protoTLS                       // a TLS record with a ClientHello
	protoHTTP                      // an HTTP/1 request line
	protoHTTP2                     // HTTP/2 with prior knowledge (RFC 9113 §3.3)
	protoUnknown                   // none of these, whatever follows
)

const (
	// http2Preface opens an HTTP/2 connection (RFC 9113 §3.4).
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	// maxMethod bounds a method name; the longest registered has 17 bytes.
	maxMethod = 64
	// maxSniff is the number of bytes after which sniff has decided.
	maxSniff = maxLeadingLines*len("\r\n") + maxMethod + 1 + len("https://")
)

// sniff tells the protocol from the first bytes of a connection. Once it has
// decided, more bytes don't change the answer; it needs maxSniff bytes at most.
func sniff(head []byte) protocol {
	switch {
	case len(head) == 0:
		return protoUndecided
	case head[0] == recordHandshake:
		return sniffTLS(head)
	case head[0] == http2Preface[0] && isPrefix(head, "PRI "):
		return sniffHTTP2(head)
	default:
		return sniffHTTP(head)
	}
}

const (
	recordHandshake = 0x16 // ContentType handshake, RFC 8446 §5.1
	clientHello     = 0x01 // HandshakeType client_hello, RFC 8446 §4
)

// sniffTLS looks for a handshake record of any 3.x version that opens with a
// ClientHello.
func sniffTLS(head []byte) protocol {
	const handshakeType = 5 // after type, version (2) and length (2)
	switch {
	case len(head) > 1 && head[1] != 3, len(head) > 2 && head[2] > 4:
		return protoUnknown
	case len(head) <= handshakeType:
		return protoUndecided
	case head[handshakeType] != clientHello:
		return protoUnknown
	}
	return protoTLS
}

// isPrefix tells whether head and want agree as far as both go.
func isPrefix(head []byte, want string) bool {
	n := min(len(head), len(want))
	return string(head[:n]) == want[:n]
}

// sniffHTTP2 looks for the whole preface. PRI is no method (RFC 9113 §11.6).
func sniffHTTP2(head []byte) protocol {
	switch {
	case !isPrefix(head, http2Preface):
		return sniffHTTP(head)
	case len(head) < len(http2Preface):
		return protoUndecided
	}
	return protoHTTP2
}

// sniffHTTP looks for a method, a space, and the start of a request target in
// one of the forms of RFC 9112 §3.2. A method and a space alone would also be
// said of SMTP and SSH.
func sniffHTTP(head []byte) protocol {
	for range maxLeadingLines {
		head = bytes.TrimPrefix(head, crlf)
	}
	if len(head) == 0 || string(head) == "\r" {
		return protoUndecided
	}
	space := bytes.IndexByte(head, ' ')
	method := head
	if space >= 0 {
		method = head[:space]
	}
	if len(method) > maxMethod || !isToken(method) {
		return protoUnknown
	}
	if space < 0 {
		return protoUndecided
	}
	if space == 0 || string(method) == "PRI" {
		return protoUnknown
	}
	target := head[space+1:]
	switch {
	case len(target) == 0:
		return protoUndecided
	case target[0] == '/', target[0] == '*', string(method) == "CONNECT":
		return protoHTTP
	}
	return sniffAbsolute(target)
}

// sniffAbsolute looks for "http://" or "https://" in any case.
func sniffAbsolute(target []byte) protocol {
	for _, scheme := range []string{"http://", "https://"} {
		n := min(len(target), len(scheme))
		if !strings.EqualFold(string(target[:n]), scheme[:n]) {
			continue
		}
		if n < len(scheme) {
			return protoUndecided
		}
		return protoHTTP
	}
	return protoUnknown
}

// isToken tells whether all bytes may stand in a token (RFC 9110 §5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}
