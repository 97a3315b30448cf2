# SPDX-License-Identifier: MIT
# The service behind an agent, scripted by a test: records exactly what arrives and answers with exactly what it is told.
# One thread accepts, one runs each connection. The handler is looked up for each request, because an agent keeps
# connections across tests.

import queue
import socket
import threading

from . import http1
from .wire import Ended, Wire, spell


class Connection(Wire):
    """One connection at the service's side; also wraps a yamux stream, which has the same shape."""

    def __init__(self, sock, service=None, keep=True):
        super().__init__(sock, keep)
        self.dresses = False
        self.service = service
        self.open = True
        self.method = "GET"

    def read_body(self, head):
        return http1.read_request_body(self, head)

    def reply(self, status=200, body=b"", headers=(), reason="Whatever"):
        fields = list(headers)
        if status not in (204, 304) and not any(name.lower() == "content-length" for name, _ in fields):
            fields.append(("Content-Length", str(len(body))))
        data = http1.head_bytes(f"HTTP/1.1 {status} {reason}", fields)
        self.send(data + (b"" if self.method == "HEAD" or status in (204, 304) else body))

    def close(self):
        self.open = False
        super().close()

    def reset(self):
        self.open = False
        super().reset()


def reply(status=200, body=b"hello", headers=()):
    """A handler that takes the whole request and answers."""

    def handler(conn, head):
        conn.service.requests.put(conn.read_body(head))
        conn.reply(status, body, headers)

    return handler


def script(data, close=True, half=False):
    """A handler that takes the whole request, answers with these very bytes, and by default closes."""

    def handler(conn, head):
        conn.service.requests.put(conn.read_body(head))
        conn.send(data)
        if half:
            conn.shut()
        elif close:
            conn.close()

    return handler


def echo(conn, head):
    """Answers with the request's body."""
    message = conn.read_body(head)
    conn.service.requests.put(message)
    conn.reply(200, message.body)


class Script:
    """What a service does: `handler(conn, head)` for each request; with raw=True `handler(conn)` for each connection."""

    record = True

    def __init__(self, handler=None, raw=False):
        self.raw = raw
        self.errors = []
        self.fresh(handler or reply())

    def fresh(self, handler):
        """A new script, and nothing recorded yet."""
        self.handler = handler
        self.errors.clear()
        self.requests, self.accepted, self.ended = queue.Queue(), queue.Queue(), queue.Queue()
        return self

    def run(self, conn):
        """One connection from its first byte to its end."""
        if self.record:
            self.accepted.put(conn)
        try:
            self.serve(conn)
        except (Ended, OSError):
            pass
        except Exception as error:  # a script that broke is the test's mistake: kept for the end of the test
            self.errors.append(error)
        finally:
            conn.close()
            if self.record:
                self.ended.put(conn)

    def serve(self, conn):
        if self.raw:
            return self.handler(conn)
        while conn.open:
            head = http1.read_head(conn)
            conn.method = head.method.decode("latin-1")
            self.handler(conn, head)

    def request(self, timeout=10.0):
        """The next recorded request."""
        return self.requests.get(timeout=timeout)


class Service(Script):
    """Listens on a port of its own. With record=False it forgets what arrived and who came: for hours of traffic."""

    def __init__(self, handler=None, raw=False, host="127.0.0.1", port=0, backlog=512, record=True):
        super().__init__(handler, raw)
        self.record = record
        self.count = 0
        self.live = set()
        self.lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(backlog)
        self.addr = spell(*self.listener.getsockname()[:2])
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.run, args=(Connection(sock, self, self.record),), daemon=True).start()

    def run(self, conn):
        with self.lock:
            self.count += 1
            self.live.add(conn)
        super().run(conn)
        with self.lock:
            self.live.discard(conn)

    def drop(self):
        """Closes the connections that are open; goes on listening."""
        with self.lock:
            live = list(self.live)
        for conn in live:
            conn.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
