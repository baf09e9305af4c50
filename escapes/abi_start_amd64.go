package escapes

// startAt makes a process as clone(2) does with these flags, which goes on at
// an address with a stack: nothing of Go runs in it. It returns what clone
// returned to the caller.
//
//go:noescape
func startAt(flags, entry, stack uintptr) uintptr
