package tlsproxy

import (
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	tests := []struct {
		head string
		want protocol
	}{
		{"", protoUndecided},
		{"\x16", protoUndecided},
		{"\x16\x03\x01\x02\x00", protoUndecided},
		{"\x16\x03\x01\x02\x00\x01", protoTLS},
		{"\x16\x03\x03\x00\x05\x01 and more", protoTLS},
		{"\x16\x03\x01\x02\x00\x02", protoUnknown},
		{"\x16\x02", protoUnknown},
		{"\x16\x03\x05", protoUnknown},
		{"\x15\x03\x01", protoUnknown},
		{"G", protoUndecided},
		{"GET ", protoUndecided},
		{"GET /", protoHTTP},
		{"get /", protoHTTP},
		{"OPTIONS *", protoHTTP},
		{"M-SEARCH *", protoHTTP},
		{"GET http:/", protoUndecided},
		{"GET HTTPS://", protoHTTP},
		{"GET httpx", protoUnknown},
		{"GET ftp://", protoUnknown},
		{"CONNECT a:443", protoHTTP},
		{"PRI", protoUndecided},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", protoUndecided},
		{http2Preface, protoHTTP2},
		{"PRI * HTTP/1.1\r\n", protoUnknown},
		{"PRIVATE /", protoHTTP},
		{" /", protoUnknown},
		{"\r", protoUndecided},
		{"\r\n\r\n", protoUndecided},
		{"\r\nGET /", protoHTTP},
		{"\nGET /", protoUnknown},
		{"\r\n\r\n\r\nGET /", protoUnknown},
		{"SSH-2.0-OpenSSH_9.2p1 Debian", protoUnknown},
		{"EHLO agent", protoUnknown},
		{"*1\r\n$4\r\nPING", protoUnknown},
		{strings.Repeat("A", maxMethod), protoUndecided},
		{strings.Repeat("A", maxMethod+1), protoUnknown},
	}
	for _, tt := range tests {
		if got := sniff([]byte(tt.head)); got != tt.want {
			t.Errorf("sniff(%q) = %d, want %d", tt.head, got, tt.want)
		}
	}
}

// FuzzSniff checks that a decision never changes as bytes arrive, and comes in
// time.
func FuzzSniff(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\n", http2Preface, "\x16\x03\x01\x02\x00\x01\x00", "CONNECT a:1 HTTP/1.1\r\n",
		"GET https://a/ HTTP/1.1\r\n", "SSH-2.0-x y", "PRI * HTTP/2.0\r\n\r\nXX", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		decided := protoUndecided
		for n := range len(data) + 1 {
			got := sniff(data[:n])
			if decided != protoUndecided && got != decided {
				t.Fatalf("decision changed from %d to %d at byte %d", decided, got, n)
			}
			if got == protoUndecided && n >= maxSniff {
				t.Fatalf("no decision after %d bytes", n)
			}
			decided = got
		}
	})
}
