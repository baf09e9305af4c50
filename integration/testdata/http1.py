"""Speaks HTTP/1 byte by byte and prints what it got, one line an exchange.

usage: http1.py SCHEME HOST [ADDRESS:PORT]

With an address it is that which is dialled, in place of the host.
"""

import socket
import ssl
import sys

scheme, host = sys.argv[1:3]
port = {"http": 80, "https": 443}[scheme]
where = (host, port)
if len(sys.argv) > 3:
    address, _, at = sys.argv[3].rpartition(":")
    where = (address, int(at))


class Connection:
    """A connection whose bytes are read as answers."""

    def __init__(self):
        plain = socket.create_connection(where, timeout=20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = plain
        if scheme == "https":
            self.socket = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        self.buffer = b""

    def send(self, text):
        self.socket.sendall(text.replace("HOST", host).encode("latin-1"))

    def more(self):
        part = self.socket.recv(65536)
        self.buffer += part
        return len(part) > 0

    def line(self):
        while b"\n" not in self.buffer:
            if not self.more():
                raise EOFError("in a line")
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def exactly(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise EOFError("in a body of known length")
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return body

    def fields(self):
        found = []
        while True:
            line = self.line()
            if line == "":
                return sorted(found)
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            if name == "trailer":  # a list in any order
                value = ", ".join(sorted(value.split(", ")))
            if name != "date":
                found.append(name + ": " + value)

    def chunk(self):
        size = int(self.line().split(";")[0], 16)
        part = self.exactly(size)
        if size > 0:
            self.line()
        return part

    def chunks(self):
        body = b""
        while part := self.chunk():
            body += part
        return body, self.fields()

    def answer(self, method="GET"):
        """One answer: status line, fields, body, trailer, how the body ends."""
        status = self.line()
        fields = self.fields()
        code = int(status.split()[1])
        names = dict(f.split(": ", 1) for f in fields if ": " in f)
        body, trailer, how = b"", [], "none"
        if method == "HEAD" or code < 200 or code in (204, 304):
            pass
        elif names.get("transfer-encoding") == "chunked":
            (body, trailer), how = self.chunks(), "chunked"
        elif "content-length" in names:
            body, how = self.exactly(int(names["content-length"])), "length"
        else:
            while self.more():
                pass
            body, self.buffer, how = self.buffer, b"", "close"
        return status, fields, body[:300].decode("latin-1"), len(body), trailer, how

    def ends(self):
        """Tells how the connection ends when nothing more is asked."""
        try:
            return "closed" if not self.more() else repr(self.buffer[:100])
        except ConnectionResetError:
            return "reset"


def show(name, *what):
    print(name, *what, sep=" | ", flush=True)


def request(line, *fields, version="1.1", body=""):
    head = [line + " HTTP/" + version, "Host: HOST", *fields, "", ""]
    return "\r\n".join(head) + body


def once(name, *args, method="GET", **named):
    c = Connection()
    c.send(request(*args, **named))
    show(name, c.answer(method))
    return c


# HTTP/1.0, whose connections end with each answer unless asked to stay.
show("1.0 ends", once("1.0", "GET /http/seen", version="1.0").ends())
c = Connection()
c.send("GET /http/empty/200 HTTP/1.0\r\n\r\n")
show("1.0 without host", c.answer(), c.ends())
c = once("1.0 kept", "GET /http/empty/200", "Connection: keep-alive", version="1.0")
c.send(request("GET /http/seen", "Connection: keep-alive", version="1.0"))
show("1.0 second", c.answer())
show("1.0 stream ends", once("1.0 stream", "GET /http/clock/0/1ms", version="1.0").ends())

# HTTP/1.1: connections stay.
c = once("1.1", "GET /http/seen?a=b&c=%2f", "X-Own: 1", "Accept: */*")
c.send(request("GET /http/seen", "Connection: close"))
show("1.1 last", c.answer(), c.ends())

# Several requests before the first answer.
c = Connection()
c.send("".join(request("GET /status/200/%d" % i) for i in range(5)))
show("pipelined", [c.answer() for _ in range(5)])
c = Connection()
c.send(request("POST /http/seen", "Content-Length: 3", body="abc") + request("GET /http/seen"))
show("pipelined behind a body", [c.answer() for _ in range(2)])

# Chunks and trailers, both ways.
c = Connection()
c.send(request("POST /http/trailers", "Transfer-Encoding: chunked", "Trailer: X-Sent", "TE: trailers",
               body="5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sent: was there\r\n\r\n"))
show("trailers", c.answer())
c.send(request("POST /http/seen", "Transfer-Encoding: chunked", body="0\r\n\r\n"))
show("no chunks", c.answer())

# A body that waits to be asked for, and one that is not wanted.
c = Connection()
c.send(request("POST /http/continue", "Expect: 100-continue", "Content-Length: 5"))
show("asked", c.answer())
c.send("12345")
show("continued", c.answer())
c = Connection()
c.send(request("POST /http/unexpected", "Expect: 100-continue", "Content-Length: 5"))
show("unwanted", c.answer())

# Answers before the answer.
c = Connection()
c.send(request("GET /http/hints"))
show("hints", [c.answer() for _ in range(3)])

# Answers without a body.
for status in (204, 304):
    c = once("empty %d" % status, "GET /http/empty/%d" % status)
    c.send(request("GET /http/seen"))
    show("behind it", c.answer()[0])
once("head", "HEAD /http/range", method="HEAD")
once("head of chunks", "HEAD /http/clock/1/1ms", method="HEAD")

# Parts.
for ranges in ("bytes=0-9", "bytes=-5", "bytes=9990-", "bytes=20000-", "bytes=0-1,5-6"):
    c = Connection()
    c.send(request("GET /http/range", "Range: " + ranges))
    status, fields, body, size, trailer, how = c.answer()
    if "," in ranges:  # its boundary is random
        fields, body = [f for f in fields if not f.startswith("content-type")], ""
    show("range " + ranges, status, fields, body, size, how)
once("unchanged", "GET /http/range", 'If-None-Match: "first"')

# What is compressed stays so.
once("gzip", "GET /http/gzip", "Accept-Encoding: gzip, br")

# An answer that breaks off must not look whole.
c = Connection()
c.send(request("GET /http/break/1000"))
try:
    show("broken", c.answer())
except (EOFError, OSError) as error:
    show("broken", "not whole")

# Body and answer at the same time.
c = Connection()
c.send(request("POST /echo", "Transfer-Encoding: chunked"))
c.send("4\r\nping\r\n")
status, fields = c.line(), c.fields()
first = c.chunk()
c.send("4\r\npong\r\n")
second = c.chunk()
c.send("0\r\n\r\n")
show("duplex", status, first, second, c.chunk())

# The client ends its direction and still gets its answer.
c = Connection()
c.send(request("GET /http/seen", "Connection: close"))
if scheme == "http":
    c.socket.shutdown(socket.SHUT_WR)
show("half closed", c.answer())
