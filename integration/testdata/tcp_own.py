"""Listeners of the session on every address, and what they are reachable by."""
import socket
import sys
import threading


def answer(listener):
    connection, _ = listener.accept()
    with connection:
        connection.sendall(connection.recv(100).upper())


def try_own(family, host, target):
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen()
    port = listener.getsockname()[1]
    threading.Thread(target=answer, args=(listener,), daemon=True).start()
    with socket.create_connection((target, port), timeout=5) as client:
        client.sendall(b"hello")
        print("answer", client.recv(100).decode())
    print("port", port)
    return listener


kept = [try_own(socket.AF_INET, "0.0.0.0", "127.0.0.1"), try_own(socket.AF_INET6, "::", "::1")]
print("ready", flush=True)
sys.stdin.read()
