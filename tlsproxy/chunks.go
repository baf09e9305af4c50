package tlsproxy

import (
	"bytes"
	"strconv"
)

const (
	// maxChunkLine bounds a line with a chunk's size and extensions.
	maxChunkLine = 1 << 10
	// maxSizeDigits bounds a chunk's size; leading zeros count.
	maxSizeDigits = 15
	// maxChunkExcess bounds what a body may carry beside its data. net/http
	// counts in the same way and stops at twice as much.
	maxChunkExcess = 8 << 10
	// maxTrailerBytes bounds the trailer section; net/http stops at 4 KiB.
	maxTrailerBytes = 3 << 10
)

// chunkStep is what the next byte of a chunked body belongs to.
type chunkStep int

const (
	chunkSize    chunkStep = iota // a line with size and extensions
	chunkData                     // data
	chunkCR                       // the line end after data
	chunkLF                       //
	chunkTrailer                  // a trailer field, or the empty line at the end
)

// chunkScanner follows a body in the chunked coding (RFC 9112 §7.1). The zero
// value is at its beginning.
type chunkScanner struct {
	step    chunkStep
	left    int64  // data bytes of this chunk that are still to come
	line    []byte // the beginning of a line that has not ended
	excess  int64
	trailer int // bytes of the trailer section
}

// scan looks at the next bytes, and returns how many of them belong to the body
// and are good. With done the body has ended there; with a problem nothing of
// what follows may be used.
func (s *chunkScanner) scan(p []byte) (n int, done bool, bad *problem) {
	for n < len(p) {
		switch s.step {
		case chunkData:
			size := int(min(s.left, int64(len(p)-n)))
			n += size
			if s.left -= int64(size); s.left == 0 {
				s.step = chunkCR
			}
		case chunkCR, chunkLF:
			if p[n] != crlf[s.step-chunkCR] {
				return n, false, badFraming("The data of a chunk does not end where its size says.")
			}
			n++
			if s.step++; s.step > chunkLF {
				s.step = chunkSize
			}
		default:
			size, end, bad := s.scanLine(p[n:])
			n += size
			if end || bad != nil {
				return n, end, bad
			}
		}
	}
	return n, false, nil
}

// scanLine looks at the next bytes of a line. A line that is not good is not
// handed on whole, so that nobody can act on it.
func (s *chunkScanner) scanLine(p []byte) (n int, done bool, bad *problem) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		if len(s.line)+len(p) > maxChunkLine {
			return 0, false, badFraming("A line between the chunks of the body is too long.")
		}
		s.line = append(s.line, p...)
		return len(p), false, nil
	}
	line := p[:end]
	if len(s.line) > 0 {
		line = append(s.line, line...)
		s.line = s.line[:0]
	}
	line, ok := bytes.CutSuffix(line, crlf[:1])
	switch {
	case !ok:
		return end, false, badFraming("A line between the chunks of the body ends in a bare line feed.")
	case len(line) > maxChunkLine:
		return end, false, badFraming("A line between the chunks of the body is too long.")
	case s.step == chunkSize:
		bad = s.readSize(line)
	case len(line) == 0:
		return end + 1, true, nil
	default:
		bad = s.readTrailer(line)
	}
	if bad != nil {
		return end, false, bad
	}
	return end + 1, false, nil
}

// readSize reads the line before a chunk's data.
func (s *chunkScanner) readSize(line []byte) *problem {
	digits := len(line) - len(bytes.TrimLeft(line, "0123456789abcdefABCDEF"))
	if digits == 0 || digits > maxSizeDigits {
		return badFraming("The size of a chunk is not a hexadecimal number.")
	}
	size, err := strconv.ParseInt(string(line[:digits]), 16, 64)
	if err != nil || !areExtensions(line[digits:]) {
		return badFraming("The size of a chunk is followed by something that is no extension.")
	}
	s.excess += int64(len(line)+len(crlf)) - 16
	s.excess = max(s.excess-min(size, maxChunkExcess), 0)
	if s.excess > maxChunkExcess {
		return badFraming("The body has more chunk extensions than data.")
	}
	s.left, s.step = size, chunkData
	if size == 0 {
		s.step = chunkTrailer
	}
	return nil
}

// readTrailer reads a trailer field (RFC 9112 §7.1.2).
func (s *chunkScanner) readTrailer(line []byte) *problem {
	if s.trailer += len(line) + len(crlf); s.trailer > maxTrailerBytes {
		return tooLarge("The trailer fields are larger than %d bytes.", maxTrailerBytes)
	}
	name, _, bad := splitField(line)
	if bad == nil && !isTrailer(name) {
		bad = badFraming("A field follows the body that has to go before it.")
	}
	return bad
}

// areExtensions reads chunk extensions (RFC 9112 §7.1.1), without the white
// space that the grammar has for old senders.
func areExtensions(b []byte) bool {
	for len(b) > 0 {
		if b[0] != ';' {
			return false
		}
		name := tokenPrefix(b[1:])
		if name == 0 {
			return false
		}
		if b = b[1+name:]; len(b) == 0 || b[0] != '=' {
			continue
		}
		value := tokenPrefix(b[1:])
		if value == 0 {
			value = quotedPrefix(b[1:])
		}
		if value == 0 {
			return false
		}
		b = b[1+value:]
	}
	return true
}

// tokenPrefix returns the length of the token that b begins with.
func tokenPrefix(b []byte) int {
	for i := range b {
		if !isToken(b[i : i+1]) {
			return i
		}
	}
	return len(b)
}

// quotedPrefix returns the length of the quoted-string (RFC 9110 §5.6.4) that b
// begins with, or 0.
func quotedPrefix(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\' && i+1 < len(b):
			i++
			if b[i] < ' ' && b[i] != '\t' || b[i] == 0x7f {
				return 0
			}
		case c < ' ' && c != '\t', c == 0x7f:
			return 0
		}
	}
	return 0
}
