package audit

import (
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string, as doc.go says under "Text". A text of more than limit bytes is cut at a
// character and marked.
func appendString(b []byte, s string, limit int) []byte { return appendCut(b, s, limit, 0) }

// appendCut is appendString for a text of which the caller has already cut more bytes off.
func appendCut(b []byte, s string, limit, more int) []byte {
	b = append(b, '"')
	cut := cutLen(s, limit)
	b = appendEscaped(b, s[:cut])
	if more += len(s) - cut; more > 0 {
		b = append(b, "…[+"...)
		b = strconv.AppendInt(b, int64(more), 10)
		b = append(b, " bytes]"...)
	}
	return append(b, '"')
}

// cutLen returns the length of the longest start of s that has at most limit bytes and does not end within a character.
func cutLen(s string, limit int) int {
	if len(s) <= limit {
		return len(s)
	}
	for back := 0; back < utf8.UTFMax && back < limit; back++ {
		if utf8.RuneStart(s[limit-back]) {
			return limit - back
		}
	}
	return limit
}

func appendEscaped(b []byte, s string) []byte {
	plain := 0 // start of what is not yet copied
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[plain:i]...)
			b = appendASCII(b, c)
			i++
			plain = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, s[plain:i]...)
			b = append(b, '\\', '\\', 'x', hexDigits[c>>4], hexDigits[c&0xf])
			plain = i + 1
		case unsafeOnTerminal(r):
			b = append(b, s[plain:i]...)
			b = appendU(b, uint16(r))
			plain = i + size
		}
		i += size
	}
	return append(b, s[plain:]...)
}

func appendASCII(b []byte, c byte) []byte {
	if c == '"' || c == '\\' {
		return append(b, '\\', c)
	}
	return appendU(b, uint16(c))
}

func appendU(b []byte, v uint16) []byte {
	return append(b, '\\', 'u', hexDigits[v>>12], hexDigits[v>>8&0xf], hexDigits[v>>4&0xf], hexDigits[v&0xf])
}

// unsafeOnTerminal tells whether r, which is not ASCII, could act on a terminal, break a line, or reorder or hide text:
// C1 controls, separators, and the invisible format characters of Unicode's Bidi_Control and near them. All are in the
// basic plane, so one \uXXXX spells each.
func unsafeOnTerminal(r rune) bool {
	switch {
	case r >= 0x80 && r <= 0x9f,
		r == 0xad, r == 0x61c, r == 0x180e, r == 0xfeff,
		r >= 0x200b && r <= 0x200f,
		r >= 0x2028 && r <= 0x202e,
		r >= 0x2060 && r <= 0x206f,
		r >= 0xfff9 && r <= 0xfffb:
		return true
	}
	return false
}
