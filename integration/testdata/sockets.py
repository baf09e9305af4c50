"""Connects in all ways that there are, and prints what it sees of each.

usage: sockets.py ADDRESS PORT CLOSED-PORT
"""

import errno
import select
import socket
import struct
import sys

address, port, closed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
to = (address, port)
SO_PEERNAME = 28


def show(name, *what):
    print(name, *what, sep=" | ", flush=True)


def outcome(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def new(blocking=True):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setblocking(blocking)
    return s


def ask(s):
    """One request and the status line of its answer."""
    s.setblocking(True)
    s.settimeout(20)
    s.sendall(b"GET /status/200 HTTP/1.0\r\n\r\n")
    return s.makefile("rb").readline()


def names(s):
    """What the socket says of its ends."""
    raw = outcome(s.getsockopt, socket.SOL_SOCKET, SO_PEERNAME, 28 if family == socket.AF_INET6 else 16)
    if isinstance(raw, bytes):
        raw = struct.unpack(">H", raw[2:4])[0] == port, raw[4:8].hex()
    peer, own = outcome(s.getpeername), outcome(s.getsockname)
    local = own[0] in ("127.0.0.1", "::1", "::ffff:127.0.0.1") if own[1] else own
    return peer, local, raw


def events(poller):
    return sorted(hex(mask) for _, mask in poller.poll(20000))


s = new()
show("before", names(s), outcome(s.recv, 1))
show("blocking", outcome(s.connect, to), names(s), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
show("again", outcome(s.connect, to), ask(s))

s = new(False)
show("not blocking", s.connect_ex(to) in (0, errno.EINPROGRESS))
show("select", [len(x) for x in select.select([], [s], [], 20)], s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
show("again", [outcome(s.connect, to) for _ in range(3)][-1], names(s), ask(s))

for kind in (select.poll, select.epoll):
    s, poller = new(False), kind()
    poller.register(s, select.POLLIN | select.POLLOUT)
    show(kind.__name__ + " before", events(poller))
    s.connect_ex(to)
    show(kind.__name__ + " after", events(poller), names(s), ask(s))

s = new(False)
edge = select.epoll()
edge.register(s, select.EPOLLOUT | select.EPOLLIN | select.EPOLLET)
show("edge before", events(edge))
s.connect_ex(to)
show("edge after", events(edge), ask(s))

s = new()
s.settimeout(20)
show("with a timeout", outcome(s.connect, to), ask(s))

s = new()
s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
bound = s.getsockname()[1]
show("bound", outcome(s.connect, to), s.getsockname()[1] == bound, ask(s))

for flags in (0, 1):
    s = new()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", flags, 0))
    show("linger", outcome(s.connect, to), struct.unpack("ii", s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)), ask(s))
    s.close()

s = new()
s.connect(to)
s.shutdown(socket.SHUT_RD)
show("nothing to read", s.recv(10))

s = new()
s.connect(to)
copy = s.dup()
show("copy", names(copy))
s.close()
show("copy alone", ask(copy), names(copy))

show("closed port", outcome(new().connect, (address, closed)))
s = new(False)
s.connect_ex((address, closed))
select.select([], [s], [], 20)
show("closed port, not blocking", errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
show("and then an open one", outcome(new().connect, to))

other = socket.socket(socket.AF_INET if family == socket.AF_INET6 else socket.AF_INET6, socket.SOCK_STREAM)
show("another family", other.family != family)
