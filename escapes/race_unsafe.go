package escapes

import (
	"sync/atomic"
	"unsafe"
)

// store writes eight bytes in one piece.
//
// Preconditions: the offset is a multiple of eight, and eight bytes of the
// memory lie behind it.
func (m memory) store(offset int, v uint64) {
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&m[offset])), v)
}
