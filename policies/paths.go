package policies

import (
	"errors"
	"slices"
	"strings"
)

// A path is compared in a form of its own, here called its plain form: every
// escape is decoded, but for two. "%25" stands for a percent sign, so that
// what was an escape and what is text stay apart; "%2F" stands for a slash
// that was escaped, so that it does not separate. Patterns are brought into
// the same form, which settles RFC 3986 §6.2.2 for both sides at once.

const (
	// maxPathBytes is the longest path that is judged. Servers stop earlier.
	maxPathBytes = 64 << 10
	// maxReadings is how many readings of one path are judged before it is
	// refused; real paths have one to four.
	maxReadings = 96
	// maxReadingsBytes bounds the work on one long path.
	maxReadingsBytes = 1 << 20
)

// errAmbiguousPath is why a path can't be judged.
var errAmbiguousPath = errors.New("the path can't be read in one way")

// readings returns every reading that a server might give to an escaped HTTP
// path, each in its plain form with dot segments removed (RFC 3986 §5.2.4). The
// first is the normal form.
func readings(path string) ([]string, error) {
	if path == "" {
		path = "/" // RFC 9110 §4.2.3
	}
	if path[0] != '/' || len(path) > maxPathBytes {
		return nil, errAmbiguousPath
	}
	if isPlainPath(path) {
		return []string{path}, nil
	}
	plain, err := plainForm(path)
	if err != nil {
		return nil, err
	}
	return closure(plain)
}

// isPlainPath says whether a path has exactly one reading, itself. It may say
// no too often.
func isPlainPath(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c < ' ', c >= 0x7f, c == '%', c == '\\', c == ';', c == '?', c == '#':
			return false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			return false
		}
	}
	return true
}

// closure applies each step by which servers differ, in every order, until
// nothing new comes out.
func closure(plain string) ([]string, error) {
	steps := [...]func(string) string{
		removeDots, unescapeSlashes, unescapeAgain, turnBackslashes, mergeSlashes, dropParameters, dropQuery, foldLookalikes,
	}
	seen := []string{plain}
	var judged []string
	total := 0
	for i := 0; i < len(seen); i++ {
		if hasControl(seen[i]) {
			return nil, errAmbiguousPath
		}
		total += len(seen[i])
		if r := removeDots(seen[i]); !slices.Contains(judged, r) {
			judged = append(judged, r)
		}
		for _, step := range steps {
			if next := step(seen[i]); next != seen[i] && !slices.Contains(seen, next) {
				seen = append(seen, next)
			}
		}
		if len(seen) > maxReadings || total > maxReadingsBytes {
			return nil, errAmbiguousPath
		}
	}
	return judged, nil
}

// plainForm decodes an escaped path. A malformed escape is an error.
func plainForm(path string) (string, error) {
	var b strings.Builder
	b.Grow(len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			v, ok := unhex(path[i+1:])
			if !ok {
				return "", errAmbiguousPath
			}
			i += 2
			switch v {
			case '%':
				b.WriteString("%25")
				continue
			case '/':
				b.WriteString("%2F")
				continue
			}
			c = v
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// unhex reads the two hexadecimal digits at the start of s.
func unhex(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, lo := hexDigit(s[0]), hexDigit(s[1])
	return hi<<4 | lo, hi < 16 && lo < 16
}

// hexDigit returns the value of a digit, or 255.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// hasControl says whether a decoded text has a control character: C0, DEL, or
// C1 in UTF-8.
func hasControl(p string) bool {
	for i := range len(p) {
		c := p[i]
		if c < ' ' || c == 0x7f {
			return true
		}
		if c == 0xc2 && i+1 < len(p) && 0x80 <= p[i+1] && p[i+1] < 0xa0 {
			return true
		}
	}
	return false
}

// socketReadings returns the readings of the path of a Unix socket: as it is,
// and with what the kernel skips while it walks taken out.
func socketReadings(path string) ([]string, error) {
	if path == "" || hasControl(path) {
		return nil, errAmbiguousPath
	}
	if path[0] == '@' {
		return []string{path}, nil
	}
	if path[0] != '/' {
		return nil, errAmbiguousPath
	}
	if walked := removeDots(mergeSlashes(path)); walked != path {
		return []string{path, walked}, nil
	}
	return []string{path}, nil
}
