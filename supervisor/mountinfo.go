package supervisor

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// deviceOf is the device of the file system that a file is on. It is not always
// what stat(2) says (btrfs, overlayfs): proc_pid_mountinfo(5) tells it.
func deviceOf(file *os.File) (dev uint32, known bool) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(int(file.Fd())))
	if err != nil {
		return 0, false
	}
	_, after, _ := bytes.Cut(info, []byte("mnt_id:"))
	id, _, _ := bytes.Cut(after, []byte("\n"))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, false
	}
	return mountDevice(string(mounts), string(bytes.TrimSpace(id)))
}

// mountDevice finds a mount's device, in the kernel's own form
// (include/linux/kdev_t.h).
func mountDevice(mountinfo, id string) (dev uint32, known bool) {
	const idField, devField, minorBits = 0, 2, 20
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) <= devField || fields[idField] != id {
			continue
		}
		first, second, _ := strings.Cut(fields[devField], ":")
		major, err := strconv.ParseUint(first, 10, 12)
		minor, err2 := strconv.ParseUint(second, 10, minorBits)
		return uint32(major<<minorBits | minor), err == nil && err2 == nil
	}
	return 0, false
}
