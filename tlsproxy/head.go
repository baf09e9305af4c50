package tlsproxy

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// head is a request line and its fields, as far as framing and routing depend
// on them.
type head struct {
	method, target, proto string
	host                  string
	accept                []string
	length                int64 // of the body; -1 is chunked
	webSocket             bool

	hosts     int // how many Host fields there are
	lengths   []string
	encodings []string
	upgrades  []string
	options   []string // of Connection
	expects   []string
	url       *url.URL
}

// read reads a head. With a problem, it has been read up to there.
func (h *head) read(block []byte) *problem {
	line, rest, whole := bytes.Cut(block, crlf)
	if bad := h.readRequestLine(line); bad != nil {
		return bad
	}
	for whole {
		line, rest, whole = bytes.Cut(rest, crlf)
		if len(line) == 0 {
			break
		}
		if bad := h.readField(line); bad != nil {
			return bad
		}
	}
	for _, check := range []func() *problem{h.checkHost, h.checkLength, h.checkOptions} {
		if bad := check(); bad != nil {
			return bad
		}
	}
	return nil
}

// readRequestLine reads the first line (RFC 9112 §3): exactly two spaces, and
// no other white space.
func (h *head) readRequestLine(line []byte) *problem {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !isToken(method) || len(method) == 0 {
		return badFraming("The request line does not begin with a method and one space.")
	}
	h.method = string(method)
	target, proto, also := bytes.Cut(rest, []byte(" "))
	h.target, h.proto = printable(target), printable(proto)
	if !ok || !also || len(target) == 0 || bytes.ContainsAny(proto, " \t") || bytes.IndexByte(target, '\t') >= 0 {
		return badFraming("The request line is not a method, a target and a version with one space between them.")
	}
	switch {
	case h.proto == "HTTP/1.1", h.proto == "HTTP/1.0":
	case isVersion(h.proto):
		return &problem{http.StatusHTTPVersionNotSupported, ReasonBadFraming,
			"The versions of HTTP that are understood here are 1.0 and 1.1, and 2 by its own preface."}
	default:
		return badFraming("The request line does not end in a version of HTTP.")
	}
	return h.readURL()
}

// isVersion tells whether a text is an HTTP-version (RFC 9112 §2.3).
func isVersion(s string) bool {
	return len(s) == len("HTTP/1.1") && strings.HasPrefix(s, "HTTP/") && s[6] == '.' &&
		isDigit(s[5]) && isDigit(s[7])
}

// isDigit tells whether a byte is a decimal digit.
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// printable returns the beginning of a text up to a byte that is none.
func printable(b []byte) string {
	for i, c := range b {
		if c <= ' ' || c == 0x7f {
			return string(b[:i])
		}
	}
	return string(b)
}

// readURL reads the target as net/http will.
func (h *head) readURL() *problem {
	target := h.target
	if h.method == http.MethodConnect && !strings.HasPrefix(target, "/") {
		target = "http://" + target
	}
	var (
		err    error
		escape url.EscapeError
	)
	if h.url, err = url.ParseRequestURI(target); err == nil {
		return nil
	}
	bad := &problem{http.StatusBadRequest, ReasonBadTarget, "The request target is not one that HTTP allows."}
	if errors.As(err, &escape) {
		bad.reason, bad.detail = ReasonAmbiguousPath, "There is a malformed percent sign in the request target."
	}
	return bad
}

// readField reads one field line (RFC 9112 §5).
func (h *head) readField(line []byte) *problem {
	name, value, bad := splitField(line)
	if bad != nil {
		return bad
	}
	field, odd := fieldOf(name)
	if odd {
		return badFraming("A header field is spelt so that some servers would take it for %s.", field)
	}
	switch field {
	case "":
	case fieldHost:
		h.hosts++
		h.host = value
	case fieldContentLength:
		h.lengths = append(h.lengths, value)
	case fieldTransferEncoding:
		h.encodings = append(h.encodings, value)
	case fieldConnection:
		h.options = append(h.options, value)
	case fieldUpgrade:
		h.upgrades = append(h.upgrades, value)
	case fieldExpect:
		h.expects = append(h.expects, value)
	case fieldAccept:
		h.accept = append(h.accept, value)
	case fieldTrailer:
		return checkTrailerNames(value)
	}
	return nil
}
