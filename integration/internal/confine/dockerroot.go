package main

import (
	"fmt"
	"runtime"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// dockerCapabilities are those that Docker leaves to root in a container.
var dockerCapabilities = map[string]uint{
	"CAP_CHOWN": unix.CAP_CHOWN, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_FSETID": unix.CAP_FSETID,
	"CAP_FOWNER": unix.CAP_FOWNER, "CAP_MKNOD": unix.CAP_MKNOD, "CAP_NET_RAW": unix.CAP_NET_RAW,
	"CAP_SETGID": unix.CAP_SETGID, "CAP_SETUID": unix.CAP_SETUID, "CAP_SETFCAP": unix.CAP_SETFCAP,
	"CAP_SETPCAP": unix.CAP_SETPCAP, "CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE,
	"CAP_SYS_CHROOT": unix.CAP_SYS_CHROOT, "CAP_KILL": unix.CAP_KILL, "CAP_AUDIT_WRITE": unix.CAP_AUDIT_WRITE,
}

// dockerRoot takes all other capabilities from the calling thread, and returns
// Docker's profile for the rest.
//
// The thread stays locked: it is the one that executes the command.
func dockerRoot() (*libseccomp.ScmpFilter, error) {
	runtime.LockOSThread()
	var names []string
	var keep [2]uint32
	for name, number := range dockerCapabilities {
		names = append(names, name)
		keep[number/32] |= 1 << (number % 32)
	}
	for number := range uint(64) {
		if keep[number/32]>>(number%32)&1 == 1 {
			continue
		}
		// EINVAL: there are no more.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(number), 0, 0, 0); err != nil && err != unix.EINVAL {
			return nil, fmt.Errorf("drop capability %d: %w", number, err)
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: keep[0], Permitted: keep[0]}, {Effective: keep[1], Permitted: keep[1]}}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return nil, fmt.Errorf("set capabilities: %w", err)
	}
	return docker(names)
}
