# SPDX-License-Identifier: MIT
# The independent peers held against each other and against bytes recorded between original processes,
# so that a failure elsewhere in the suite is the product's. Needs no product.

import json
import os
import pathlib
import socket
import threading

import pytest

from peer import http1, yamux
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.server import FakeServer, ask
from peer.service import Service, echo, reply, script
from peer.websocket import BINARY, WebSocket, accept_key, apply_mask, frame
from peer.wire import Ended, Wire
from peer.yamux import ACK, DATA, FIN, SYN, WINDOW, StreamReset

VECTORS = json.loads((pathlib.Path(__file__).resolve().parents[1] / "Tests" / "vectors" / "tunnel.json").read_text())["conversations"]


class Replay:
    """A socket that plays recorded bytes back."""

    def __init__(self, data):
        self.data = data

    def recv(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data

    def sendall(self, data):
        raise AssertionError("nothing is sent in a replay")


def recorded(name, side):
    """The head and the frames' payloads that one side of a recorded conversation sent."""
    data = b"".join(bytes.fromhex(part["hex"]) for part in VECTORS[name] if part["from"] == side and "hex" in part)
    wire = Wire(Replay(data))
    head = http1.read_head(wire)
    ws = WebSocket(wire, client=side == "server")
    payloads = []
    while wire.buffer or wire.sock.data:
        opcode, fin, payload = ws.read_frame()
        assert (opcode, fin) == (BINARY, True)
        payloads.append(payload)
    return head, payloads


def frames(payloads):
    buffer, out = bytearray(b"".join(payloads)), []
    while item := yamux.decode(buffer):
        out.append(item[0])
        del buffer[: item[1]]
    assert not buffer
    return out


def test_vectors_the_recorded_upgrade_has_the_accept_key_we_compute():
    for name in VECTORS:
        request, _ = recorded(name, "client")
        response, _ = recorded(name, "server")
        assert accept_key(request.get("sec-websocket-key")) == response.get("sec-websocket-accept")


def test_vectors_the_recorded_node_opens_stream_2_and_sends_the_request():
    _, payloads = recorded("agent-http", "server")
    got = frames(payloads)
    assert [(f.type, f.flags, f.stream) for f in got] == [(WINDOW, SYN, 2), (DATA, 0, 2), (DATA, 0, 2), (WINDOW, FIN, 2)]
    assert got[1].body.startswith(b"POST /a?b=c HTTP/1.1\r\n") and got[2].body == b"hello"


def test_vectors_the_recorded_agent_accepts_answers_and_closes():
    _, payloads = recorded("agent-http", "client")
    got = frames(payloads)
    assert [(f.type, f.flags) for f in got] == [(WINDOW, ACK), (DATA, 0), (WINDOW, FIN), (yamux.GO_AWAY, 0)]
    assert got[1].body.startswith(b"HTTP/1.1 200 OK\r\n")


def test_vectors_our_encoding_of_the_recorded_frames_is_the_recorded_bytes():
    for name, side in (("agent-http", "server"), ("agent-http", "client"), ("agent-tcp", "server"), ("agent-tcp", "client")):
        _, payloads = recorded(name, side)
        again = b"".join(yamux.encode(f.type, f.flags, f.stream, f.length, f.body) for f in frames(payloads))
        assert again == b"".join(payloads)


def test_websocket_every_length_form_survives_a_round_trip():
    for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
        payload = os.urandom(size)
        ours, theirs = socket.socketpair()
        data = frame(BINARY, payload, mask=b"abcd")

        threading.Thread(target=ours.sendall, args=(data,), daemon=True).start()
        assert WebSocket(Wire(theirs), client=False).read_frame() == (BINARY, True, payload)
        ours.close(), theirs.close()


def test_websocket_masking_twice_is_the_payload():
    assert apply_mask(apply_mask(b"hello world", b"\x01\x02\x03\x04"), b"\x01\x02\x03\x04") == b"hello world"


@pytest.fixture
def pair():
    """A stand-in agent (echoing requests) on a stand-in server."""
    with FakeServer() as server, FakeAgent(server.addr, "web", echo) as agent:
        session = server.tunnel()
        yield session, agent
        assert session.violations == [] and agent.session.violations == [] and agent.errors == []


def test_yamux_a_request_is_served_over_a_stream(pair):
    session, agent = pair
    message = ask(session.open(), body=b"x" * 700_000, method="POST")
    assert message.status == 200 and message.body == b"x" * 700_000
    assert agent.request().head.get("host") == b"web.example.com"
    session.ping()


def test_yamux_many_streams_run_at_once(pair):
    session, _ = pair
    streams = [session.open() for _ in range(100)]
    assert [ask(stream, body=b"%d" % i).body for i, stream in enumerate(streams)] == [b"%d" % i for i in range(100)]


def test_yamux_a_reset_reaches_the_other_end(pair):
    session, agent = pair
    agent.handler = lambda conn, head: conn.sock.reset()
    with pytest.raises((StreamReset, Ended)):
        ask(session.open())


def test_yamux_a_larger_window_is_announced_and_used():
    size = 3 << 20
    with FakeServer(window=4 << 20, grants=False) as server, FakeAgent(server.addr, "db", raw=True, handler=lambda c: c.send(b"z" * size)):
        wire = Wire(server.tunnel().open())
        assert wire.read_exact(size) == b"z" * size


def test_yamux_a_peer_that_overruns_the_window_is_noticed():
    with FakeServer() as server, FakeAgent(server.addr, "db", raw=True, handler=lambda conn: None) as agent:
        session = server.tunnel()
        session.open()
        session.wait(lambda: session.streams[2].accepted)
        agent.session.send_frame(DATA, 0, 2, body=b"a" * (yamux.INITIAL + 1))
        session.wait(lambda: any("overrun" in text for text in session.violations))


def test_service_and_client_agree_on_every_framing():
    with Service() as service:
        service.fresh(script(b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                             + http1.chunked(b"one", b"two", trailers=[("T", "v")])))
        message = fetch(service.addr, "web", body=[b"up", b"load"])
        assert (message.body, message.chunks, message.trailers) == (b"onetwo", [b"one", b"two"], [(b"T", b"v")])
        assert len(message.interim) == 1 and service.request().body == b"upload"
        service.fresh(script(b"HTTP/1.0 200 OK\r\n\r\nuntil close"))
        assert fetch(service.addr, "web").body == b"until close"
        service.fresh(reply(204))
        with Client(service.addr) as client:
            assert client.request("web").response().status == client.request("web").response().status == 204


def test_client_sees_a_short_body_as_an_early_end():
    with Service(script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")) as service:
        with pytest.raises(Ended):
            fetch(service.addr, "web")
