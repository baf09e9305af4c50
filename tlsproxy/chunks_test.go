package tlsproxy

import (
	"strings"
	"testing"
)

func TestChunks(t *testing.T) {
	tests := map[string]struct {
		body string
		good int // bytes that are handed on
		done bool
		bad  bool
	}{
		"one":                 {"5\r\nhello\r\n0\r\n\r\n", 15, true, false},
		"and more":            {"1\r\nx\r\n0\r\n\r\nGET /", 11, true, false},
		"empty":               {"0\r\n\r\n", 5, true, false},
		"many zeros":          {"000\r\n\r\n", 7, true, false},
		"upper and lower":     {"aA\r\n" + strings.Repeat("x", 0xaa) + "\r\n", 4 + 0xaa + 2, false, false},
		"extensions":          {"1;a;b=c;d=\"e; \\\" f\"\r\nx\r\n0;z\r\n\r\n", 31, true, false},
		"trailers":            {"0\r\nX-Sum: 1\r\nX-Other:\r\n\r\n", 25, true, false},
		"unfinished":          {"5\r\nhel", 6, false, false},
		"prefix 0x":           {"0x1\r\nx\r\n", 4, false, true},
		"plus":                {"+1\r\nx", 3, false, true},
		"minus":               {"-1\r\nx", 3, false, true},
		"space before":        {" 1\r\nx", 3, false, true},
		"space after":         {"1 \r\nx", 3, false, true},
		"underscore":          {"1_0\r\nx", 4, false, true},
		"no size":             {"\r\nx", 1, false, true},
		"too many digits":     {"1000000000000000\r\n", 17, false, true},
		"bare line feed":      {"1\nx", 1, false, true},
		"bare return":         {"1;a\rb\r\nx", 6, false, true},
		"return in quotes":    {"1;a=\"\r\"\r\nx", 8, false, true},
		"extension no name":   {"1;\r\nx", 3, false, true},
		"extension no value":  {"1;a=\r\nx", 5, false, true},
		"extension spaces":    {"1; a\r\nx", 5, false, true},
		"extension unclosed":  {"1;a=\"b\r\nx", 7, false, true},
		"data too long":       {"1\r\nxy\r\n", 4, false, true},
		"data with line feed": {"1\r\nx\n0\r\n", 4, false, true},
		"trailer length":      {"0\r\nContent-Length: 5\r\n\r\n", 21, false, true},
		"trailer encoding":    {"0\r\nTransfer-Encoding: x\r\n\r\n", 24, false, true},
		"trailer host":        {"0\r\nHost: b\r\n\r\n", 11, false, true},
		"trailer override":    {"0\r\nX-Method-Override: PUT\r\n\r\n", 26, false, true},
		"trailer folded":      {"0\r\nA: b\r\n c\r\n\r\n", 12, false, true},
		"trailer space":       {"0\r\nA : b\r\n\r\n", 9, false, true},
		"trailer is request":  {"0\r\nGET /b HTTP/1.1\r\n\r\n", 19, false, true},
		"line too long":       {"1;" + strings.Repeat("a", maxChunkLine) + "\r\nx", 2 + maxChunkLine + 1, false, true},
		"line without end":    {strings.Repeat("0", 2*maxChunkLine), 0, false, true},
		"only extensions":     {strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 9), 8*1007 + 1003, false, true},
		"trailers too long":   {"0\r\n" + strings.Repeat("A: "+strings.Repeat("b", 500)+"\r\n", 9), 3 + 6*505 + 504, false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s chunkScanner
			n, done, bad := s.scan([]byte(tt.body))
			if n != tt.good || done != tt.done || (bad != nil) != tt.bad {
				t.Errorf("got %d, %t, %v; want %d, %t, %t", n, done, bad, tt.good, tt.done, tt.bad)
			}
			checkPieces(t, tt.body, done, bad)
		})
	}
}

// checkPieces scans a body byte by byte: what comes of it must not change.
func checkPieces(t *testing.T, body string, wantDone bool, wantBad *problem) {
	t.Helper()
	var s chunkScanner
	for i := range len(body) {
		n, done, bad := s.scan([]byte(body[i : i+1]))
		if done || bad != nil {
			if done != wantDone || (bad != nil) != (wantBad != nil) || bad != nil && n != 0 {
				t.Errorf("byte by byte: got %d, %t, %v at byte %d", n, done, bad, i)
			}
			return
		}
	}
	if wantDone || wantBad != nil {
		t.Error("byte by byte: nothing was found")
	}
}
