"""Looks a name up: resolve.py getaddrinfo|dnspython NAME"""
import socket
import sys

way, name = sys.argv[1:]
if way == "getaddrinfo":
    for found in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM):
        print(found[4][0])
else:
    import dns.resolver

    for found in dns.resolver.resolve(name, "A"):
        print(found.address)
