"""Waits for signals in one process, and says when it is continued."""
import os
import signal

signal.signal(signal.SIGCONT, lambda *_: os.write(1, b"continued\n"))
os.write(1, b"running\n")
while True:
    signal.pause()
