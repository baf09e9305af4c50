package tlsproxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// http2Block is a header block, as far as it could be read.
type http2Block struct {
	pseudo [len(pseudoNames)]string // values, in the order of pseudoNames
	seen   [len(pseudoNames)]bool
	others bool // there is a pseudo-header that requests don't have
	fields bool // an ordinary field has come
	length int  // of the block in bytes, as RFC 9113 §6.5.2 counts
	bad    *problem
}

// pseudoNames are the pseudo-headers of requests (RFC 9113 §8.3.1).
var pseudoNames = [...]string{":method", ":scheme", ":authority", ":path"}

// The places in pseudoNames.
const (
	pseudoMethod = iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
)

// readField checks one field (RFC 9113 §8.2, §8.3).
func (c *http2Conn) readField(f hpack.HeaderField) {
	block := &c.block
	if block.length += int(f.Size()); block.length > maxHeadBytes+http2ListSlack {
		c.decoder.SetEmitEnabled(false)
		if block.bad == nil {
			block.bad = tooLarge("The header fields are larger than %d bytes together.", maxHeadBytes)
		}
		return
	}
	if !httpguts.ValidHeaderFieldValue(f.Value) {
		block.fault("There is a control character in a header field.")
	}
	if f.IsPseudo() {
		block.readPseudo(f)
		return
	}
	block.fields = true
	if !isToken([]byte(f.Name)) || f.Name == "" || strings.ContainsAny(f.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		block.fault("The name of a header field is malformed.")
	}
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		block.fault("HTTP/2 has no header field for the connection.")
	case "te":
		if f.Value != "trailers" {
			block.fault("HTTP/2 has no transfer coding.")
		}
	}
}

// readPseudo keeps the first of each pseudo-header.
func (block *http2Block) readPseudo(f hpack.HeaderField) {
	i := slices.Index(pseudoNames[:], f.Name)
	switch {
	case i < 0:
		block.others = true
		block.fault("There is a pseudo-header that requests don't have.")
	case block.seen[i] || block.fields:
		block.fault("A pseudo-header is there twice, or behind another field.")
	}
	if i >= 0 && !block.seen[i] {
		block.seen[i], block.pseudo[i] = true, f.Value
	}
}

// checkRequest checks the pseudo-headers of a request (RFC 9113 §8.3.1) on a
// connection that is secure or not.
func (block *http2Block) checkRequest(secure bool) {
	method, scheme, path := block.pseudo[pseudoMethod], block.pseudo[pseudoScheme], block.pseudo[pseudoPath]
	authority := block.pseudo[pseudoAuthority]
	isConnect := method == http.MethodConnect
	switch {
	case strings.Contains(authority, "@"):
		block.fault("There is a user in :authority.")
	case isConnect && (scheme != "" || path != "" || authority == ""):
		block.fault("CONNECT has :authority and no :scheme or :path.")
	case isConnect:
	case method == "" || path == "" || scheme != "http" && scheme != "https":
		block.fault("A request has :method, :scheme and :path.")
	case (scheme == "https") != secure && block.bad == nil:
		block.bad = &problem{0, ReasonHostMismatch, "The request is for another scheme than the connection carries."}
	default:
		if _, err := url.ParseRequestURI(path); err != nil {
			block.fault("The :path is not one that HTTP allows.")
		}
	}
}

// fault notes what is wrong; the first cause counts.
func (block *http2Block) fault(detail string) {
	if block.bad == nil {
		block.bad = &problem{0, ReasonBadFraming, detail}
	}
}
