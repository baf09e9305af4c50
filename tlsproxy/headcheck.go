package tlsproxy

import (
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// checkHost checks the one Host field (RFC 9112 §3.2), and that a target in
// absolute form is for the same host: there servers differ on which one counts.
func (h *head) checkHost() *problem {
	bad := func(detail string) *problem { return &problem{http.StatusBadRequest, ReasonBadHost, detail} }
	switch {
	case h.hosts > 1:
		return bad("There is more than one Host header.")
	case h.hosts == 1 && (h.host == "" || !httpguts.ValidHostHeader(h.host)):
		return bad("The Host header is empty or malformed.")
	case h.method == http.MethodConnect:
		return nil // the target is what counts
	case h.hosts == 0 && h.proto == "HTTP/1.1":
		return bad("The Host header is missing.")
	case h.hosts == 1 && h.url.Host != "" && !sameAuthority(h.url.Host, h.host):
		return bad("The Host header and the host of the request target are not the same.")
	}
	return nil
}

// sameAuthority tells whether two authorities are for the same host and, where
// both name one, the same port.
func sameAuthority(a, b string) bool {
	hostA, portA, errA := splitHost(a)
	hostB, portB, errB := splitHost(b)
	return errA == nil && errB == nil && strings.EqualFold(hostA, hostB) &&
		(portA == portB || portA == "" || portB == "")
}

// checkLength finds the length of the body (RFC 9112 §6).
func (h *head) checkLength() *problem {
	switch {
	case len(h.encodings) > 0 && len(h.lengths) > 0:
		return badFraming("There are both Content-Length and Transfer-Encoding.")
	case len(h.encodings) > 0:
		return h.checkEncoding()
	case len(h.lengths) > 1:
		return badFraming("There is more than one Content-Length.")
	case len(h.lengths) == 0:
		return nil
	}
	length, ok := readLength(h.lengths[0])
	if !ok {
		return badFraming("The Content-Length is not a number.")
	}
	h.length = length
	return nil
}

// readLength reads the value of Content-Length: digits and nothing else (RFC
// 9110 §8.6).
func readLength(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// checkEncoding takes the one transfer coding that requests have (RFC 9112
// §6.1, §7). It is not for HTTP/1.0.
func (h *head) checkEncoding() *problem {
	switch {
	case len(h.encodings) > 1:
		return badFraming("There is more than one Transfer-Encoding.")
	case h.proto != "HTTP/1.1":
		return badFraming("HTTP/1.0 has no Transfer-Encoding.")
	case strings.EqualFold(h.encodings[0], "chunked"):
		h.length = -1
		return nil
	}
	known := true
	for coding := range strings.SplitSeq(h.encodings[0], ",") {
		coding = strings.TrimSpace(coding)
		if coding == "" || !isToken([]byte(coding)) {
			return badFraming("The Transfer-Encoding is not chunked.")
		}
		known = known && strings.EqualFold(coding, "chunked")
	}
	if known {
		return badFraming("The Transfer-Encoding is chunked more than once.")
	}
	return &problem{http.StatusNotImplemented, ReasonBadFraming, "The only transfer coding of requests is chunked."}
}

// checkOptions checks what the request asks of the connection.
func (h *head) checkOptions() *problem {
	for _, value := range h.options {
		for option := range strings.SplitSeq(value, ",") {
			// A proxy drops the fields that Connection names (RFC 9110
			// §7.6.1), and these are not to be dropped.
			if field, _ := fieldOf([]byte(strings.TrimSpace(option))); field.keepsRequest() {
				return badFraming("The Connection header names %s, which no hop may drop.", field)
			}
		}
	}
	h.webSocket = h.method == http.MethodGet && len(h.upgrades) > 0 &&
		strings.EqualFold(h.upgrades[0], "websocket") && hasToken(h.options, "upgrade")
	if h.webSocket && h.length != 0 {
		return badFraming("A WebSocket handshake has no body.")
	}
	if h.method == http.MethodConnect && h.length != 0 {
		return badFraming("CONNECT has no body.")
	}
	if len(h.expects) > 1 || len(h.expects) == 1 && !strings.EqualFold(h.expects[0], "100-continue") {
		return &problem{http.StatusExpectationFailed, ReasonBadFraming, "The only expectation that can be met is 100-continue."}
	}
	return nil
}
