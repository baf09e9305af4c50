package tlsproxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// headerBlock encodes fields, as "name", "value" and so on.
func headerBlock(t testing.TB, fields ...string) []byte {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	return block.Bytes()
}

// TestHTTP2Recorded sends what net/http refuses by itself: each has a record,
// and nothing goes further.
func TestHTTP2Recorded(t *testing.T) {
	get := []string{":method", "GET", ":scheme", "https", ":authority", "a.test", ":path", "/a"}
	with := func(more ...string) []string { return append(append([]string(nil), get...), more...) }
	without := func(name string, more ...string) []string {
		var fields []string
		for i := 0; i < len(get); i += 2 {
			if get[i] != name {
				fields = append(fields, get[i], get[i+1])
			}
		}
		return append(fields, more...)
	}
	tests := map[string]struct {
		fields []string
		reason string
	}{
		"two methods":           {with(":method", "PUT"), ReasonBadFraming},
		"two paths":             {with(":path", "/b"), ReasonBadFraming},
		"two authorities":       {with(":authority", "b.test"), ReasonBadFraming},
		"late":                  {without(":path", "a", "b", ":path", "/b"), ReasonBadFraming},
		"unknown":               {with(":other", "x"), ReasonBadFraming},
		"of responses":          {with(":status", "200"), ReasonBadFraming},
		"no method":             {without(":method"), ReasonBadFraming},
		"no scheme":             {without(":scheme"), ReasonBadFraming},
		"no path":               {without(":path"), ReasonBadFraming},
		"other scheme":          {without(":scheme", ":scheme", "http"), ReasonHostMismatch},
		"strange scheme":        {without(":scheme", ":scheme", "ftp"), ReasonBadFraming},
		"relative path":         {without(":path", ":path", "a"), ReasonBadFraming},
		"malformed escape":      {without(":path", ":path", "/%zz"), ReasonBadFraming},
		"user":                  {without(":authority", ":authority", "u@a.test"), ReasonBadFraming},
		"upper case":            {with("A", "b"), ReasonBadFraming},
		"no token":              {with("a b", "c"), ReasonBadFraming},
		"line end":              {with("a", "b\r\nc: d"), ReasonBadFraming},
		"line feed":             {with("a", "b\nc: d"), ReasonBadFraming},
		"NUL":                   {with("a", "\x00"), ReasonBadFraming},
		"line end in authority": {without(":authority", ":authority", "a.test\r\nc: d"), ReasonBadFraming},
		"connection":            {with("connection", "close"), ReasonBadFraming},
		"transfer coding":       {with("transfer-encoding", "chunked"), ReasonBadFraming},
		"upgrade":               {with("upgrade", "websocket"), ReasonBadFraming},
		"te":                    {with("te", "gzip"), ReasonBadFraming},
		"connect with path":     {without(":method", ":method", "CONNECT"), ReasonBadFraming},
		"extended connect":      {without(":method", ":method", "CONNECT", ":protocol", "websocket"), ReasonBadFraming},
		"too large":             {with("a", strings.Repeat("b", maxHeadBytes+1000)), ReasonBadFraming},
		"two lengths":           {with("content-length", "1", "content-length", "1"), ReasonBadFraming},
		"length no number":      {with("content-length", "+1"), ReasonBadFraming},
		"odd length":            {with("content_length", "1"), ReasonBadFraming},
		"trailer":               {with("trailer", "x-method-override"), ReasonBadFraming},
		"absolute path":         {without(":path", ":path", "https://b.test/"), ReasonBadTarget},
		"original URL":          {with("x-original-url", "/b"), ReasonBadTarget},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := closedRig(t)
			framer := g.http2(t)
			if err := writeBlock(framer, headerBlock(t, tt.fields...)); err != nil {
				t.Fatal(err)
			}
			if refused := g.judge.waitRefusals(t, 1); refused[0].Reason != tt.reason || refused[0].Scheme != "https" {
				t.Errorf("refusals are %+v", refused)
			}
			answered(t, framer)
			if refused := g.judge.refusals(); len(refused) != 1 {
				t.Errorf("refusals are %+v", refused)
			}
			if asked := g.judge.requests(); len(asked) > 0 {
				t.Errorf("the policy was asked about %+v", asked)
			}
		})
	}
}

// http2 opens a connection in HTTP/2 to a.test.
func (g *rig) http2(t testing.TB) *http2.Framer {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(g.session.Certificate())
	conn := tls.Client(g.raw(t, flowTo("a.test", 443), ""), &tls.Config{RootCAs: roots, ServerName: "a.test", NextProtos: []string{"h2"}})
	framer := http2.NewFramer(conn, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return framer
}

// writeBlock sends a request of these fields, in as many frames as it takes.
func writeBlock(framer *http2.Framer, block []byte) error {
	const most = 16 << 10
	first := block[:min(len(block), most)]
	block = block[len(first):]
	err := framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0, PadLength: 3,
	})
	for len(block) > 0 {
		more := block[:min(len(block), most)]
		block = block[len(more):]
		err = errors.Join(err, framer.WriteContinuation(1, len(block) == 0, more))
	}
	return err
}

// answered waits until the request was answered, or its stream or connection
// ended.
func answered(t testing.TB, framer *http2.Framer) {
	t.Helper()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame.(type) {
		case *http2.HeadersFrame, *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return
		}
	}
}

// TestHTTP2NotSpoken agrees on HTTP/2 and then speaks HTTP/1.
func TestHTTP2NotSpoken(t *testing.T) {
	g := closedRig(t)
	roots := x509.NewCertPool()
	roots.AddCert(g.session.Certificate())
	conn := tls.Client(g.raw(t, flowTo("a.test", 443), ""), &tls.Config{RootCAs: roots, ServerName: "a.test", NextProtos: []string{"h2"}})
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); len(text) > 0 {
		t.Errorf("got %q, %v", text, err)
	}
	if refused := g.judge.waitRefusals(t, 1); refused[0].Reason != ReasonBadFraming {
		t.Errorf("refusals are %+v", refused)
	}
}

// TestFrameScanner gives frames in pieces of each size.
func TestFrameScanner(t *testing.T) {
	var frames bytes.Buffer
	framer := http2.NewFramer(&frames, nil)
	long := bytes.Repeat([]byte("x"), 100)
	err := errors.Join(
		framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte("abc"), PadLength: 7, Priority: http2.PriorityParam{StreamDep: 1}}),
		framer.WriteContinuation(3, true, []byte("def")),
		framer.WriteData(3, false, long),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: long, EndHeaders: true}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for piece := 1; piece <= frames.Len(); piece++ {
		var s frameScanner
		var blocks []string
		for rest := frames.Bytes(); len(rest) > 0; {
			part := rest[:min(piece, len(rest))]
			rest = rest[len(part):]
			for len(part) > 0 {
				n, whole := s.scan(part)
				part = part[n:]
				if whole {
					blocks = append(blocks, string(s.block))
				}
			}
		}
		if len(blocks) != 2 || blocks[0] != "abcdef" || blocks[1] != string(long) || s.lost {
			t.Fatalf("in pieces of %d: blocks are %q", piece, blocks)
		}
	}
}
