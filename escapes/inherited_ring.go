package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Of io_uring_setup(2) and <linux/io_uring.h>.
const (
	ringsOffset   = 0 // IORING_OFF_SQ_RING
	entriesOffset = 0x10000000
	entrySize     = 64
	opSend        = 26 // IORING_OP_SEND
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
	m, err := newMemory(4096)
	if err != nil {
		return err
	}
	u32 := binary.NativeEndian
	tail := u32.Uint32(rings[g.Ring.Tail:])
	slot := tail & u32.Uint32(rings[g.Ring.Mask:])
	entry := entries[slot*entrySize : (slot+1)*entrySize]
	clear(entry)
	entry[0] = opSend
	u32.PutUint32(entry[4:], uint32(g.Inherited["connected"]))
	u32.PutUint64(entry[16:], uint64(m.put(0, []byte(g.Token))))
	u32.PutUint32(entry[24:], uint32(len(g.Token)))
	u32.PutUint32(rings[g.Ring.Array+4*slot:], slot)
	u32.PutUint32(rings[g.Ring.Tail:], tail+1)
	_, err = call(unix.SYS_IO_URING_ENTER, uintptr(fd), 1, 1, 1, 0, 0)
	return err
}
