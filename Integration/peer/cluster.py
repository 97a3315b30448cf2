# SPDX-License-Identifier: MIT
# Several scripted nodes behind one address, as behind a load balancer: each dial goes to the next node in turn.
# What a node answers can be changed at any time; who dialled, and with what, is remembered.

import itertools
import queue
import threading

from . import http1
from .server import FakeServer
from .websocket import WebSocket
from .yamux import Session


class FakeCluster(FakeServer):
    """`names`: the nodes; None is an original one, which does not name itself. `tunnels` of FakeServer stays empty: see `tunnel`."""

    def __init__(self, *names, nodes=None):
        self.names = list(names)
        self.nodes = nodes or len(names)
        self.status = {}
        self.turn = itertools.count()
        self.heads = []
        self.answers = []
        self.opened = {name: queue.Queue() for name in names}
        self.lock = threading.Lock()
        super().__init__(upgrade=self.answer)

    def refuse(self, name, status=None, text=""):
        """From now on the node answers so; None: it accepts again."""
        self.status[name] = (status, text) if status else None

    def answer(self, wire):
        head = http1.read_head(wire)
        with self.lock:
            name = self.names[next(self.turn) % len(self.names)]
            status = self.refusal(name, head)
            self.heads.append(head)
            self.answers.append((name, status[0] if status else 101))
        named = [("x-piko-node", name), ("x-piko-nodes", str(self.nodes))] if name else []
        if status:
            body = b'{"error":"%s"}' % status[1].encode()
            wire.send(http1.head_bytes(f"HTTP/1.1 {status[0]} No", [("Content-Length", str(len(body))), *named]) + body)
            return wire.close()
        self.opened[name].put(Session(WebSocket.accept(wire, named, head), 2))

    def refusal(self, name, head):
        connected = (head.get("x-piko-connected") or b"").decode().split(",")
        return self.status.get(name) or ((409, "already connected") if name in connected else None)

    def tunnel(self, name, timeout=10.0):
        """The next session of this node."""
        return self.opened[name].get(timeout=timeout)

    def accepted(self, name):
        return self.answers.count((name, 101))
