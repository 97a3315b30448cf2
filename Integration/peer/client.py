# SPDX-License-Identifier: MIT
# A raw HTTP/1 client: sends exactly the bytes it is told, reads responses by their framing, sees how a connection ends.
# One connection, one thread.

from . import http1
from .wire import Wire, connect


class Client:
    """One connection to the proxy port (or to any HTTP server)."""

    def __init__(self, addr, timeout=10.0, source=None):
        self.addr = addr
        self.wire = Wire(connect(addr, timeout, source), keep=False)

    def send(self, data):
        self.wire.send(data)

    def request(self, endpoint, target="/", method="GET", headers=(), body=None, version="1.1", host=None):
        """Sends one request. A list as body goes chunked, one chunk each; bytes go with Content-Length."""
        fields = [("Host", host or f"{endpoint}.example.com"), ("X-Piko-Endpoint", endpoint), *headers]
        if isinstance(body, list):
            fields.append(("Transfer-Encoding", "chunked"))
        elif body is not None:
            fields.append(("Content-Length", str(len(body))))
        self.send(http1.head_bytes(f"{method} {target} HTTP/{version}", fields))
        if isinstance(body, list):
            self.send(http1.chunked(*body))
        elif body:
            self.send(body)
        return self

    def response(self, method="GET"):
        return http1.read_response(self.wire, method)

    def head(self):
        return http1.read_head(self.wire)

    def ends(self):
        """Waits for the end of the connection, "end" or "reset"; more bytes are an assertion error."""
        return self.wire.ends()

    def close(self):
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def fetch(addr, endpoint, target="/", method="GET", headers=(), body=None, timeout=10.0, source=None):
    """One request on a connection of its own; `source`: the client's address."""
    with Client(addr, timeout, source) as client:
        return client.request(endpoint, target, method, headers, body).response(method)
