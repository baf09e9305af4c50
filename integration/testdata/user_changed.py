"""Gives up being root, executes nothing afterwards, and uses the network."""

import os
import socket
import struct
import sys
import urllib.request

URL, USER = sys.argv[1], int(sys.argv[2])


def http():
    return urllib.request.urlopen(URL, timeout=10).status == 200


def netlink():
    # RTM_GETADDR with NLM_F_REQUEST and NLM_F_DUMP, rtnetlink(7).
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as routes:
        routes.settimeout(10)
        routes.sendto(struct.pack("=IHHIIB3x", 20, 22, 0x301, 1, 0, 0), (0, 0))
        return len(routes.recv(65536)) > 20


def datagram():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.settimeout(10)
        to.bind("")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello", to.getsockname())
        return to.recv(100) == b"hello"


def stream():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path = f"changed-{os.getpid()}"
        listener.bind(path)
        listener.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(path)
            server, _ = listener.accept()
            with server:
                client.sendmsg([b"hello"])
                return server.recv(100) == b"hello"


os.setgroups([])
os.setresgid(USER, USER, USER)
os.setresuid(USER, USER, USER)
for what in (http, netlink, datagram, stream):
    try:
        print(what.__name__, "ok" if what() else "wrong")
    except OSError as error:
        print(what.__name__, "failed")
        print(what.__name__, error, file=sys.stderr)
