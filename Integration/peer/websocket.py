# SPDX-License-Identifier: MIT
# RFC 6455 by hand on a Wire, so that tests can send every frame, right or wrong, and see every byte.
# Messages' payloads are handed out as one byte stream. One reader thread; sends are locked.

import base64
import hashlib
import os
import struct
import threading

from . import http1
from .wire import Ended, Wire, connect

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The upgrade was answered with something other than 101; `message` is the response."""

    def __init__(self, message):
        super().__init__(f"{message.head.start!r} {message.body!r}")
        self.message = message
        self.status = message.status


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def apply_mask(data, key):
    if not data:
        return b""
    length = len(data)
    mask = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")


def frame(opcode, payload=b"", fin=True, mask=None, reserved=0):
    """One frame's bytes; `mask` is the four key bytes or None."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    bit, size = 0x80 if mask else 0, len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + (mask + apply_mask(payload, mask) if mask else payload)


class WebSocket:
    """An open WebSocket. `client` masks what it sends and wants unmasked frames, the server the other way round."""

    def __init__(self, wire, client, head=None):
        self.wire = wire
        self.wire.dresses = False
        self.client = client
        self.head = head
        self.lock = threading.Lock()
        self.closed_with = None
        self.pongs = []

    @classmethod
    def dial(cls, addr, path, headers=(), timeout=10.0, host=None, source=None):
        """Opens one as a client, from an address of its own where there is one; raises Refused for another answer than 101."""
        wire = Wire(connect(addr, timeout, source), keep=False)
        key = base64.b64encode(os.urandom(16))
        fields = [("Host", host or addr), ("Connection", "Upgrade"), ("Upgrade", "websocket"),
                  ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key), *headers]
        wire.send(http1.head_bytes(f"GET {path} HTTP/1.1", fields))
        message = http1.read_response(wire)
        if message.status != 101:
            wire.close()
            raise Refused(message)
        assert message.get("sec-websocket-accept") == accept_key(key), message.head.raw
        assert message.get("upgrade").lower() == b"websocket", message.head.raw
        wire.settimeout(None)
        return cls(wire, True, message.head)

    @classmethod
    def accept(cls, wire, headers=(), head=None):
        """Answers an upgrade as a server; `head` is the request's, where it was read already."""
        head = head or http1.read_head(wire)
        assert head.get("upgrade").lower() == b"websocket", head.raw
        assert b"upgrade" in head.get("connection").lower(), head.raw
        assert head.get("sec-websocket-version") == b"13", head.raw
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                  ("Sec-WebSocket-Accept", accept_key(head.get("sec-websocket-key"))), *headers]
        wire.send(http1.head_bytes("HTTP/1.1 101 Switching Protocols", fields))
        return cls(wire, False, head)

    def send_frame(self, opcode, payload=b"", fin=True, masked=None, reserved=0):
        masked = self.client if masked is None else masked
        data = frame(opcode, payload, fin, os.urandom(4) if masked else None, reserved)
        with self.lock:
            self.wire.send(data)

    def send(self, payload):
        self.send_frame(BINARY, payload)

    def send_raw(self, data):
        with self.lock:
            self.wire.send(data)

    def read_frame(self):
        """(opcode, fin, payload) of the next frame, of any kind."""
        first, second = self.wire.read_exact(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(self.wire.read_exact(2 if size == 126 else 8), "big")
        assert bool(second & 0x80) != self.client, "a client masks its frames, a server does not"
        key = self.wire.read_exact(4) if second & 0x80 else None
        payload = self.wire.read_exact(size)
        return first & 15, bool(first & 0x80), apply_mask(payload, key) if key else payload

    def recv(self):
        """The next payload of a binary message; None at a close frame or the end. Answers pings and the close."""
        while True:
            try:
                opcode, _, payload = self.read_frame()
            except (Ended, OSError):
                return None
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == PONG:
                self.pongs.append(payload)
            elif opcode == CLOSE:
                self.answer_close(payload)
                return None
            else:
                assert opcode in (BINARY, 0), f"opcode {opcode} in a stream of binary messages"
                return payload

    def answer_close(self, payload):
        if self.closed_with is None:
            self.closed_with = payload
            try:
                self.send_frame(CLOSE, payload[:2])
            except OSError:
                pass

    def send_close(self, code=1000):
        self.closed_with = struct.pack("!H", code)
        self.send_frame(CLOSE, self.closed_with)

    def reset(self):
        self.wire.reset()

    def close(self):
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
