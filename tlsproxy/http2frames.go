package tlsproxy

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// frameScanner follows HTTP/2 frames (RFC 9113 §4.1) and gathers header blocks.
// The zero value is before the first frame.
type frameScanner struct {
	head   [9]byte
	have   int    // bytes of head that have come
	left   int    // bytes of the payload that are still to come
	stream uint32 // of the block
	block  []byte // its fragments so far
	begin  int    // where in block the payload of this frame begins
	lost   bool   // the block is malformed, or too large to be kept
}

// scan looks at the next bytes, up to the end of a frame, and returns how many
// that were. With whole, block holds the block of fields that ended there.
func (s *frameScanner) scan(p []byte) (n int, whole bool) {
	if s.have < len(s.head) {
		n = copy(s.head[s.have:], p)
		if s.have += n; s.have < len(s.head) {
			return n, false
		}
		s.start()
	}
	size := min(s.left, len(p)-n)
	if s.hasBlock() && !s.lost {
		s.block = append(s.block, p[n:n+size]...)
	}
	n += size
	if s.left -= size; s.left > 0 {
		return n, false
	}
	s.have = 0
	return n, s.end()
}

// start reads the head of a frame.
func (s *frameScanner) start() {
	s.left = int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2])
	switch http2.FrameType(s.head[3]) {
	case http2.FrameHeaders:
		s.block, s.lost = s.block[:0], false
		s.stream = binary.BigEndian.Uint32(s.head[5:]) & (1<<31 - 1)
	case http2.FrameContinuation:
	default:
		return
	}
	s.begin = len(s.block)
	s.lost = s.lost || s.begin+s.left > 2*maxHeadBytes
}

// hasBlock tells whether this frame carries a part of a block.
func (s *frameScanner) hasBlock() bool {
	kind := http2.FrameType(s.head[3])
	return kind == http2.FrameHeaders || kind == http2.FrameContinuation
}

// end takes padding and priority (RFC 9113 §6.2) out of a fragment, and tells
// whether the block is whole.
func (s *frameScanner) end() bool {
	if !s.hasBlock() {
		return false
	}
	flags := http2.Flags(s.head[4])
	if http2.FrameType(s.head[3]) == http2.FrameHeaders && !s.lost {
		fragment, padding := s.block[s.begin:], 0
		if flags.Has(http2.FlagHeadersPadded) && len(fragment) > 0 {
			padding, fragment = int(fragment[0]), fragment[1:]
		}
		if flags.Has(http2.FlagHeadersPriority) {
			fragment = fragment[min(5, len(fragment)):]
		}
		s.lost = padding > len(fragment)
		s.block = append(s.block[:s.begin], fragment[:max(len(fragment)-padding, 0)]...)
	}
	return flags.Has(http2.FlagHeadersEndHeaders)
}
