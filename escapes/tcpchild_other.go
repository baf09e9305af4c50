//go:build !amd64

package escapes

import "golang.org/x/sys/unix"

// runChild is machine code for x86-64 only.
func runChild(_, _, _ uintptr) uintptr {
	refused := uintptr(unix.ENOSYS)
	return -refused
}
