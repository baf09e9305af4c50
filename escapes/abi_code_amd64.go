package escapes

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// routine is machine code, written at run time, and its data. It runs in a
// child that has nothing else to do: whatever it does to itself, and whatever
// the kernel does to it, the attempt goes on. All lies below 2 GiB, so that
// 32-bit calls and instructions can name it.
type routine struct {
	m    memory
	code int // where the next instruction goes
	data int // where the next data goes, behind the code
}

const (
	routineSize = 64 << 10
	routineData = 16 << 10 // where data begins
)

// newRoutine begins a routine for a child, in which no signal is taken: at its
// start the handlers are those of Go.
func newRoutine() (*routine, error) {
	r, err := emptyRoutine()
	if err != nil {
		return nil, err
	}
	r.emit(0x31, 0xdb) // xor ebx, ebx
	r.mask(^uintptr(0))
	return r, nil
}

func emptyRoutine() (*routine, error) {
	m, err := unix.Mmap(-1, 0, routineSize, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
	if err != nil {
		return nil, fmt.Errorf("map code: %w", err)
	}
	return &routine{m: m, data: routineData}, nil
}

// lay copies bytes to the data and returns their address, a multiple of 32 as
// rseq(2) wants it.
func (r *routine) lay(b []byte) uintptr {
	const align = 32
	at := r.data
	r.data = (at + len(b) + align) &^ (align - 1)
	return r.m.put(at, b)
}

// halves lays numbers of four bytes.
func (r *routine) halves(values ...uintptr) uintptr {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return r.lay(b)
}

// text lays a string as C has it.
func (r *routine) text(s string) uintptr { return r.lay(append([]byte(s), 0)) }

// emit appends instructions.
func (r *routine) emit(b ...byte) { r.code += copy(r.m[r.code:routineData], b) }

// emitHalf appends a number of four bytes.
func (r *routine) emitHalf(v uint32) {
	r.code += copy(r.m[r.code:routineData], binary.LittleEndian.AppendUint32(nil, v))
}

// here is the address of the next instruction.
func (r *routine) here() uintptr { return r.m.at(r.code) }

// Registers by their numbers in instructions.
const (
	ax = iota
	cx
	dx
	bx
	sp
	bp
	si
	di
	r8
	r9
	r10
)

// load sets a register.
func (r *routine) load(register byte, v uintptr) {
	const wide, upper, movImmediate = 0x48, 0x41, 0xb8
	if v>>32 != 0 {
		r.emit(wide|register>>3, movImmediate+register&7)
		r.code += copy(r.m[r.code:routineData], words(v))
		return
	}
	if register >= r8 {
		r.emit(upper)
	}
	r.emit(movImmediate + register&7)
	r.emitHalf(uint32(v))
}

// call makes a system call by the syscall instruction.
func (r *routine) call(number uintptr, args ...uintptr) {
	for i, v := range args {
		r.load([]byte{di, si, dx, r10, r8, r9}[i], v)
	}
	r.load(ax, number)
	r.emit(0x0f, 0x05)
}

// onZero does something where the last call returned 0, and not otherwise.
func (r *routine) onZero(do func()) {
	r.emit(0x85, 0xc0, 0x0f, 0x85) // test eax, eax; jnz behind
	r.behind(do)
}

// aside writes code that is not come by, and returns its address.
func (r *routine) aside(do func()) uintptr {
	r.emit(0xe9) // jmp behind
	at := r.code + 4
	r.behind(do)
	return r.m.at(at)
}

// behind completes a jump over what is done.
func (r *routine) behind(do func()) {
	distance := r.code
	r.emitHalf(0)
	do()
	r.m.half(distance, uint32(r.code-distance-4))
}

// mask blocks signals.
func (r *routine) mask(set uintptr) {
	const setMask = 2 // SIG_SETMASK
	r.call(unix.SYS_RT_SIGPROCMASK, setMask, r.lay(words(set)), 0, 8)
}

// exit ends the thread. Its status is what ebx has: why a connect failed.
func (r *routine) exit() {
	r.emit(0x89, 0xdf) // mov edi, ebx
	r.call(unix.SYS_EXIT)
}

// await waits for the child that the last call made, and takes its status over.
func (r *routine) await() {
	r.keepError()
	status := r.halves(0)
	r.call(unix.SYS_WAIT4, ^uintptr(0), status, unix.WALL, 0)
	r.emit(0x85, 0xc0, 0x78, 10) // test eax, eax; js behind: there is none
	r.emit(0x8b, 0x1c, 0x25)     // mov ebx, [status]
	r.emitHalf(uint32(status))
	r.emit(0xc1, 0xeb, 8) // shr ebx, 8
}
