package escapes

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// formatAttempts have the kernel take a file of another kind for a program.
func formatAttempts() []Attempt {
	return []Attempt{
		// A user namespace has kinds of its own from Linux 6.7 (commit
		// 21ca59b365c0): before, they are the whole machine's.
		{Name: "abi/format", Does: "connect in the interpreter of a kind of files of its own (binfmt_misc)", Needs: []Need{NeedUserns}, Rare: true,
			Try: onRoutine(executeFormat)},
	}
}

// executeFormat names, in namespaces of its own, an interpreter for all files
// whose names end in a word, and executes such a file.
func executeFormat(g *Ground, r *routine) error {
	interpreter, err := g.program("interpreter", elf64, (*routine).dial)
	if err != nil {
		return err
	}
	path := g.mine("text.attempt")
	if err := os.WriteFile(path, []byte("no program"), 0o755); err != nil {
		return err
	}
	dir := g.mine("formats")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	r.call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER|unix.CLONE_NEWNS)
	r.writeFile("/proc/self/uid_map", fmt.Sprintf("0 %d 1", os.Geteuid()))
	r.writeFile("/proc/self/setgroups", "deny")
	r.writeFile("/proc/self/gid_map", fmt.Sprintf("0 %d 1", os.Getegid()))
	kind := r.text("binfmt_misc")
	r.call(unix.SYS_MOUNT, kind, r.text(dir), kind, 0, 0)
	r.keepError()
	r.writeFile(dir+"/register", ":attempt:E::attempt::"+interpreter+":")
	r.execute(path)
	return nil
}

// writeFile writes a text to a file in one piece.
func (r *routine) writeFile(path, text string) {
	r.call(unix.SYS_CLOSE, 0)
	r.call(unix.SYS_OPEN, r.text(path), unix.O_WRONLY, 0)
	r.call(unix.SYS_WRITE, 0, r.text(text), uintptr(len(text)))
}
