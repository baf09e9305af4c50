"""A UDP listener and a client of it in one session; IPv4, IPv6 and names."""
import socket

for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    listener = socket.socket(family, socket.SOCK_DGRAM)
    listener.bind((host, 0))
    listener.settimeout(5)
    port = listener.getsockname()[1]

    connected = socket.socket(family, socket.SOCK_DGRAM)
    connected.settimeout(5)
    connected.connect((host, port))
    connected.send(b"connected")
    data, source = listener.recvfrom(100)
    assert data == b"connected", data
    assert source[:2] == connected.getsockname()[:2], (source, connected.getsockname())
    listener.sendto(b"answer", source)
    assert connected.recv(100) == b"answer"
    assert connected.getpeername()[:2] == (host, port), connected.getpeername()

    loose = socket.socket(family, socket.SOCK_DGRAM)
    loose.settimeout(5)
    loose.sendto(b"", (host, port))
    data, source = listener.recvfrom(100)
    assert data == b"", data
    listener.sendto(b"x" * 1400, source)
    data, source = loose.recvfrom(2000)
    assert len(data) == 1400 and source[:2] == (host, port), (len(data), source)
    print("echo", host)
