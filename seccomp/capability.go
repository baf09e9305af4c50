package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// undoing are the capabilities(7) with which root could undo the boundary,
// reach the network beneath it, or change the machine itself and what others
// run on it: its clock, its log, its devices, their limits and priorities.
// What package managers need (CHOWN, DAC_OVERRIDE, FOWNER, SETUID, SETGID,
// SYS_CHROOT …) is not among them: about what Docker leaves to root.
var undoing = []uint{
	unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_PTRACE,
	unix.CAP_SYS_MODULE, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_RAWIO,
	unix.CAP_SYS_BOOT, unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE, unix.CAP_CHECKPOINT_RESTORE,
	unix.CAP_SYS_TIME, unix.CAP_WAKE_ALARM, unix.CAP_BLOCK_SUSPEND, unix.CAP_SYSLOG,
	unix.CAP_SYS_NICE, unix.CAP_SYS_RESOURCE, unix.CAP_SYS_PACCT, unix.CAP_SYS_TTY_CONFIG,
	unix.CAP_IPC_OWNER, unix.CAP_LEASE, unix.CAP_AUDIT_CONTROL, unix.CAP_AUDIT_READ,
	// In a container without rules for devices a node is the machine's disk.
	// FIFOs and sockets can be made without it.
	unix.CAP_MKNOD,
}

// DropCapabilities takes the capabilities that would undo the boundary from
// the calling thread, for good: out of the bounding set where the caller may
// (CAP_SETPCAP), and out of every other set. It is no error not to hold them.
//
// Preconditions: locked thread.
func DropCapabilities() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for _, c := range undoing {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil || held == 0 {
			continue // EINVAL: a capability that this kernel does not know
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EPERM {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	for _, c := range undoing {
		word, bit := c/32, uint32(1)<<(c%32)
		data[word].Effective &^= bit
		data[word].Permitted &^= bit
		data[word].Inheritable &^= bit
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	// Ambient capabilities follow the permitted and inheritable sets.
	return nil
}

// MayTraceAll says whether the caller holds CAP_SYS_PTRACE: it may then look
// into the processes of every user, and into those that are not dumpable.
func MayTraceAll() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&hdr, &data[0]) == nil && data[0].Effective>>unix.CAP_SYS_PTRACE&1 == 1
}
