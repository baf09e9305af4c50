package tlsproxy

import (
	"bytes"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// field is the name, in lower case, of a header field that says where a request
// begins and ends or what it is for. The zero value is any other.
type field string

const (
	fieldHost             field = "host"
	fieldContentLength    field = "content-length"
	fieldTransferEncoding field = "transfer-encoding"
	fieldConnection       field = "connection"
	fieldUpgrade          field = "upgrade"
	fieldExpect           field = "expect"
	fieldTrailer          field = "trailer"
	fieldAccept           field = "accept"

	// Methods that some frameworks heed in place of the one in the request line.
	fieldMethodOverride1 field = "x-http-method-override"
	fieldMethodOverride2 field = "x-http-method"
	fieldMethodOverride3 field = "x-method-override"

	// Targets that some servers heed in place of the one in the request line.
	fieldOriginalURL field = "x-original-url"
	fieldRewriteURL  field = "x-rewrite-url"
)

// maxFieldName is the length of the longest field.
const maxFieldName = len(fieldMethodOverride1)

// fieldOf finds the field that a server could take a name for. Servers that
// hand fields on as variables fold all that is neither letter nor digit (RFC
// 3875 §4.1.18); odd is a name that only these would take so.
func fieldOf(name []byte) (f field, odd bool) {
	if len(name) > maxFieldName {
		return "", false
	}
	var folded [maxFieldName]byte
	for i, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', isDigit(c):
		case c != '-':
			c, odd = '-', true
		}
		folded[i] = c
	}
	switch f := field(folded[:len(name)]); f {
	case fieldHost, fieldContentLength, fieldTransferEncoding, fieldConnection, fieldUpgrade, fieldExpect, fieldTrailer:
		return f, odd
	case fieldMethodOverride1, fieldMethodOverride2, fieldMethodOverride3, fieldOriginalURL, fieldRewriteURL, fieldAccept:
		// Heeded in every spelling, or of no weight: never odd.
		return f, false
	}
	return "", false
}

// overridesMethod tells whether a field names another method.
func (f field) overridesMethod() bool {
	return f == fieldMethodOverride1 || f == fieldMethodOverride2 || f == fieldMethodOverride3
}

// overridesTarget tells whether a field names another target.
func (f field) overridesTarget() bool { return f == fieldOriginalURL || f == fieldRewriteURL }

// keepsRequest tells whether a request would be another one without the field.
func (f field) keepsRequest() bool {
	switch f {
	case fieldHost, fieldContentLength, fieldTransferEncoding, fieldExpect:
		return true
	}
	return f.overridesMethod() || f.overridesTarget()
}

// splitField parts a field line. White space around the value is not of it; in
// or around the name there is none (RFC 9112 §5.1), and no line goes on in the
// next (§5.2).
func splitField(line []byte) (name []byte, value string, bad *problem) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, "", badFraming("A header field goes on in a second line.")
	}
	name, rest, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || !isToken(name) {
		return nil, "", badFraming("A header line is not a name and a colon with no space between them.")
	}
	for _, c := range rest {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, "", badFraming("There is a control character in a header field.")
		}
	}
	return name, string(bytes.Trim(rest, " \t")), nil
}

// checkTrailerNames checks the fields that a Trailer field announces.
func checkTrailerNames(value string) *problem {
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if name != "" && !isTrailer([]byte(name)) {
			return badFraming("The Trailer header names a field that can't follow a body.")
		}
	}
	return nil
}

// isTrailer tells whether a field may follow a body (RFC 9110 §6.5.1). Some
// servers mix what follows with what went before.
func isTrailer(name []byte) bool {
	f, _ := fieldOf(name)
	return len(name) > 0 && isToken(name) && (f == "" || f == fieldAccept) && httpguts.ValidTrailerHeader(string(name))
}

// checkHTTP2 finds in an HTTP/2 request what head refuses in HTTP/1 and
// net/http would mend or pass on.
func checkHTTP2(r *http.Request) *problem {
	for name, values := range r.Header {
		f, odd := fieldOf([]byte(name))
		switch {
		case odd:
			return badFraming("A header field is spelt so that some servers would take it for %s.", f)
		case f == fieldHost && len(values) > 1:
			return &problem{http.StatusBadRequest, ReasonBadHost, "There is more than one Host header."}
		case f == fieldContentLength && len(values) > 1:
			return badFraming("There is more than one Content-Length.")
		case f == fieldContentLength:
			if _, ok := readLength(values[0]); !ok {
				return badFraming("The Content-Length is not a number.")
			}
		}
	}
	for name := range r.Trailer {
		if !isTrailer([]byte(name)) {
			return badFraming("The Trailer header names a field that can't follow a body.")
		}
	}
	return nil
}
