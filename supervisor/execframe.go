package supervisor

import (
	"encoding/binary"
	"os"
	"slices"

	"boundary/seccomp"

	"golang.org/x/sys/unix"
)

// frame is what a new program finds at its stack pointer (the processor
// supplements of the System V ABI, "Process Initialization"): the number of
// arguments, pointers to them, a null; pointers to the environment, a null;
// the auxiliary vector up to AT_NULL. What they point to lies above.
type frame struct {
	argv, envp []uint64
	auxv       []uint64 // pairs, with AT_NULL
}

// maxFrame bounds a frame that is read, and maxImage what is written below it:
// the kernel leaves a new program 128 KiB of stack (setup_arg_pages in
// fs/exec.c).
const (
	maxFrame = 1 << 20
	maxImage = 96 << 10
)

// readFrame reads the frame of a program that has not begun to run.
func readFrame(tid int, sp uint64) (*frame, error) {
	words, err := frameReader(tid, sp)
	if err != nil {
		return nil, err
	}
	count := words.next()
	if count > maxFrame/pointerSize {
		return nil, unix.EINVAL
	}
	f := &frame{}
	for p := words.next(); p != 0; p = words.next() {
		f.argv = append(f.argv, p)
	}
	for p := words.next(); p != 0; p = words.next() {
		f.envp = append(f.envp, p)
	}
	for {
		kind, value := words.next(), words.next()
		f.auxv = append(f.auxv, kind, value)
		if kind == 0 { // AT_NULL
			break
		}
	}
	if words.err != nil {
		return nil, words.err
	}
	if uint64(len(f.argv)) != count {
		return nil, unix.EINVAL
	}
	return f, nil
}

// with returns the frame with strings added to its environment and, after the
// program's name, to its arguments, and where it is to be put: below sp, so that
// nothing of the old one is overwritten.
func (f *frame) with(sp uint64, args, env []string) (at uint64, image []byte) {
	var text []byte
	offset := func(list []string) (offsets []uint64) {
		for _, s := range list {
			offsets = append(offsets, uint64(len(text)))
			text = append(append(text, s...), 0)
		}
		return offsets
	}
	argOffsets, envOffsets := offset(args), offset(env)
	words := 1 + len(f.argv) + len(args) + 1 + len(f.envp) + len(env) + 1 + len(f.auxv)
	table := uint64(words) * pointerSize
	at = (sp - table - uint64(len(text))) &^ (stackAlign - 1)
	place := func(offsets []uint64) []uint64 {
		for i := range offsets {
			offsets[i] += at + table
		}
		return offsets
	}
	first := min(1, len(f.argv))
	list := slices.Concat([]uint64{uint64(len(f.argv) + len(args))},
		f.argv[:first], place(argOffsets), f.argv[first:], []uint64{0},
		f.envp, place(envOffsets), []uint64{0}, f.auxv)
	for _, word := range list {
		image = binary.NativeEndian.AppendUint64(image, word)
	}
	return at, append(image, text...)
}

// stackAlign is what the ABIs of amd64 and arm64 ask of the stack pointer.
const stackAlign = 16

// wordReader reads a thread's memory word by word. After an error every word
// is 0.
type wordReader struct {
	tid  int
	at   uint64
	end  uint64
	page []byte
	err  error
}

func frameReader(tid int, sp uint64) (*wordReader, error) {
	if sp%stackAlign != 0 || os.Getpagesize()%pageSize != 0 {
		return nil, unix.EINVAL
	}
	return &wordReader{tid: tid, at: sp, end: sp + maxFrame}, nil
}

func (r *wordReader) next() uint64 {
	if r.err == nil && len(r.page) == 0 {
		r.fill()
	}
	if r.err != nil {
		return 0
	}
	word := binary.NativeEndian.Uint64(r.page)
	r.page = r.page[pointerSize:]
	return word
}

func (r *wordReader) fill() {
	if r.at >= r.end {
		r.err = errTooMany
		return
	}
	r.page = make([]byte, toPageEnd(r.at))
	r.err = seccomp.ReadMemory(r.tid, seccomp.Addr(r.at), r.page)
	r.at += uint64(len(r.page))
}
