#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Steady HTTP load until SIGTERM: each worker is one client that sends a request, waits for the answer and checks it. A quarter
# of them each: GET or POST, on one kept connection or a fresh one for each. Writes a line for each request: start, end (seconds
# of the monotonic clock), worker, kind, outcome ("ok", or why not). Bounded by workers × rate; nothing is sent a second time.

import argparse
import random
import signal
import socket
import sys
import threading
import time

from lines import Lines

TIMEOUT = 10.0
KINDS = ["get-kept", "post-kept", "get-fresh", "post-fresh"]


class Failed(Exception):
    """Why a request has no right answer."""


class Connection:
    """One connection; `used` counts its finished requests."""

    def __init__(self, addr):
        try:
            self.sock = socket.create_connection(addr, timeout=TIMEOUT)
        except TimeoutError:
            raise Failed("dial-timeout")
        except OSError as error:
            raise Failed(f"dial-{type(error).__name__}")
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.used = 0

    def is_over(self):
        """Whether the other side has ended the idle connection: every client looks before it sends."""
        self.sock.setblocking(False)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.sock.settimeout(TIMEOUT)

    def exchange(self, request):
        """Status, head and body of the answer."""
        data = b""
        try:
            self.sock.sendall(request)
            while b"\r\n\r\n" not in data:
                data += self.more(data)
            head, _, body = data.partition(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
            if length is None:
                raise Failed("no-length")
            while len(body) < length:
                body += self.more(data)
        except TimeoutError:
            raise Failed("timeout-inside" if data else "timeout")
        except OSError as error:
            raise Failed(f"{type(error).__name__}{self.stage(data)}")
        self.used += 1
        return head[9:12].decode(), head.lower(), body

    def more(self, data):
        if part := self.sock.recv(65536):
            return part
        raise Failed(f"closed{self.stage(data)}")

    def stage(self, data):
        return "-inside" if data else "-reused" if self.used else "-first"


class Worker:
    def __init__(self, options, number, out):
        self.addr = (options.host, options.port)
        self.endpoint = options.endpoint
        self.token = f"x-piko-authorization: Bearer {options.token}\r\n" if options.token else ""
        self.interval = 1 / options.rate
        self.kind = KINDS[number % len(KINDS)]
        self.number = number
        self.out = out
        self.rng = random.Random(options.seed * 1000 + number)
        self.sent = 0
        self.connection = None

    def run(self, stop):
        due = time.monotonic() + self.rng.random() * self.interval
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + self.interval * self.rng.uniform(0.5, 1.5)
            start = time.monotonic()
            try:
                outcome = self.ask()
            except Failed as failure:
                outcome = str(failure)
                self.drop()
            self.out.write(f"{start:.6f} {time.monotonic():.6f} {self.number} {self.kind} {outcome}\n")
        self.drop()

    def ask(self):
        name = f"{self.number}-{self.sent}"
        self.sent += 1
        if self.connection and ("fresh" in self.kind or self.connection.is_over()):
            self.drop()
        if not self.connection:
            self.connection = Connection(self.addr)
        status, head, body = self.connection.exchange(self.request(name))
        if b"connection: close" in head:
            self.drop()
        if status != "200":
            return f"{status}:{'_'.join(body[:60].decode(errors='replace').split())}"
        return "ok" if body == name.encode() else "wrong"

    def request(self, name):
        method = self.kind.partition("-")[0].upper()
        path = "/slow" if self.rng.random() < 0.05 else "/"
        body = f"{name} {'b' * self.rng.randrange(2000)}" if method == "POST" else ""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        return f"{method} {path} HTTP/1.1\r\nHost: a\r\nx-piko-endpoint: {self.endpoint}\r\nx-id: {name}\r\n{self.token}{length}\r\n{body}".encode()

    def drop(self):
        if self.connection:
            self.connection.sock.close()
            self.connection = None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("endpoint")
    parser.add_argument("out", help="where to write what became of each request")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--rate", type=float, default=40, help="requests a second of each worker, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--token", default="", help="what each request carries to be let in")
    options = parser.parse_args()
    sys.setswitchinterval(0.001)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with open(options.out, "w", buffering=1) as file:
        out = Lines(file)
        threads = [threading.Thread(target=Worker(options, number, out).run, args=(stop,)) for number in range(options.workers)]
        [thread.start() for thread in threads]
        while not stop.wait(0.2):
            pass
        [thread.join(2 * TIMEOUT) for thread in threads]


main()
