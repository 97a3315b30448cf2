#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Steady TCP connections to an echo until SIGTERM: each sends the next number at intervals and expects all of them back in order.
# One that is cut connects again. Writes a line for each connection: start, end (seconds of the monotonic clock), stream, longest
# wait for an echo, numbers sent, numbers back, how it ended ("alive" at the end of the run). And "first" for each first echo.

import argparse
import signal
import socket
import struct
import threading
import time

from lines import Lines

TIMEOUT = 60.0  # longer than any fault: a silent stream is a stalled one, not a cut one


class Talk:
    """One connection of a stream."""

    def __init__(self, addr, interval):
        self.interval = interval
        self.start = time.monotonic()
        self.sent = self.back = 0
        self.longest = 0.0
        self.sock = socket.create_connection(addr, timeout=TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self, stop, out):
        """How it ended."""
        try:
            while not stop.wait(self.interval):
                how = self.step()
                if how:
                    return how
                if self.back == 1:
                    out.write("first\n")
            return "alive"
        except TimeoutError:
            return "silent"
        except OSError as error:
            return type(error).__name__
        finally:
            self.sock.close()

    def step(self):
        asked = time.monotonic()
        self.sock.sendall(struct.pack(">Q", self.sent))
        self.sent += 1
        answer = b""
        while len(answer) < 8:
            part = self.sock.recv(8 - len(answer))
            if not part:
                return "closed"
            answer += part
        if struct.unpack(">Q", answer)[0] != self.back:
            return "wrong"
        self.back += 1
        self.longest = max(self.longest, time.monotonic() - asked)
        return None


def stream(options, number, stop, out):
    addr = (options.host, options.port)
    while not stop.is_set():
        start = time.monotonic()
        try:
            talk = Talk(addr, options.interval)
        except OSError as error:
            out.write(f"{start:.6f} {time.monotonic():.6f} {number} 0 0 0 dial-{type(error).__name__}\n")
            stop.wait(0.1)
            continue
        how = talk.run(stop, out)
        out.write(f"{talk.start:.6f} {time.monotonic():.6f} {number} {talk.longest:.6f} {talk.sent} {talk.back} {how}\n")
        stop.wait(0.02)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("out", help="where to write what became of each connection")
    parser.add_argument("--streams", type=int, default=6)
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between two numbers")
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with open(options.out, "w", buffering=1) as file:
        out = Lines(file)
        threads = [threading.Thread(target=stream, args=(options, number, stop, out), daemon=True) for number in range(options.streams)]
        [thread.start() for thread in threads]
        while not stop.wait(0.2):
            pass
        deadline = time.monotonic() + 5
        [thread.join(max(0.0, deadline - time.monotonic())) for thread in threads]


main()
