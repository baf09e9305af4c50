package escapes

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// imageAttempts connect in programs that are found otherwise than by their
// file's name.
func imageAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/image-memory", Does: "connect in a static program that has no name", Try: executing(elf64, (*routine).dial)},
		{Name: "abi/image-deleted", Does: "connect in a program whose file is gone", Try: onRoutine(executeDeleted)},
		{Name: "abi/image-script", Does: "connect in the interpreter of a script that has no name", Try: onRoutine(func(g *Ground, r *routine) error {
			path, err := g.program("script", elf64, (*routine).dial)
			if err != nil {
				return err
			}
			fd, err := memoryFile([]byte("#!" + path + "\n"))
			r.executeOpen(fd)
			return err
		})},
		{Name: "abi/image-loader", Does: "connect in a program that the dynamic loader was told to run", Rare: true, Try: onRoutine(func(g *Ground, r *routine) error {
			path, err := g.program("loaded", elf64, (*routine).dial)
			if err != nil {
				return err
			}
			by, err := loader()
			r.execute(by, path)
			return err
		})},
		{Name: "abi/image-rewritten", Does: "connect in code that a program read into its anonymous memory", Try: onRoutine(readAndJump)},
		{Name: "abi/image-personality", Does: "connect in a program of the personality of 32-bit Linux, all of it executable", Try: onRoutine(func(g *Ground, r *routine) error {
			const linux32, noRandomize, readImpliesExec = 0x0008, 0x0040000, 0x0400000 // <sys/personality.h>
			path, err := g.program("personality", elf64, (*routine).dial)
			if err != nil {
				return err
			}
			r.call(unix.SYS_PERSONALITY, linux32|noRandomize|readImpliesExec)
			r.execute(path)
			return nil
		})},
	}
}

// executeDeleted executes a file that is open, and nowhere else.
func executeDeleted(g *Ground, r *routine) error {
	path, err := g.program("deleted", elf64, (*routine).dial)
	if err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	r.execute(fmt.Sprintf("/proc/self/fd/%d", fd))
	return nil
}

// readAndJump has a program do what execve does by itself: all that was mapped
// is unmapped, and a file's content takes the place of what ran. It is not done
// here, since a C library may have registered memory with the kernel (rseq).
func readAndJump(g *Ground, r *routine) error {
	next, err := emptyRoutine()
	if err != nil {
		return err
	}
	next.dial(g)
	next.exit()
	content, err := memoryFile(next.m[:next.data])
	if err != nil {
		return err
	}
	image, err := build(g, elf64, func(r *routine, _ *Ground) {
		const low, top = 1 << 32, 1<<47 - 4096
		r.call(unix.SYS_MUNMAP, low, top-low)
		r.call(unix.SYS_MMAP, next.m.at(0), routineSize, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC,
			unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, ^uintptr(0), 0)
		r.call(unix.SYS_PREAD64, content, next.m.at(0), routineSize, 0)
		r.load(ax, next.m.at(0))
		r.emit(0xff, 0xe0) // jmp rax
	})
	if err != nil {
		return err
	}
	fd, err := memoryFile(image)
	r.executeOpen(fd)
	return err
}

// foreignImageAttempts execute programs of other ABIs.
func foreignImageAttempts() []Attempt {
	return []Attempt{
		{Name: "abi/image-32", Does: "connect in a 32-bit program", Try: executing(elf32, (*routine).dial32)},
		{Name: "abi/image-32-socketcall", Does: "connect in a 32-bit program by socketcall", Try: executing(elf32, (*routine).dialSocketcall)},
		{Name: "abi/image-32-vdso", Does: "connect in a 32-bit program by the kernel's own code for calls", Try: executing(elf32, dialVDSO)},
		{Name: "abi/image-32-far", Does: "connect in a 32-bit program that goes over to 64-bit code", Try: executing(elf32, func(r *routine, g *Ground) {
			const user64 = 0x33 // __USER_CS, <asm/segment.h>
			at := r.aside(func() {
				r.dial(g)
				r.exit()
			})
			r.emit(0xea) // ljmp
			r.emitHalf(uint32(at))
			r.emit(user64, 0)
		})},
		{Name: "abi/image-x32", Does: "connect in a program of x32", Rare: true, Try: executing(elfX32, func(r *routine, g *Ground) {
			at, size := r.name(g)
			r.call(x32|unix.SYS_CLOSE, 0)
			r.call(x32|unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
			r.call(x32|unix.SYS_CONNECT, 0, at, size)
			text, length := r.token(g)
			r.call(x32|unix.SYS_WRITE, 0, text, length)
		})},
	}
}

// dialVDSO is dial32 by __kernel_vsyscall, vdso(7), whose address the kernel
// leaves on the stack (AT_SYSINFO of getauxval(3)).
func dialVDSO(r *routine, g *Ground) {
	at := r.halves(0)
	next := []byte{0x58, 0x85, 0xc0, 0x75, 0xfb}                                // pop eax until it is 0:
	r.emit(append(next, next...)...)                                            // arguments, environment
	r.emit(0x58, 0x5a, 0x83, 0xf8, 32 /* AT_SYSINFO */, 0x75, 0xf9, 0x89, 0x15) // pop eax, edx until it is that; mov [at], edx
	r.emitHalf(uint32(at))
	call := func(number uintptr, args ...uintptr) {
		r.load32(number, args...)
		r.emit(0xff, 0x15) // call [at]
		r.emitHalf(uint32(at))
	}
	name, nameSize := r.name(g)
	text, length := r.token(g)
	call(i386Close, 0)
	call(i386Socket, unix.AF_INET, unix.SOCK_STREAM, 0)
	call(i386Connect, 0, name, nameSize)
	call(i386Write, 0, text, length)
	call(i386Exit, 0)
}
