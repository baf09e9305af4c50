"""Connects many times while a timer's signal interrupts every call, and
prints what the connects answered."""

import collections
import signal
import socket
import sys

host, count = sys.argv[1], int(sys.argv[2])
address = socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4]

signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)  # SA_RESTART: the kernel runs the call again


def connect(family, address):
    answers = collections.Counter()
    for _ in range(count):
        with socket.socket(family) as s:
            signal.setitimer(signal.ITIMER_REAL, 0.00005, 0.00005)
            try:
                s.connect(address)
                answers["ok"] += 1
            except OSError as e:
                answers[e.strerror] += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
    for answer, n in sorted(answers.items()):
        print(family.name, answer, n)


connect(socket.AF_INET, address)
with socket.socket(socket.AF_UNIX) as own:
    own.bind("own-socket")
    own.listen(count)
    connect(socket.AF_UNIX, "own-socket")
