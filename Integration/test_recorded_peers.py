# SPDX-License-Identifier: MIT
# The original's recorded bytes as peers: our server serves the recorded agent and the recorded forward, our agent
# answers the recorded server. Their bytes are played exactly as they were, frame by frame.

import base64
import hashlib
import json
import pathlib
import queue
import re
import threading

import pytest

from harness.usage import eventually
from peer import http1, yamux
from peer.client import Client
from peer.server import FakeServer
from peer.service import Service
from peer.websocket import CLOSE, GUID, WebSocket
from peer.wire import Wire, connect
from peer.yamux import ACK, DATA, FIN, GO_AWAY, RST, SYN, WINDOW

VECTORS = json.loads((pathlib.Path(__file__).resolve().parents[1] / "Tests" / "vectors" / "tunnel.json").read_text())["conversations"]


def parts(name, side):
    return [bytes.fromhex(part["hex"]) for part in VECTORS[name] if part["from"] == side and "hex" in part]


def split(data):
    """The head and what follows it."""
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


class Frames:
    """The yamux frames that come out of a WebSocket."""

    def __init__(self, wire, client):
        self.ws = WebSocket(wire, client)
        self.buffer = bytearray()

    def next(self):
        while not (item := yamux.decode(self.buffer)):
            payload = self.ws.recv()
            assert payload is not None, "the tunnel ended"
            self.buffer += payload
        del self.buffer[: item[1]]
        return item[0]

    def until(self, condition):
        """Every frame up to the first for which the condition holds."""
        out = []
        while not out or not condition(out[-1]):
            out.append(self.next())
        return out


def data(frames):
    return b"".join(frame.body for frame in frames if frame.type == DATA)


def recorded_agent(node, name):
    """Plays the recorded agent's dial; gives the wire and what it has still to say."""
    dial, *rest = parts(name, "client")
    head, _ = split(dial)
    wire = Wire(connect(node.upstream))
    wire.send(head)
    answer = http1.read_head(wire)
    assert answer.status == 101
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", head).group(1)
    assert answer.get("sec-websocket-accept") == base64.b64encode(hashlib.sha1(key + GUID).digest())
    eventually(lambda: node.listeners({"agent-http": "web", "agent-tcp": "db"}[name]))
    return wire, rest


def recorded_answer_body(rest):
    """The body that the recorded agent answers with."""
    frames = Frames(Wire(Bytes(b"".join(rest))), client=False)
    return data(frames.until(lambda f: f.flags & FIN)).partition(b"\r\n\r\n")[2]


