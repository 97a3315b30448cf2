# SPDX-License-Identifier: MIT
# A stand-in for an agent: dials a server node's upstream port, serves the streams that the node opens.
# Not the product's agent and not the original's; made from protocol.md.

from .service import Connection, Script
from .websocket import WebSocket
from .yamux import INITIAL, Session


def dial_tunnel(addr, endpoint, headers=(), timeout=10.0, prefix=""):
    """The WebSocket of a tunnel, without yamux on it yet."""
    return WebSocket.dial(addr, f"{prefix}/piko/v1/upstream/{endpoint}", headers, timeout)


class FakeAgent(Script):
    """An agent whose streams run a Script: requests for a handler(conn, head), bytes with raw=True. Without a handler nothing is served."""

    def __init__(self, addr, endpoint, handler=None, raw=False, window=INITIAL, manual=False, grants=True, headers=()):
        super().__init__(handler, raw)
        self.ws = dial_tunnel(addr, endpoint, headers)
        self.session = Session(self.ws, 1, self.serve_stream if handler else None, manual, window, grants)

    def serve_stream(self, stream):
        self.run(Connection(stream, self))

    def close(self):
        self.session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
