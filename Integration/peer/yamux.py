# SPDX-License-Identifier: MIT
# yamux version 0 from its specification: frames as values, a session on a WebSocket, its streams.
# A reader thread takes frames; streams block. Everything the other side does against the specification is noted in
# `violations`. Hostile scripts use `manual` (nothing but pings is answered by itself), `deaf` (not even those) and `send_frame`.

import struct
import threading
from collections import namedtuple

DATA, WINDOW, PING, GO_AWAY = 0, 1, 2, 3
SYN, ACK, FIN, RST = 1, 2, 4, 8
INITIAL = 256 * 1024

Frame = namedtuple("Frame", "type flags stream length body")


class StreamReset(ConnectionResetError):
    """The other side reset the stream, or its session is gone."""


def encode(type, flags, stream, length=None, body=b""):
    return struct.pack("!BBHII", 0, type, flags, stream, len(body) if length is None else length) + body


def decode(buffer):
    """The first frame of a bytearray and its size; None while more is needed."""
    if len(buffer) < 12:
        return None
    version, type, flags, stream, length = struct.unpack_from("!BBHII", buffer)
    if version != 0 or type > GO_AWAY:
        raise ValueError(f"not yamux: {bytes(buffer[:12]).hex()}")
    size = 12 + (length if type == DATA else 0)
    if len(buffer) < size:
        return None
    return Frame(type, flags, stream, length, bytes(buffer[12:size])), size


