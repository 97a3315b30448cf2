# SPDX-License-Identifier: MIT
# A stand-in for a server node's upstream port: accepts agents, opens streams to them.
# Each accepted tunnel is a Session in `tunnels`; `accept` can be replaced to answer the upgrade in another way.

import queue
import socket
import threading

from . import http1
from .wire import Ended, Wire, spell
from .websocket import WebSocket
from .yamux import INITIAL, Session


class FakeServer:
    """Listens for agents. `upgrade(wire)` gives the WebSocket of a connection, or None where it dealt with it itself."""

    def __init__(self, host="127.0.0.1", upgrade=WebSocket.accept, manual=False, window=INITIAL, grants=True):
        self.upgrade = upgrade
        self.options = {"manual": manual, "window": window, "grants": grants}
        self.tunnels = queue.Queue()
        self.dials = 0
        self.sockets = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, 0))
        self.listener.listen(64)
        self.addr = spell(*self.listener.getsockname()[:2])
        self.url = f"http://{self.addr}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.dials += 1
            self.sockets.append(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.greet, args=(Wire(sock, keep=False),), daemon=True).start()

    def greet(self, wire):
        wire.dresses = False
        try:
            if ws := self.upgrade(wire):
                self.tunnels.put(Session(ws, 2, **self.options))
        except (Ended, OSError, ValueError):  # closed under it, too
            wire.close()

    def tunnel(self, timeout=10.0):
        """The next agent's session."""
        return self.tunnels.get(timeout=timeout)

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for sock in self.sockets:
            Wire(sock).close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask(stream, endpoint="web", target="/", method="GET", headers=(), body=None):
    """Sends one HTTP request down a stream, as a node does, and gives the response."""
    wire = Wire(stream, keep=False)
    fields = [("Host", f"{endpoint}.example.com"), ("X-Forwarded-For", "127.0.0.1"), ("X-Piko-Forward", "true"), *headers]
    if body is not None:
        fields.append(("Content-Length", str(len(body))))
    wire.send(http1.head_bytes(f"{method} {target} HTTP/1.1", fields) + (body or b""))
    return http1.read_response(wire, method)
