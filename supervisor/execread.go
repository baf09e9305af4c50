package supervisor

import (
	"bytes"
	"encoding/binary"

	"boundary/seccomp"
)

// readPointers reads an array of pointers that ends with a null pointer. A
// null array is an empty one, as execve(2) has it.
func readPointers(tid int, addr uint64) ([]uint64, error) {
	var out []uint64
	for addr != 0 && len(out) < maxEnvNames {
		buf := make([]byte, toPageEnd(addr)&^(pointerSize-1))
		if len(buf) == 0 { // it straddles pages: no compiler puts one there
			buf = make([]byte, pointerSize)
		}
		if err := seccomp.ReadMemory(tid, seccomp.Addr(addr), buf); err != nil {
			return nil, err
		}
		for i := 0; i < len(buf); i += pointerSize {
			p := binary.NativeEndian.Uint64(buf[i:])
			if p == 0 {
				return out, nil
			}
			out = append(out, p)
		}
		addr += uint64(len(buf))
	}
	if addr == 0 {
		return nil, nil
	}
	return nil, errTooMany
}

// maxRanges is below IOV_MAX, <linux/uio.h>.
const maxRanges = 512

// readPrefixes reads the beginnings of strings, each up to prefixSize bytes or
// to the end of its page.
func readPrefixes(tid int, pointers []uint64) ([][]byte, error) {
	out := make([][]byte, 0, len(pointers))
	for len(pointers) > 0 {
		n := min(len(pointers), maxRanges)
		ranges := make([]seccomp.Range, n)
		for i, p := range pointers[:n] {
			ranges[i] = seccomp.Range{Base: seccomp.Addr(p), Len: min(prefixSize, toPageEnd(p))}
		}
		buf := make([]byte, n*prefixSize)
		if _, err := seccomp.ReadRanges(tid, ranges, buf); err != nil {
			return nil, err
		}
		for _, r := range ranges {
			text, _, _ := bytes.Cut(buf[:r.Len], []byte{0})
			out, buf = append(out, text), buf[r.Len:]
		}
		pointers = pointers[n:]
	}
	return out, nil
}

// readString reads a string that ends within so many bytes.
func readString(tid int, addr uint64, most int) (string, error) {
	var text []byte
	for len(text) < most {
		buf := make([]byte, toPageEnd(addr))
		if err := seccomp.ReadMemory(tid, seccomp.Addr(addr), buf); err != nil {
			return "", err
		}
		before, _, ended := bytes.Cut(buf, []byte{0})
		text = append(text, before...)
		if ended {
			return string(text), nil
		}
		addr += uint64(len(buf))
	}
	return "", errTooMany
}
