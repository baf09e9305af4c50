package escapes

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// elfKind is a kind of program by its header, elf(5).
type elfKind struct {
	class   byte
	machine uint16
}

var (
	elf64  = elfKind{2, 62} // ELFCLASS64, EM_X86_64
	elf32  = elfKind{1, 3}  // ELFCLASS32, EM_386
	elfX32 = elfKind{1, 62}
)

// image is the routine as a static program, which begins with it.
func (r *routine) image(kind elfKind) []byte {
	const page, executable, current, loaded, everything = 4096, 2, 1, 1, 7
	le := binary.LittleEndian
	entry, size := uint64(r.m.at(0)), uint64(r.data)
	b := append(make([]byte, 0, page), 0x7f, 'E', 'L', 'F', kind.class, 1, current, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint16(b, executable)
	b = le.AppendUint16(b, kind.machine)
	b = le.AppendUint32(b, current)
	word := func(v uint64) {
		if kind.class == elf64.class {
			b = le.AppendUint64(b, v)
		} else {
			b = le.AppendUint32(b, uint32(v))
		}
	}
	half := func(list ...uint16) {
		for _, v := range list {
			b = le.AppendUint16(b, v)
		}
	}
	if kind.class == elf64.class {
		const header, segment = 64, 56
		word(entry)
		word(header)
		word(0)
		b = le.AppendUint32(b, 0)
		half(header, segment, 1, 0, 0, 0)
		b = le.AppendUint32(b, loaded)
		b = le.AppendUint32(b, everything) // readable, writable and executable
	} else {
		const header, segment = 52, 32
		word(entry)
		word(header)
		word(0)
		b = le.AppendUint32(b, 0)
		half(header, segment, 1, 0, 0, 0)
		b = le.AppendUint32(b, loaded)
	}
	for _, v := range []uint64{page, entry, entry, size, size} { // offset, addresses, sizes
		word(v)
	}
	if kind.class != elf64.class {
		b = le.AppendUint32(b, everything)
	}
	word(page) // alignment
	return append(b[:page], r.m[:r.data]...)
}

// build makes a program of what a routine does.
func build(g *Ground, kind elfKind, write func(*routine, *Ground)) ([]byte, error) {
	r, err := emptyRoutine()
	if err != nil {
		return nil, err
	}
	write(r, g)
	if kind != elf32 {
		r.exit()
	}
	return r.image(kind), nil
}

// program writes such a program to a file of the attempt's own.
func (g *Ground) program(name string, kind elfKind, write func(*routine, *Ground)) (string, error) {
	b, err := build(g, kind, write)
	if err != nil {
		return "", err
	}
	path := g.mine(name)
	if err := os.WriteFile(path, b, 0o755); err != nil {
		return "", fmt.Errorf("write program: %w", err)
	}
	return path, nil
}

// memoryFile makes a file without a name, memfd_create(2). It stays open in
// what is executed.
func memoryFile(content []byte) (uintptr, error) {
	fd, err := unix.MemfdCreate("attempt", 0)
	if err != nil {
		return 0, fmt.Errorf("memfd_create: %w", err)
	}
	if _, err := unix.Write(fd, content); err != nil {
		return 0, fmt.Errorf("write program: %w", err)
	}
	return uintptr(fd), nil
}

// executeOpen executes an open file.
func (r *routine) executeOpen(fd uintptr) {
	name := r.text("attempt")
	r.call(unix.SYS_EXECVEAT, fd, r.text(""), r.lay(words(name, 0)), r.lay(words(0)), unix.AT_EMPTY_PATH)
}

// executing has a child execute a program that has no name.
func executing(kind elfKind, write func(*routine, *Ground)) func(*Ground) error {
	return onRoutine(func(g *Ground, r *routine) error {
		b, err := build(g, kind, write)
		if err != nil {
			return err
		}
		fd, err := memoryFile(b)
		if err != nil {
			return err
		}
		r.executeOpen(fd)
		return nil
	})
}

// loader is the dynamic loader of the machine's C library.
func loader() (string, error) {
	found, err := filepath.Glob("/lib*/ld-linux-x86-64.so.2")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("find loader: %w", os.ErrNotExist)
	}
	return found[0], nil
}
