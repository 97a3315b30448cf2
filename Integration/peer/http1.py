# SPDX-License-Identifier: MIT
# HTTP/1 messages as the tests see them: heads byte for byte, bodies by their framing, trailers, interim responses.
# Deliberately strict and small; reads from a Wire.

from dataclasses import dataclass, field

from .wire import Ended


class Malformed(Exception):
    """The other side sent something that is not HTTP/1.1 as RFC 9112 has it."""


@dataclass
class Head:
    """A message head: its first line, its fields in order as they were spelt, and its raw bytes."""

    start: bytes
    fields: list
    raw: bytes

    def all(self, name):
        name = name.lower().encode() if isinstance(name, str) else name.lower()
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name):
        """The only value of a field, None where there is none."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} more than once: {values}"
        return values[0] if values else None

    @property
    def method(self):
        return self.start.split(b" ")[0]

    @property
    def target(self):
        return self.start.split(b" ")[1]

    @property
    def status(self):
        return int(self.start.split(b" ", 2)[1])


@dataclass
class Message:
    """A head with its body and trailers; for a response also the interim (1xx) heads before it."""

    head: Head
    body: bytes = b""
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)
    chunks: list = field(default_factory=list)

    @property
    def status(self):
        return self.head.status

    def get(self, name):
        return self.head.get(name)


def parse_head(raw):
    lines = raw[:-4].split(b"\r\n")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or b"\n" in line or b"\r" in line:
            raise Malformed(f"field line {line!r}")
        fields.append((name, value.strip(b" \t")))
    return Head(lines[0], fields, raw)


def read_head(wire):
    return parse_head(wire.read_until(b"\r\n\r\n"))


def read_chunk(wire):
    """One chunk's bytes; b"" is the last."""
    line = wire.read_until(b"\r\n")[:-2]
    size = int(line.split(b";")[0], 16)
    data = wire.read_exact(size) if size else b""
    if size and wire.read_exact(2) != b"\r\n":
        raise Malformed("no CRLF behind a chunk")
    return data


def read_trailers(wire):
    trailers = []
    while (line := wire.read_until(b"\r\n")) != b"\r\n":
        name, _, value = line[:-2].partition(b":")
        trailers.append((name, value.strip()))
    return trailers


def read_chunked(wire, message):
    while data := read_chunk(wire):
        message.chunks.append(data)
    message.trailers = read_trailers(wire)
    message.body = b"".join(message.chunks)


def read_request_body(wire, head):
    message = Message(head)
    if (head.get("transfer-encoding") or b"").lower() == b"chunked":
        read_chunked(wire, message)
    elif (length := head.get("content-length")) is not None:
        message.body = wire.read_exact(int(length))
    return message


def read_response_body(wire, head, method):
    message = Message(head)
    if method == "HEAD" or head.status in (204, 304) or head.status < 200:
        return message
    if (head.get("transfer-encoding") or b"").lower() == b"chunked":
        read_chunked(wire, message)
    elif (length := head.get("content-length")) is not None:
        message.body = wire.read_exact(int(length))
    else:
        message.body = wire.read_to_end()
        if wire.how != "end":
            raise Ended(message.body, wire.how)
    return message


def read_response(wire, method="GET"):
    """The final response with the interim ones before it. A 101 is final."""
    interim = []
    while True:
        head = read_head(wire)
        if not head.start.startswith(b"HTTP/1."):
            raise Malformed(f"status line {head.start!r}")
        if head.status >= 200 or head.status == 101:
            break
        interim.append(head)
    message = read_response_body(wire, head, method)
    message.interim = interim
    return message


def encode(value):
    return value.encode() if isinstance(value, str) else value


def head_bytes(start, fields):
    """A head from its first line and (name, value) pairs."""
    lines = [encode(start)] + [encode(name) + b": " + encode(value) for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunked(*parts, trailers=()):
    """The chunked coding of the parts, one chunk each."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    tail = b"".join(encode(name) + b": " + encode(value) + b"\r\n" for name, value in trailers)
    return out + b"0\r\n" + tail + b"\r\n"
