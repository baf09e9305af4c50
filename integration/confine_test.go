package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDockerProfile shows that the docker mode is what it says: a filter is
// on, the capabilities are none, and the calls that boundary must do without
// are refused, while those that it needs are not.
func TestDockerProfile(t *testing.T) {
	script := `
import ctypes, errno, os, re

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args):
    result = libc.syscall(number, *args)
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]


numbers = {"x86_64": (272, 317), "aarch64": (97, 277)}[os.uname().machine]
own = os.pidfd_open(os.getpid())
print("pidfd_getfd", call(438, own, 1, 0))
print("unshare user", call(numbers[0], 0x10000000))
print("io_uring_setup", call(425, 1, None))
print("seccomp listener", call(numbers[1], 1, 8, None))
status = open("/proc/self/status").read()
print("filter", re.search(r"Seccomp:\s+(\d)", status)[1])
print("capabilities", re.search(r"CapEff:\s+(\w+)", status)[1])
`
	out, err := commandIn(t, docker, docker.dir(t), []string{program(t, "python3"), "-c", script}).Output()
	if err != nil {
		t.Fatalf("run under the profile: %v", err)
	}
	want := `pidfd_getfd EPERM
unshare user EPERM
io_uring_setup EPERM
seccomp listener EFAULT
filter 2
capabilities 0000000000000000
`
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("under Docker's profile (-want +got):\n%s", diff)
	}
}
