package integration

import (
	"fmt"
	"strings"
)

const (
	// mark stands for the attempt in what it sends; each gets its own.
	mark = "tok-###"
	// openHead is the beginning of a request that the policy allows.
	openHead = "GET /open/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n"
	// hidden is a request that it denies.
	hidden = "DELETE /secret/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n"
)

// framingAttempts hide a request in one whose end servers see in different
// places (RFC 9112 §11.2). All are ambiguous.
func framingAttempts() []attempt {
	all := named("framing: ", map[string]string{
		"CL.TE":                   withLength("0\r\n\r\n"+hidden, "Transfer-Encoding: chunked\r\n"),
		"TE.CL":                   openHead + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk(hidden) + "0\r\n\r\n",
		"TE.CL of zero":           openHead + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(hidden) + "0\r\n\r\n",
		"CL and TE identity":      openHead + "Content-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n" + hidden,
		"two lengths":             withLength(hidden, "Content-Length: 0\r\n"),
		"two lengths, other way":  openHead + "Content-Length: 0\r\nContent-Length: " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden,
		"two equal lengths":       openHead + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + hidden,
		"three lengths":           openHead + "Content-Length: 0\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n" + hidden,
		"list of lengths":         openHead + "Content-Length: 0, " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden,
		"list of equal lengths":   openHead + "Content-Length: 0, 0\r\n\r\n" + hidden,
		"length plus":             openHead + "Content-Length: +0\r\n\r\n" + hidden,
		"length minus":            openHead + "Content-Length: -1\r\n\r\n" + hidden,
		"length hex":              openHead + "Content-Length: 0x30\r\n\r\n" + hidden,
		"length underscore":       openHead + "Content-Length: 0_9\r\n\r\n" + hidden,
		"length space":            openHead + "Content-Length: 0 9\r\n\r\n" + hidden,
		"length empty":            openHead + "Content-Length:\r\n\r\n" + hidden,
		"length overflow":         openHead + "Content-Length: 18446744073709551616\r\n\r\n" + hidden,
		"length letters":          openHead + "Content-Length: 0abc\r\n\r\n" + hidden,
		"length decimal":          openHead + "Content-Length: 0.9\r\n\r\n" + hidden,
		"length exponent":         openHead + "Content-Length: 0e1\r\n\r\n" + hidden,
		"length other digits":     openHead + "Content-Length: \u0663\u0663\r\n\r\n" + hidden,
		"length folded":           openHead + "Content-Length:\r\n 0\r\n\r\n" + hidden,
		"length by underscore":    openHead + "Content_Length: " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden,
		"length by dot":           openHead + "Content.Length: " + fmt.Sprint(len(hidden)) + "\r\n\r\n" + hidden,
		"length space before":     openHead + "Content-Length : 0\r\n\r\n" + hidden,
		"coding twice":            openHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunked, then identity":  openHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
		"identity, then chunked":  openHead + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding list":             openHead + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding list, identity":   openHead + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden,
		"coding list, gzip":       openHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding identity":         openHead + "Transfer-Encoding: identity\r\n\r\n" + hidden,
		"coding unknown":          openHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding in quotes":        openHead + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + hidden,
		"coding with parameter":   openHead + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" + hidden,
		"coding with comma":       openHead + "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n" + hidden,
		"coding empty":            openHead + "Transfer-Encoding:\r\n\r\n" + hidden,
		"coding space before":     openHead + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding tab before":       openHead + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding vertical tab":     openHead + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding and NUL":          openHead + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n" + hidden,
		"coding, NUL in name":     openHead + "\x00Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding, DEL in name":     openHead + "Transfer-Encoding\x7f: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding, byte in name":    openHead + "Transfer-Encoding\xff: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding folded":           openHead + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding folded by tab":    openHead + "Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding indented":         openHead + "X-A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding by underscore":    openHead + "Transfer_Encoding: chunked\r\n\r\n" + chunk(hidden) + "0\r\n\r\n" + hidden,
		"coding in HTTP/1.0":      strings.Replace(openHead, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding after CR":         openHead + "X-A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding after LF":         openHead + "X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"dropped length":          openHead + "Connection: content-length\r\nContent-Length: 0\r\n\r\n" + hidden,
		"dropped coding":          openHead + "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"dropped host":            openHead + "Connection: host\r\n\r\n" + hidden,
		"body of WebSocket":       openHead + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0005\r\n\r\nabcde" + hidden,
		"expectation of lengths":  openHead + "Expect: 100-continue\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n" + hidden,
		"expectation, other":      openHead + "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n" + hidden,
		"expectation, twice":      openHead + "Expect: 100-continue\r\nExpect: x\r\n\r\n" + hidden,
		"expectation, listed":     openHead + "Expect: x, 100-continue\r\nContent-Length: 1\r\n\r\nx" + hidden,
		"trailer names length":    openHead + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" + hidden,
		"bodies after bad length": openHead + "Content-Length: 00000000000000000000000000000000000000000000000000000000000000000x\r\n\r\n" + hidden,
	})
	return append(append(all, lineAttempts()...), chunkAttempts()...)
}

// lineAttempts have lines that servers end, join or part in different ways.
func lineAttempts() []attempt {
	return named("lines: ", map[string]string{
		"bare LF":               "DELETE /secret/" + mark + " HTTP/1.1\nHost: " + openHost + "\n\n",
		"bare LF at the end":    openHead + "\n" + hidden,
		"bare LF in a field":    openHead + "X-A: b\n\r\n" + hidden,
		"bare LF and a head":    openHead + "X-A: b\n\n" + hidden + "\r\n",
		"bare CR":               "DELETE /secret/" + mark + " HTTP/1.1\rHost: " + openHost + "\r\r\n\r\n",
		"bare CR in a field":    openHead + "X-A: b\r\rDELETE /secret/" + mark + " HTTP/1.1\r\r\r\n\r\n" + hidden,
		"LF and CR":             openHead + "\n\r" + hidden,
		"two CR and LF":         openHead + "X-A: b\r\r\n\r\n" + hidden,
		"folded":                openHead + "X-A: b\r\n c\r\n\r\n" + hidden,
		"folded first":          "GET /open/" + mark + " HTTP/1.1\r\n Host: " + shutHost + "\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"no colon":              openHead + "X-A\r\n\r\n" + hidden,
		"no name":               openHead + ": b\r\n\r\n" + hidden,
		"space in name":         openHead + "X A: b\r\n\r\n" + hidden,
		"control in value":      openHead + "X-A: \x01\r\n\r\n" + hidden,
		"form feed in value":    openHead + "X-A: \f\r\n\r\n" + hidden,
		"NUL in value":          openHead + "X-A: \x00\r\n\r\n" + hidden,
		"two spaces":            "GET  /secret/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n",
		"tabs":                  "GET\t/secret/" + mark + "\tHTTP/1.1\r\nHost: " + openHost + "\r\n\r\n",
		"vertical tab":          "GET /open/" + mark + " HTTP/1.1\v\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"space at the end":      "GET /secret/" + mark + " HTTP/1.1 \r\nHost: " + openHost + "\r\n\r\n",
		"space in target":       "GET /secret/" + mark + " /../../open/x HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n",
		"space and target":      "GET /open/ /../../secret/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n",
		"more after version":    "GET /open/" + mark + " HTTP/1.1 /../secret HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"version 1.2":           "GET /open/" + mark + " HTTP/1.2\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"version 2.0":           "GET /open/" + mark + " HTTP/2.0\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"version 0.9":           "GET /open/" + mark + " HTTP/0.9\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"version 1.10":          "GET /open/" + mark + " HTTP/1.10\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"version of its own":    "GET /open/" + mark + " HTTP/1.9\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n" + hidden,
		"version in lower case": "GET /open/" + mark + " http/1.1\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"no version":            "GET /secret/" + mark + "\r\n",
		"no version, allowed":   "GET /open/" + mark + "\r\n" + hidden,
	})
}

// chunkAttempts have chunks that servers end in different places.
func chunkAttempts() []attempt {
	const head = openHead + "Transfer-Encoding: chunked\r\n\r\n"
	size := fmt.Sprintf("%x", len(hidden)+5)
	// Whoever takes the size for 0 finds the hidden request behind it, and who
	// takes it for what it says finds it in the data.
	hide := func(line string) string {
		return head + line + "\r\n\r\n" + hidden + "0\r\n\r\n" + hidden
	}
	all := unambiguous("chunks: ", map[string]string{
		"size 32 bits": head + "100000002\r\nab\r\n0\r\n\r\n" + hidden,
	})
	return append(all, named("chunks: ", map[string]string{
		"size 0x":             hide("0x" + size),
		"size plus":           hide("+" + size),
		"size minus":          hide("-" + size),
		"size space before":   hide(" " + size),
		"size space after":    head + "1 \r\nx\r\n0\r\n\r\n" + hidden,
		"size tab after":      head + "1\t\r\nx\r\n0\r\n\r\n" + hidden,
		"size underscore":     hide("0_" + size),
		"size empty":          head + "\r\n" + hidden + "0\r\n\r\n" + hidden,
		"size no number":      hide("g"),
		"size NUL":            hide("0\x00" + size),
		"size 64 bits":        head + "10000000000000002\r\nab\r\n0\r\n\r\n" + hidden,
		"size long":           head + strings.Repeat("0", 300) + "2\r\nab\r\n0\r\n\r\n" + hidden,
		"size ends in LF":     head + "2\nab\r\n0\r\n\r\n" + hidden,
		"data without end":    head + "2\r\nab0\r\n\r\n" + hidden,
		"data ends in LF":     head + "2\r\nab\n0\r\n\r\n" + hidden,
		"data too long":       head + "2\r\nabcd0\r\n\r\n" + hidden,
		"extension LF":        head + "2;a\n" + "0\r\n\r\n" + hidden + "\r\n0\r\n\r\n",
		"extension CR":        head + "2;a\rb\r\nab\r\n0\r\n\r\n" + hidden,
		"extension nameless":  head + "2;\r\nab\r\n0\r\n\r\n" + hidden,
		"extension unclosed":  head + "2;a=\"\r\nab\r\n0\r\n\r\n" + hidden,
		"extension spaces":    head + "2 ; a = b\r\nab\r\n0\r\n\r\n" + hidden,
		"end in LF":           head + "0\n\n" + hidden,
		"end in LF of line":   head + "0\r\n\n" + hidden,
		"trailer is one":      head + "0\r\n" + hidden,
		"trailer length":      head + "0\r\nContent-Length: 5\r\n\r\n" + hidden,
		"trailer coding":      head + "0\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
		"trailer host":        head + "0\r\nHost: " + shutHost + "\r\n\r\n",
		"trailer override":    head + "0\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
		"trailer target":      head + "0\r\nX-Original-URL: /secret/" + mark + "\r\n\r\n",
		"trailer folded":      head + "0\r\nX-A: b\r\n c\r\n\r\n" + hidden,
		"trailer space":       head + "0\r\nX-A : b\r\n\r\n" + hidden,
		"trailer LF":          head + "0\r\nX-A: b\n\r\n" + hidden,
		"announced trailer":   openHead + "Trailer: X-HTTP-Method-Override\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
		"unannounced trailer": openHead + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\nX_Method_Override: DELETE\r\n\r\n",
	})...)
}

// withLength makes an allowed request whose body is all that is given.
func withLength(body, fields string) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n%s\r\n%s", openHead, len(body), fields, body)
}

// chunk makes a chunk.
func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

// named makes ambiguous attempts of texts.
func named(group string, texts map[string]string) []attempt {
	var all []attempt
	for name, text := range texts {
		all = append(all, attempt{name: group + name, sends: []string{text}, ambiguous: true})
	}
	return all
}

// unambiguous makes attempts of texts that have one reading.
func unambiguous(group string, texts map[string]string) []attempt {
	all := named(group, texts)
	for i := range all {
		all[i].ambiguous = false
	}
	return all
}
