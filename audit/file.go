package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errNotFile says that a log can't be kept in what stands at its path.
var errNotFile = errors.New("not a regular file; name another with --audit")

// appendFile is a file that lines are appended to, whole or not at all as far as it can be had. Others may append to
// the same file at the same time.
type appendFile struct {
	*os.File
	end     int64  // where the file ends, if nobody else wrote to it since it was opened
	newline bool   // the next line must start with a newline: what stands before it is not ended
	torn    uint64 // bytes of unfinished lines that no record has told of yet
}

// openAppend opens path, or makes it. With fresh it must not be there, and a symbolic link there is not followed
// (O_EXCL, open(2)).
func openAppend(path string, fresh bool) (*appendFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// O_NONBLOCK: to open a FIFO that nobody reads must not hang; it means nothing to a regular file. It is read once,
	// below, to see how its last line ends. os.OpenFile adds O_CLOEXEC.
	flags := os.O_RDWR | os.O_APPEND | os.O_CREATE | unix.O_NONBLOCK | unix.O_NOCTTY
	if fresh {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	f := &appendFile{File: file}
	if err := f.look(); err != nil {
		_ = file.Close() // the error that matters is the one at hand
		return nil, err
	}
	return f, nil
}

// look finds where the file ends, and whether a session that was killed left its last line unfinished.
func (f *appendFile) look() error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
	case mode&fs.ModeCharDevice != 0:
		// Such as /dev/null: it has no end and can't be read back.
		return nil
	default:
		return fmt.Errorf("%s: %w", f.Name(), errNotFile)
	}
	f.end = info.Size()
	if f.end == 0 {
		return nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], f.end-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	tail := make([]byte, min(f.end, maxLine))
	if _, err := f.ReadAt(tail, f.end-int64(len(tail))); err != nil {
		return err
	}
	f.newline = true
	f.torn = uint64(len(tail) - 1 - bytes.LastIndexByte(tail, '\n'))
	return nil
}

// writeLine appends line, which ends in a newline. It returns nil if the file holds all of it, but perhaps its newline.
// Else the file is as it was before, or f knows what the line left there.
func (f *appendFile) writeLine(line []byte) error {
	prefix := 0
	if f.newline {
		prefix = 1
		line = append([]byte{'\n'}, line...)
	}
	n, err := f.Write(line)
	if n >= len(line)-1 {
		f.end += int64(n)
		f.newline = n < len(line)
		f.torn = 0
		return nil
	}
	if n <= 0 || f.cut(n) {
		return err
	}
	f.end += int64(n)
	f.newline = n > prefix
	f.torn += uint64(n - prefix)
	return err
}

// cut removes the last n bytes, which a write that stopped short has left, and tells whether that was done. It is not
// where others append to the file too, since they may have written after it.
func (f *appendFile) cut(n int) bool {
	info, err := f.Stat()
	if err != nil || info.Size() != f.end+int64(n) {
		return false
	}
	return f.Truncate(f.end) == nil
}
