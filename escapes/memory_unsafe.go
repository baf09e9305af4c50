package escapes

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is mapped by hand, so that its addresses are numbers that hold: Go
// neither moves nor collects it. It lives as long as the process.
type memory []byte

// newMemory maps size bytes, filled with zeroes.
func newMemory(size int) (memory, error) {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	return m, nil
}

// at is the address of the byte at an offset.
func (m memory) at(offset int) uintptr { return uintptr(unsafe.Pointer(&m[offset])) }

// put copies bytes to an offset and returns their address.
func (m memory) put(offset int, b []byte) uintptr {
	copy(m[offset:], b)
	return m.at(offset)
}

// word writes eight bytes in the machine's order and returns their address.
func (m memory) word(offset int, v uint64) uintptr {
	binary.NativeEndian.PutUint64(m[offset:], v)
	return m.at(offset)
}

// half writes four bytes in the machine's order and returns their address.
func (m memory) half(offset int, v uint32) uintptr {
	binary.NativeEndian.PutUint32(m[offset:], v)
	return m.at(offset)
}

// call makes a system call with up to six arguments.
func call(number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	n, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// wordAt is a word of mapped memory that the kernel shares, for atomic access.
func wordAt(mapped []byte, offset int) *uint32 { return (*uint32)(unsafe.Pointer(&mapped[offset])) }
