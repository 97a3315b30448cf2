# SPDX-License-Identifier: MIT
# Stands in front of a node's proxy port, as its advertised address: passes bytes on, and can tell the session of another node from its plain
# connections: refuse it as a node does that knows no sessions, or cut it. Where nodes speak TLS it ends theirs and speaks its own.

import contextlib
import socket
import threading

from peer.tls import TLSSocket
from peer.wire import Wire, address, connect

SESSION = b"GET /_piko/v1/node "
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\r\n404 page not found"


class Gate:
    """`addr`: advertise this; `behind`: the node's own address and `context`: that of its TLS, both set before anybody comes."""

    def __init__(self):
        self.context = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.behind = None
        self.speaks = True
        self.asked = 0
        self.sessions = []
        self.resumed = []  # for each handshake whether it was
        self.serials = []  # of the certificates that were shown, each handshake's
        self.plain = 0
        self.wires = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = Wire(self.listener.accept()[0], keep=False)
            except OSError:
                return
            self.wires.append(near)
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        try:
            if self.context:
                near.sock = TLSSocket(near.sock, self.context, server=True)
                self.resumed.append(near.sock.tls.session_reused)
                if shown := near.sock.tls.getpeercert():
                    self.serials.append(shown["serialNumber"].lstrip("0"))
            first = near.read_some()
            if first.startswith(SESSION):
                self.asked += 1
                if not self.speaks:
                    near.send(NOT_FOUND)
                    return near.close()
            else:
                self.plain += 1
            far = Wire(connect(self.behind), keep=False)
            far.settimeout(None)
            self.wires.append(far)
            far.sock.sendall(first)
            if first.startswith(SESSION):
                self.sessions.append((near, far))
            threading.Thread(target=self.pass_on, args=(far, near), daemon=True).start()
            self.pass_on(near, far)
        except OSError:
            near.close()

    def pass_on(self, source, sink):
        try:
            while data := source.read_some():
                sink.sock.sendall(data)
            sink.shut() if source.how == "end" else sink.reset()
        except OSError:
            pass

    def say(self, payload):
        """Sends a WebSocket message of at most 125 bytes on each session, to the node that dialled it. Nothing else may be under way there."""
        for near, _ in self.sessions:
            near.send(b"\x82" + bytes([len(payload)]) + payload)

    def cut(self):
        """Resets the sessions, at both ends."""
        sessions, self.sessions = self.sessions, []
        for wire in (wire for session in sessions for wire in session):
            with contextlib.suppress(OSError):  # the thread that passes bytes on has seen the other's end and closed this one
                wire.reset()

    def drop(self):
        """Ends all that is open; goes on listening."""
        wires, self.wires = self.wires, []
        for wire in wires:
            wire.close()

    def close(self):
        self.listener.close()
        for wire in self.wires:
            wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def gated(piko, gate, *flags):
    """A front node, and a node of its cluster behind the gate."""
    gate.context = piko.armour.server_context if piko.armour else None
    front = piko.server()
    home = piko.server("--cluster.join", front.gossip, "--proxy.advertise-addr", gate.addr, *flags)
    gate.behind = home.proxy
    piko.until(front, lambda: front.active == 2)
    piko.until(home, lambda: home.active == 2)
    assert address(gate.addr) != address(home.proxy)
    return front, home
