# SPDX-License-Identifier: MIT
# A buffered reader over anything with recv and sendall (a socket, a yamux stream).
# Keeps every byte that it received; says how a stream ended: cleanly, by reset, or too early for what was asked.

import re
import socket
import struct

from . import tls


# What is added to each request head that leaves, behind the endpoint's line or else the host's; None: nothing.
line_behind_endpoint = None
LINES = [re.compile(rb"(?i)(?<=\n)%s:[^\r\n]*\r\n" % name) for name in (b"x-piko-endpoint", b"host")]


def dressed(data):
    """The bytes of requests with what is to be added to them."""
    line = next((line for line in LINES if line.search(data)), None) if line_behind_endpoint else None
    return line.sub(lambda found: found.group() + line_behind_endpoint, data) if line else data


class Ended(Exception):
    """The stream ended before what was asked for had arrived. `got` is what had."""

    def __init__(self, got, how):
        super().__init__(f"stream ended ({how}) after {len(got)} bytes: {got[-80:]!r}")
        self.got = got
        self.how = how


def address(text):
    """"127.0.0.1:80" or "[::1]:80" as the pair that sockets want."""
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def spell(host, port):
    """The pair as text, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connect(addr, timeout=10.0, source=None):
    """A connection to "host:port", from an own address where one is given; with TLS where that port is known to speak it."""
    sock = socket.create_connection(address(addr), timeout, source and (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = tls.trusted.get(addr)
    return tls.TLSSocket(sock, context, address(addr)[0]) if context else sock


class Wire:
    """Reads and writes a stream; `received` is every byte so far, in order."""

    def __init__(self, sock, keep=True):
        self.sock = sock
        self.buffer = bytearray()
        self.received = bytearray()
        self.keep = keep
        self.how = None
        # Off for frames, whose lengths it would break, and for whoever answers.
        self.dresses = True

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def send(self, data):
        self.sock.sendall(dressed(data) if self.dresses else data)

    def fill(self):
        """Reads once; False at the end of the stream, `how` then says "end" or "reset"."""
        if self.how:
            return False
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            self.how = "reset"
            return False
        if not data:
            self.how = "end"
            return False
        self.buffer += data
        if self.keep:
            self.received += data
        return True

    def take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_exact(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Ended(bytes(self.buffer), self.how)
        return self.take(count)

    def read_until(self, mark):
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark) + 1)
            if not self.fill():
                raise Ended(bytes(self.buffer), self.how)
        return self.take(at + len(mark))

    def read_some(self):
        """At least one byte, or b"" at the end, clean or not (see `how`)."""
        if not self.buffer:
            self.fill()
        return self.take(len(self.buffer))

    def read_to_end(self):
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def ends(self):
        """Waits for the end and gives how it ended; bytes before it are an assertion error."""
        rest = self.read_to_end()
        assert rest == b"", f"bytes before the end of the stream: {rest[:200]!r}"
        return self.how

    def shut(self):
        """Half close: nothing more comes from us."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A thread of ours that reads would keep the socket open, and nothing would be sent; this wakes it and sends nothing.
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self.sock.close()

    def close(self):
        # shutdown wakes a thread of ours that reads the same socket; close alone would not.
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
