package tlsproxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// headText makes a head of lines, with a Host field where none has one.
func headText(lines ...string) string {
	text := strings.Join(lines, "\r\n") + "\r\n"
	if !strings.Contains(strings.ToLower(text), "\r\nhost") {
		text += "Host: a.test\r\n"
	}
	return text + "\r\n"
}

func TestHead(t *testing.T) {
	const get = "GET /a HTTP/1.1"
	tests := map[string]struct {
		text   string
		length int64
		socket bool
	}{
		"plain":                {headText(get), 0, false},
		"old":                  {"GET /a HTTP/1.0\r\n\r\n", 0, false},
		"length":               {headText("POST /a HTTP/1.1", "Content-Length: 17"), 17, false},
		"length without space": {headText("POST /a HTTP/1.1", "content-length:0017"), 17, false},
		"chunked":              {headText("POST /a HTTP/1.1", "TRANSFER-ENCODING:\tChunked "), -1, false},
		"trailer":              {headText("POST /a HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-Sum, X-Other"), -1, false},
		"expect":               {headText("POST /a HTTP/1.1", "Expect: 100-Continue", "Content-Length: 5"), 5, false},
		"web socket":           {headText(get, "Connection: keep-alive, Upgrade", "Upgrade: WebSocket"), 0, true},
		"other upgrade":        {headText(get, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"), 0, false},
		"absolute form":        {headText("GET http://a.test:80/ HTTP/1.1", "Host: A.test"), 0, false},
		"connect":              {headText("CONNECT a.test:443 HTTP/1.1", "Host: a.test"), 0, false},
		"bytes in value":       {headText(get, "X-Name: caf\xc3\xa9 \xff\tand more"), 0, false},
		"empty value":          {headText(get, "X-Name:"), 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h head
			if bad := h.read([]byte(tt.text)); bad != nil {
				t.Fatalf("refused: %v", bad)
			}
			if h.length != tt.length || h.webSocket != tt.socket {
				t.Errorf("length %d, web socket %t; want %d, %t", h.length, h.webSocket, tt.length, tt.socket)
			}
		})
	}
}

func TestHeadRefused(t *testing.T) {
	const (
		get  = "GET /a HTTP/1.1"
		post = "POST /a HTTP/1.1"
	)
	framing := []string{
		headText("GET  /a HTTP/1.1"), headText("GET /a  HTTP/1.1"), headText(" GET /a HTTP/1.1"),
		headText("GET\t/a HTTP/1.1"), headText("GET /a\tHTTP/1.1"), headText("GET /a HTTP/1.1 "),
		headText("GET /a b HTTP/1.1"), headText("GET /a"), headText("GET"), headText(""), headText("GET /a http/1.1"),
		headText("GET /a HTTP/1.10"), headText("GET /a HTTP/1"), headText("GET /a HTTP/1.1;x"), headText("G(T /a HTTP/1.1"),
		headText("G\xc3\x89T /a HTTP/1.1"), headText("GET /a HTTPS/1.1"), headText("GET /a XHTTP/1.1"),
		headText(get, "Folded: a", " b"), headText(get, "Folded: a", "\tb"), headText(get, " First: a"),
		headText(get, "Name : a"), headText(get, "Na me: a"), headText(get, ": a"), headText(get, "no colon"),
		headText(get, "Name\xff: a"), headText(get, "Name\t: a"), headText(get, "Transfer-Encoding : chunked"),
		headText(post, "Content-Length: 1", "Content-Length: 1"), headText(post, "Content-Length: 1", "Content-Length: 2"),
		headText(post, "Content-Length: 1, 1"), headText(post, "Content-Length: +1"), headText(post, "Content-Length: -1"),
		headText(post, "Content-Length: 0x1"), headText(post, "Content-Length: 1_0"), headText(post, "Content-Length:"),
		headText(post, "Content-Length: 1 1"), headText(post, "Content-Length: 9223372036854775808"), headText(post, "Content-Length: \xd9\xa1"),
		headText(post, "Content-Length: 1", "Transfer-Encoding: chunked"), headText(post, "Transfer-Encoding: chunked", "Content-Length: 1"),
		headText(post, "Content-Length: 1", "Transfer-Encoding: identity"),
		headText(post, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), headText(post, "Transfer-Encoding: chunked, chunked"),
		headText(post, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"), headText(post, "Transfer-Encoding:"),
		headText(post, "Transfer-Encoding: chunked,"), headText(post, `Transfer-Encoding: "chunked"`), headText(post, "Transfer-Encoding: chunked;q=1"),
		headText("POST /a HTTP/1.0", "Transfer-Encoding: chunked"),
		headText(post, "Content_Length: 1"), headText(post, "Transfer_Encoding: chunked"), headText(post, "Content.Length: 1"), headText(post, "content!length: 1"),
		headText(get, "Connection: close, Host"), headText(post, "Connection: content-length", "Content-Length: 1"), headText(post, "Connection: Transfer_Encoding"),
		headText(post, "Connection: X-HTTP-Method-Override"), headText(post, "Trailer: Content-Length"), headText(post, "Trailer: X-A, Host"),
		headText(post, "Trailer: x-http-method-override"), headText(post, "Trailer: transfer_encoding"),
		headText(get, "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5"),
		headText(get, "Connection: Upgrade", "Upgrade: websocket", "Transfer-Encoding: chunked"),
	}
	other := map[string]struct {
		text   string
		status int
		reason string
	}{
		"no host":           {"GET /a HTTP/1.1\r\n\r\n", 400, ReasonBadHost},
		"two hosts":         {headText(get, "Host: a.test", "Host: a.test"), 400, ReasonBadHost},
		"two hosts, old":    {headText("GET /a HTTP/1.0", "Host: a.test", "Host: b.test"), 400, ReasonBadHost},
		"empty host":        {headText(get, "Host:"), 400, ReasonBadHost},
		"host with path":    {headText(get, "Host: a.test/x"), 400, ReasonBadHost},
		"host with at":      {headText(get, "Host: a.test@b.test"), 400, ReasonBadHost},
		"host of target":    {headText("GET http://b.test/ HTTP/1.1"), 400, ReasonBadHost},
		"port of target":    {headText("GET http://a.test:81/ HTTP/1.1", "Host: a.test:80"), 400, ReasonBadHost},
		"version 1.2":       {headText("GET /a HTTP/1.2"), 505, ReasonBadFraming},
		"version 2.0":       {headText("GET /a HTTP/2.0"), 505, ReasonBadFraming},
		"version 0.9":       {headText("GET /a HTTP/0.9"), 505, ReasonBadFraming},
		"substitute":        {headText("GET / HTTP/1.9"), 505, ReasonBadFraming},
		"gzip":              {headText(post, "Transfer-Encoding: gzip"), 501, ReasonBadFraming},
		"gzip and chunked":  {headText(post, "Transfer-Encoding: gzip, chunked"), 501, ReasonBadFraming},
		"identity":          {headText(post, "Transfer-Encoding: identity"), 501, ReasonBadFraming},
		"expectation":       {headText(post, "Expect: 200-ok"), 417, ReasonBadFraming},
		"two expectations":  {headText(post, "Expect: 100-continue", "Expect: 100-continue"), 417, ReasonBadFraming},
		"escape":            {headText("GET /a%zz HTTP/1.1"), 400, ReasonAmbiguousPath},
		"escape at the end": {headText("GET /a% HTTP/1.1"), 400, ReasonAmbiguousPath},
		"relative target":   {headText("GET a HTTP/1.1"), 400, ReasonBadTarget},
		"bad authority":     {headText("GET http://[::1/ HTTP/1.1"), 400, ReasonBadTarget},
	}
	check := func(t *testing.T, text string, status int, reason string) {
		var h head
		bad := h.read([]byte(text))
		if bad == nil || bad.status != status || bad.reason != reason {
			t.Errorf("%q: got %+v, want %d %s", text, bad, status, reason)
		}
	}
	for _, text := range framing {
		t.Run(text, func(t *testing.T) { check(t, text, http.StatusBadRequest, ReasonBadFraming) })
	}
	for name, tt := range other {
		t.Run(name, func(t *testing.T) { check(t, tt.text, tt.status, tt.reason) })
	}
}

func TestFieldOf(t *testing.T) {
	type found struct {
		Field string
		Odd   bool
	}
	tests := map[string]found{
		"Content-Length":         {"content-length", false},
		"CONTENT_LENGTH":         {"content-length", true},
		"Transfer.Encoding":      {"transfer-encoding", true},
		"X_Http.Method-Override": {"x-http-method-override", false},
		"x-rewrite_url":          {"x-rewrite-url", false},
		"Content-Lengths":        {},
		"":                       {},
		strings.Repeat("x", 99):  {},
	}
	for name, want := range tests {
		f, odd := fieldOf([]byte(name))
		if diff := cmp.Diff(want, found{string(f), odd}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}
