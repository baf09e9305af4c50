"""Kills its parent, the launcher, by the one thread of it that is in the
agent's own Landlock domain, after it has left a child behind."""

import ctypes
import os
import platform
import signal
import time

tgkill = {"x86_64": 234, "aarch64": 131}[platform.machine()]
libc = ctypes.CDLL(None)
launcher = os.getppid()
if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
print("ready", flush=True)
for thread in os.listdir(f"/proc/{launcher}/task"):
    libc.syscall(tgkill, launcher, int(thread), signal.SIGKILL)
time.sleep(1000)
