"""Dials a port of an address that no rule allows: from the folder and by the
user it was started in, from another folder and as another user, and from a
process whose parent has ended. It never starts a program."""

import os
import socket
import time


def dial(port):
    with socket.socket() as s:
        s.connect_ex(("192.0.2.1", port))


dial(81)
os.chdir("/")
if os.getuid() == 0:
    os.setuid(65533)
dial(82)
ended, left = os.pipe()
if os.fork() == 0:
    middle = os.getpid()
    if os.fork() == 0:
        while os.getppid() == middle:
            time.sleep(0.01)
        dial(83)
    os._exit(0)
os.close(left)
os.read(ended, 1)