class Session:
    """`opener`: 2 where this end opens with even ids (a server node), 1 for odd. on_stream(stream) runs on a thread of its own."""

    def __init__(self, ws, opener, on_stream=None, manual=False, window=INITIAL, grants=True):
        self.ws = ws
        self.next_id = opener
        self.own_parity = opener % 2
        self.on_stream = on_stream
        self.manual = manual
        self.deaf = False
        self.window = window
        self.grants = grants
        self.streams = {}
        self.forgotten = set()
        self.frames = []
        self.violations = []
        self.going_away = None
        self.over = False
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    # what the other side sends

    def read(self):
        buffer = bytearray()
        try:
            while (payload := self.ws.recv()) is not None:
                buffer += payload
                while item := decode(buffer):
                    del buffer[: item[1]]
                    self.take(item[0])
        except Exception as error:
            self.violations.append(repr(error))
        with self.changed:
            self.over = True
            for stream in self.streams.values():
                stream.broken = True
            self.changed.notify_all()

    def take(self, frame):
        with self.changed:
            self.frames.append(frame._replace(body=b""))
            if frame.type in (DATA, WINDOW):
                self.take_stream(frame)
            elif frame.type == GO_AWAY:
                self.going_away = frame.length
            self.changed.notify_all()
        if frame.type == PING and frame.flags & SYN and not self.deaf:
            self.send_frame(PING, ACK, 0, frame.length)

    def take_stream(self, frame):
        if frame.flags & SYN:
            self.take_open(frame)
        stream = self.streams.get(frame.stream)
        if stream is not None:
            stream.take(frame)
        elif frame.stream not in self.forgotten and not frame.flags & RST:
            self.violations.append(f"frame for a stream that never was: {frame}")

    def take_open(self, frame):
        if frame.stream in self.streams or frame.stream in self.forgotten:
            self.violations.append(f"stream id used twice: {frame}")
        if frame.stream % 2 == self.own_parity or frame.stream == 0:
            self.violations.append(f"stream id of the wrong side: {frame}")
        stream = Stream(self, frame.stream)
        self.streams[frame.stream] = stream
        if self.on_stream:
            threading.Thread(target=self.run, args=(stream,), daemon=True).start()

    def run(self, stream):
        try:
            if not self.manual:
                stream.acknowledge()
            self.on_stream(stream)
        except (OSError, EOFError):
            pass

    # what this side sends

    def send_frame(self, type, flags, stream, length=None, body=b""):
        self.ws.send(encode(type, flags, stream, length, body))

    def open(self):
        with self.changed:
            stream = Stream(self, self.next_id)
            self.next_id += 2
            self.streams[stream.id] = stream
        self.send_frame(WINDOW, SYN, stream.id, self.window - INITIAL)
        return stream

    def ping(self, value=7, timeout=10.0):
        self.send_frame(PING, SYN, 0, value)
        self.wait(lambda: any(f.type == PING and f.flags & ACK and f.length == value for f in self.frames), timeout)

    def go_away(self, code=0):
        self.send_frame(GO_AWAY, 0, 0, code)

    def wait(self, condition, timeout=10.0):
        """Waits until the condition holds; it is looked at after each frame."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), f"not within {timeout} s; last frames {self.frames[-5:]}"

    def wait_over(self, timeout=10.0):
        self.wait(lambda: self.over, timeout)

    def forget(self, stream):
        self.streams.pop(stream.id, None)
        self.forgotten.add(stream.id)

    def close(self):
        self.ws.close()


class Stream:
    """Has the shape of a blocking socket: recv, sendall, settimeout, shutdown, close."""

    def __init__(self, session, id):
        self.session = session
        self.id = id
        self.data = bytearray()
        self.received = 0
        self.send_window = INITIAL
        self.receive_window = session.window
        self.accepted = False
        self.ended = False
        self.shut = False
        self.broken = False
        self.timeout = 10.0

    def take(self, frame):
        if frame.flags & ACK:
            self.accepted = True
        if frame.type == WINDOW:
            self.send_window += frame.length
        elif frame.body:
            self.take_data(frame)
        if frame.flags & FIN:
            self.ended = True
        if frame.flags & RST:
            self.broken = True
        if self.broken or (self.ended and self.shut):
            self.session.forget(self)

    def take_data(self, frame):
        if self.ended:
            self.session.violations.append(f"data behind FIN: {frame.stream}")
        self.receive_window -= frame.length
        if self.receive_window < 0:
            self.session.violations.append(f"window overrun on stream {frame.stream} by {-self.receive_window}")
        self.received += frame.length
        self.data += frame.body

    def acknowledge(self):
        """Accepts the stream, with the larger window where the session has one."""
        self.session.send_frame(WINDOW, ACK, self.id, max(0, self.session.window - INITIAL))

    def settimeout(self, seconds):
        self.timeout = seconds

    def setsockopt(self, *_):
        pass

    def wait(self, condition):
        if not self.session.changed.wait_for(condition, self.timeout):
            raise TimeoutError(f"yamux stream {self.id}: nothing within {self.timeout} s")

    def recv(self, count=65536):
        with self.session.changed:
            self.wait(lambda: self.data or self.ended or self.broken)
            if not self.data and self.broken and not self.ended:
                raise StreamReset(f"stream {self.id}")
            data = bytes(self.data[:count])
            del self.data[:count]
            grant = 0 if self.ended or self.broken or not self.session.grants else len(data)
            self.receive_window += grant
        if grant:
            self.session.send_frame(WINDOW, 0, self.id, grant)
        return data

    def sendall(self, data):
        at = 0
        while at < len(data):
            with self.session.changed:
                self.wait(lambda: self.send_window > 0 or self.broken)
                if self.broken:
                    raise StreamReset(f"stream {self.id}")
                count = min(len(data) - at, self.send_window, 32768)
                self.send_window -= count
            self.session.send_frame(DATA, 0, self.id, body=bytes(data[at : at + count]))
            at += count

    def shutdown(self, how=1):
        with self.session.changed:
            if self.shut or self.broken:
                return
            self.shut = True
            if self.ended:
                self.session.forget(self)
        self.session.send_frame(WINDOW, FIN, self.id, 0)

    def reset(self):
        self.session.send_frame(WINDOW, RST, self.id, 0)
        with self.session.changed:
            self.broken = True
            self.session.forget(self)
            self.session.changed.notify_all()

    def close(self):
        try:
            self.shutdown()
        except OSError:
            pass
