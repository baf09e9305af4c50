package escapes

// runChild makes a process or thread as clone(2) does with these flags, which
// makes the system calls of the steps one by one and ends. It has no stack:
// whatever the flags let it share, nothing is disturbed. It returns what
// clone returned.
//
//go:noescape
func runChild(flags, steps, count uintptr) uintptr
