"""Uses unix sockets of every kind within a session, and then tries one of a
program outside by its path and by its abstract name."""

import os
import socket
import sys
import threading

folder, outside = sys.argv[1], sys.argv[2:]
os.chdir(folder)
os.umask(0o077)


def serve(address, times=1):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(5)

    def answer():
        for _ in range(times):
            conn, _ = listener.accept()
            with conn:
                conn.sendall(b"hello")

    threading.Thread(target=answer, daemon=True).start()
    return listener


def attempt(address):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(address)
            return client.recv(100).decode()
        except OSError as e:
            return type(e).__name__


for kind, address in {
    "relative": "relative.sock",
    "absolute": folder + "/absolute.sock",
    "abstract": "\0boundary-test-%d" % os.getpid(),
    "abstract with NUL": "\0boundary test\0%d" % os.getpid(),
}.items():
    with serve(address):
        print(kind, attempt(address))
    print(kind, "closed", attempt(address))

# Symbolic links to links of /proc, which are another's for each process: for
# who connects and for who binds.
here = os.open(".", os.O_PATH)
for link, target in {
    "to-fd": "/proc/self/fd/%d" % here,
    "to-cwd": "/proc/thread-self/cwd",
    "to-root": "/proc/self/root" + folder,
    "to-link": "to-cwd/./to-fd",
}.items():
    os.symlink(target, link)
    with serve(link + "/own.sock", 2):
        print(link, attempt(link + "/own.sock"), attempt(folder + "/" + link + "/own.sock"), attempt(link + "/own.sock/"))
    os.unlink("own.sock")
for link in "to-fd", "to-cwd", "to-root", "to-link":
    os.unlink(link)

print("mode %o" % (os.stat("relative.sock").st_mode & 0o777))

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind("datagram.sock")
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(b"sendto", folder + "/datagram.sock")
sender.sendmsg([b"send", b"msg"], [], 0, folder + "/datagram.sock")
print(receiver.recv(100).decode(), receiver.recv(100).decode())

one, two = socket.socketpair()
one.send(b"pair")
print(two.recv(100).decode())

for address in outside:
    print("outside", attempt(address.replace("@", "\0")))
print("nobody", attempt(folder + "/nothing.sock"), attempt("\0boundary-test-nobody"))

# A name is kept apart for each type: holding it for datagrams makes nobody
# the owner of another's listener. Nor does a line of the kernel's table that
# is forged in a name.
names = [address for address in outside if address.startswith("@")]
for address in names:
    squatter = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    squatter.bind(address.replace("@", "\0"))
    print("squatted", attempt(address.replace("@", "\0")))
forger = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
try:
    forger.bind("\0x\n0 0 0 00010000 0001 01 7 @victim")
    print("forged")
except OSError as e:
    print("forged", type(e).__name__)
