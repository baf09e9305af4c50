package policies

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// The steps of closure. Each takes and returns the plain form of a path, and
// does what some server does to a path before it looks it up.

// unescapeSlashes makes separators of the escaped slashes.
func unescapeSlashes(p string) string { return strings.ReplaceAll(p, "%2F", "/") }

// unescapeAgain decodes what became an escape by decoding: "%2541" was sent as
// "%252541".
func unescapeAgain(p string) string {
	if !strings.Contains(p, "%25") {
		return p
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); i++ {
		if !strings.HasPrefix(p[i:], "%25") {
			b.WriteByte(p[i])
			continue
		}
		v, ok := unhex(p[i+len("%25"):])
		switch {
		case !ok || v == '%': // a percent sign that is text, or one that still is
			b.WriteString("%25")
		case v == '/':
			b.WriteString("%2F")
		default:
			b.WriteByte(v)
		}
		i += len("%25") - 1
		if ok {
			i += 2
		}
	}
	return b.String()
}

func turnBackslashes(p string) string { return strings.ReplaceAll(p, `\`, "/") }

func mergeSlashes(p string) string {
	if !strings.Contains(p, "//") {
		return p
	}
	b := make([]byte, 0, len(p))
	for i := range len(p) {
		if p[i] != '/' || len(b) == 0 || b[len(b)-1] != '/' {
			b = append(b, p[i])
		}
	}
	return string(b)
}

// dropParameters removes from each segment what follows its first semicolon
// (RFC 3986 §3.3).
func dropParameters(p string) string {
	if !strings.Contains(p, ";") {
		return p
	}
	b := make([]byte, 0, len(p))
	drop := false
	for i := range len(p) {
		switch p[i] {
		case '/':
			drop = false
		case ';':
			drop = true
		}
		if !drop {
			b = append(b, p[i])
		}
	}
	return string(b)
}

// dropQuery ends the path where a server that decodes before it looks for query
// and fragment would find one.
func dropQuery(p string) string {
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		return p[:i]
	}
	return p
}

// removeDots is remove_dot_segments of RFC 3986 §5.2.4 for an absolute path.
func removeDots(p string) string {
	if !strings.Contains(p, "/.") {
		return p
	}
	b := make([]byte, 0, len(p))
	for rest := p; rest != ""; {
		end := strings.IndexByte(rest[1:], '/') + 1
		if end == 0 {
			end = len(rest)
		}
		segment := rest[:end] // with its leading slash
		rest = rest[end:]
		switch segment {
		case "/.":
		case "/..":
			b = b[:max(bytes.LastIndexByte(b, '/'), 0)]
		default:
			b = append(b, segment...)
			continue
		}
		if rest == "" {
			b = append(b, '/')
		}
	}
	return string(b)
}

// foldLookalikes replaces overlong UTF-8 and the characters that some servers
// map to ASCII by that ASCII character.
func foldLookalikes(p string) string {
	if isASCII(p) {
		return p
	}
	b := make([]byte, 0, len(p))
	for i := 0; i < len(p); {
		r, size := decodeLoosely(p[i:])
		if f, ok := foldRune(r); ok {
			b = appendPlain(b, f)
		} else {
			b = append(b, p[i:i+size]...)
		}
		i += size
	}
	return string(b)
}

// appendPlain appends a decoded character to a plain form.
func appendPlain(b []byte, c byte) []byte {
	if c == '%' {
		return append(b, "%25"...)
	}
	return append(b, c)
}

// decodeLoosely reads one character as a decoder does that checks neither for
// overlong forms nor for the upper bound. A byte that begins no sequence is
// returned as -1.
func decodeLoosely(s string) (r rune, size int) {
	c := s[0]
	switch {
	case c < 0x80:
		return rune(c), 1
	case c&0xe0 == 0xc0:
		r, size = rune(c&0x1f), 2
	case c&0xf0 == 0xe0:
		r, size = rune(c&0x0f), 3
	case c&0xf8 == 0xf0:
		r, size = rune(c&0x07), 4
	case c&0xfc == 0xf8:
		r, size = rune(c&0x03), 5
	case c&0xfe == 0xfc:
		r, size = rune(c&0x01), 6
	default:
		return -1, 1
	}
	if len(s) < size {
		return -1, 1
	}
	for i := 1; i < size; i++ {
		if s[i]&0xc0 != 0x80 {
			return -1, 1
		}
		r = r<<6 | rune(s[i]&0x3f)
	}
	return r, size
}

// foldRune returns the ASCII character that a character may be taken for:
// itself (where it came from an overlong form), its full-width form, or one of
// the few others that look like a slash, a backslash or a dot.
func foldRune(r rune) (byte, bool) {
	switch {
	case 0 <= r && r < utf8.RuneSelf:
		return byte(r), true
	case 0xff01 <= r && r <= 0xff5e: // full-width forms
		return byte(r - 0xff01 + '!'), true
	}
	switch r {
	case 0x3000: // ideographic space
		return ' ', true
	case 0x2044, 0x2215, 0x29f8: // fraction slash, division slash, big solidus
		return '/', true
	case 0x2216, 0x29f5, 0xfe68: // set minus, reverse solidus operator, small reverse solidus
		return '\\', true
	case 0x2024, 0xfe52: // one dot leader, small full stop
		return '.', true
	case 0xfe54: // small semicolon
		return ';', true
	case 0xfe6a: // small percent sign
		return '%', true
	}
	return 0, false
}
