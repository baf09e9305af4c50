"""Says whom a receiver on unix sockets is told: by messages, as connecting and
as listening. As root it says so of a process of another user, too."""

import os
import socket
import struct
import sys

folder = sys.argv[1]


def told(pid, uid, gid):
    whose = "own process" if pid == os.getpid() else "another process"
    user = "own user" if (uid, gid) == (os.getuid(), os.getgid()) else "user %d, group %d" % (uid, gid)
    return "%s, %s" % (whose, user)


def credentials(receiver):
    _, control, _, _ = receiver.recvmsg(10, 100)
    return told(*[struct.unpack("3i", data) for _, kind, data in control if kind == socket.SCM_CREDENTIALS][0])


def peer(s):
    return told(*struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


for kind in socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM:
    sender, receiver = socket.socketpair(socket.AF_UNIX, kind)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    sender.send(b"x")
    print(kind.name, "send:", credentials(receiver))
    sender.sendmsg([b"x"])
    print(kind.name, "sendmsg:", credentials(receiver))

path = os.path.join(folder, "credentials-%d.sock" % os.getuid())
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
client = socket.socket(socket.AF_UNIX)
client.connect(path)
server, _ = listener.accept()
print("connects:", peer(server))
print("listens:", peer(client))

sys.stdout.flush()
if os.getuid() == 0:
    os.chmod(folder, 0o777)
    os.setgroups([])
    os.setgid(4242)
    os.setuid(4242)
    os.execv(sys.executable, [sys.executable] + sys.argv)