class Bytes:
    """A socket that plays bytes back."""

    def __init__(self, data):
        self.data = data

    def recv(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data


def test_our_server_serves_the_recorded_http_agent(piko):
    node = piko.server()
    wire, rest = recorded_agent(node, "agent-http")
    client = Client(node.proxy)
    client.send(b"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:28000\r\nX-Piko-Endpoint: web\r\nContent-Length: 5\r\n\r\nhello")
    frames = Frames(wire, client=True)
    request = frames.until(lambda f: b"hello" in f.body)
    assert request[0].stream == 2 and request[0].flags & SYN
    assert request[0].type in (WINDOW, DATA)
    assert data(request).startswith(b"POST /a?b=c HTTP/1.1\r\n") and data(request).endswith(b"\r\n\r\nhello")
    wire.send(b"".join(rest[:-1]))  # accept, answer, FIN
    message = client.response()
    assert message.status == 200 and message.body == recorded_answer_body(rest)
    frames.until(lambda f: f.flags & (FIN | RST))
    wire.send(rest[-1])  # go away
    assert client.request("web").response().status == 502  # not chosen again
    wire.close()


def test_our_server_serves_the_recorded_tcp_agent(piko):
    node = piko.server()
    wire, rest = recorded_agent(node, "agent-tcp")
    forwards = queue.Queue()
    threading.Thread(target=lambda: forwards.put(WebSocket.dial(node.proxy, "/_piko/v1/tcp/db")), daemon=True).start()
    frames = Frames(wire, client=True)
    opened = frames.next()
    assert opened.stream == 2 and opened.flags & SYN
    wire.send(rest[0])  # accept
    forward = forwards.get(timeout=10)
    forward.send(b"PING\n")
    frames.until(lambda f: f.body.endswith(b"PING\n"))
    wire.send(rest[1])
    assert forward.recv() == b"PONG\n"
    wire.send(rest[2])
    wire.close()
    forward.close()


def test_our_server_serves_the_recorded_forward(piko):
    with Service(raw=True, handler=lambda conn: (conn.read_exact(5), conn.send(b"PONG\n"), conn.close())) as service:
        node = piko.server()
        piko.agent("tcp", node, "db", service.addr)
        dial, ping = parts("forward", "client")
        wire = Wire(connect(node.proxy))
        wire.send(dial)
        answer = http1.read_head(wire)
        assert answer.status == 101
        wire.send(ping)
        expected = parts("forward", "server")[-1]
        assert wire.read_exact(len(expected)) == expected  # the same frame, byte for byte
        assert WebSocket(wire, client=True).read_frame()[0] == CLOSE  # no half close here: the service's end is the connection's
        wire.close()
        service.ended.get(timeout=5)


class RecordedServer:
    """Accepts one agent's dial as the recorded server does, and plays its frames."""

    def __init__(self, name):
        self.name = name
        self.dials = queue.Queue()
        self.server = FakeServer(upgrade=self.upgrade)

    def upgrade(self, wire):
        head = http1.read_head(wire)
        accept = base64.b64encode(hashlib.sha1(head.get("sec-websocket-key") + GUID).digest())
        answer, frames = split(parts(self.name, "server")[0])
        answer = re.sub(rb"Sec-WebSocket-Accept: \S+", b"Sec-WebSocket-Accept: " + accept, answer)
        wire.send(answer + frames)
        self.dials.put((head, wire))


@pytest.mark.parametrize("token", ["a-token", None])
def test_our_agent_dials_as_the_original_does(piko, token):
    piko.tokens = None  # the agent has this one, or none
    recorded = RecordedServer("agent-http")
    with recorded.server, Service() as service:
        piko.agent("http", recorded.server.url, "web", service.addr, *(["--connect.token", token] if token else []))
        head, wire = recorded.dials.get(timeout=10)
        assert head.start == b"GET /piko/v1/upstream/web HTTP/1.1"
        assert head.get("host") == recorded.server.addr.encode()
        assert head.get("sec-websocket-version") == b"13" and len(base64.b64decode(head.get("sec-websocket-key"))) == 16
        assert head.get("authorization") == (f"Bearer {token}".encode() if token else None)
        wire.close()


def test_our_agent_answers_the_recorded_server(piko):
    recorded = RecordedServer("agent-http")
    with recorded.server, Service() as service:
        piko.agent("http", recorded.server.url, "web", service.addr)
        _, wire = recorded.dials.get(timeout=10)
        frames = Frames(wire, client=False)
        answer = frames.until(lambda f: f.flags & (FIN | RST))
        assert answer[0].flags & ACK and answer[0].stream == 2
        assert not answer[-1].flags & RST
        assert data(answer).startswith(b"HTTP/1.1 200 ") and data(answer).endswith(b"hello")
        request = service.request()
        assert request.head.start == b"POST /a?b=c HTTP/1.1" and request.body == b"hello"
        assert request.get("host") == b"127.0.0.1:28000" and request.get("x-forwarded-for") == b"127.0.0.1"
        assert request.get("accept-encoding") == b"identity" and request.get("user-agent") == b"t"
        for more in parts("agent-http", "server")[1:]:  # FIN
            wire.send(more)
        wire.close()


def test_our_tcp_agent_answers_the_recorded_server(piko):
    recorded = RecordedServer("agent-tcp")
    with recorded.server, Service(raw=True, handler=lambda conn: (conn.read_exact(5), conn.send(b"PONG\n"), conn.read_to_end(), conn.close())) as service:
        piko.agent("tcp", recorded.server.url, "db", service.addr)
        _, wire = recorded.dials.get(timeout=10)
        wire.send(parts("agent-tcp", "server")[1])
        frames = Frames(wire, client=False)
        assert data(frames.until(lambda f: b"PONG\n" in f.body)) == b"PONG\n"
        wire.send(parts("agent-tcp", "server")[2])  # FIN
        assert frames.until(lambda f: f.flags & (FIN | RST))[-1].flags & FIN
        wire.close()


def test_our_agent_says_go_away_when_it_stops(piko):
    with FakeServer() as server, Service() as service:
        agent = piko.agent("http", server.url, "web", service.addr)
        session = server.tunnel()
        session.ping()
        agent.stop()
        assert session.going_away == 0 and session.violations == []
        assert any(frame.type == GO_AWAY for frame in session.frames)


def test_our_forward_dials_as_the_original_does(piko):
    heads = queue.Queue()

    def upgrade(wire):
        ws = WebSocket.accept(wire)
        heads.put(ws.head)
        if ws.recv() != b"ping":  # the look whether the forward listens
            return wire.close()
        ws.send(b"pong")
        ws.send_close()
        ws.recv()
        wire.close()

    with FakeServer(upgrade=upgrade) as server:
        forward = piko.forward(server.url, "db", "--connect.token", "t")
        with Wire(connect(forward.addr)) as wire:
            wire.send(b"ping")
            assert wire.read_exact(4) == b"pong" and wire.read_to_end() == b""
        head = heads.get(timeout=5)
        assert head.start == b"GET /_piko/v1/tcp/db HTTP/1.1" and head.get("authorization") == b"Bearer t"
