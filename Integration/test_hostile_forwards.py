# SPDX-License-Identifier: MIT
# The WebSocket of a TCP connection, broken at either end: forwards that misbehave towards our server, servers that
# misbehave towards our forward. Only that connection ends.

import pytest

from harness.usage import eventually
from peer.server import FakeServer
from peer.service import Service
from peer.websocket import BINARY, CLOSE, PING, PONG, TEXT, WebSocket
from peer.wire import Wire, connect


@pytest.fixture
def echoing():
    def echo(conn):
        while data := conn.read_some():
            conn.send(data)

    with Service(raw=True, handler=echo) as service:
        yield service


@pytest.fixture
def node(piko, echoing):
    node = piko.server()
    piko.agent("tcp", node, "db", echoing.addr)
    yield node
    with dial(node) as ws:
        ws.send(b"fine")
        assert ws.recv() == b"fine"


def dial(node):
    return WebSocket.dial(node.proxy, "/_piko/v1/tcp/db")


@pytest.mark.parametrize("bytes", [
    b"\x82\xff" + b"\xff" * 8 + b"mask", b"\x83\x80mask", b"\xf2\x80mask", b"\x82\x05hello", b"\x89\xfe\x00\x7e", b"\x09\x80mask", b"\x88\x81maskX",
    b"\x00\x80mask", b"\x81\x85mask\x05\x04\x1f\x07\x0e", b"\x02\x81maskx\x82\x81maskx",
], ids=["huge", "opcode", "reserved", "unmasked", "long-ping", "split-ping", "short-close", "continuation", "text", "no-continuation"])
def test_a_forward_that_breaks_the_websocket_ends_its_connection_only(node, echoing, bytes):
    with dial(node) as ws:
        echoing.accepted.get(timeout=5)
        ws.send_raw(bytes)
        ws.wire.shut()
        ws.wire.settimeout(10)
        ws.wire.read_to_end()
    echoing.ended.get(timeout=5)
    node.counts("piko_proxy_protocol_errors_total")


def test_a_forward_that_sends_fragments_pings_and_empty_messages_is_served(node):
    with dial(node) as ws:
        ws.send_frame(BINARY, b"he", fin=False)
        ws.send_frame(PING, b"p")
        ws.send_frame(0, b"ll", fin=False)
        ws.send_frame(0, b"o", fin=True)
        got, pongs = b"", 0
        while len(got) < 5 or not pongs:
            opcode, _, payload = ws.read_frame()
            pongs += opcode == PONG and payload == b"p"
            got += payload if opcode == BINARY else b""
        assert got == b"hello"


def test_a_close_frame_ends_the_services_connection_and_is_answered(node, echoing):
    with dial(node) as ws:
        ws.send(b"x")
        assert ws.recv() == b"x"
        ws.send_frame(CLOSE, b"\x03\xe8")
        echoing.ended.get(timeout=5)
        assert ws.read_frame()[0] == CLOSE


def exchange_until_the_end(addr):
    """What came; the end may be there before connecting has returned."""
    try:
        with Wire(connect(addr)) as wire:
            try:
                wire.send(b"hello")
            except ConnectionError:
                pass
            return wire.read_to_end()
    except ConnectionError:
        return b""


@pytest.mark.parametrize("how", ["close", "reset", "text", "huge", "http"])
def test_a_server_that_breaks_off_ends_the_forwards_connection_only(piko, how):
    def upgrade(wire):
        if how == "http":
            wire.read_until(b"\r\n\r\n")
            wire.send(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
            return wire.close()
        ws = WebSocket.accept(wire)
        ws.recv()
        {"close": ws.close, "reset": ws.reset, "text": lambda: ws.send_frame(TEXT, b"t"), "huge": lambda: ws.send_raw(b"\x82\xff" + b"\xff" * 8)}[how]()
        wire.read_to_end()

    with FakeServer(upgrade=upgrade) as server:
        forward = piko.forward(server.url, "db")
        for _ in range(3):
            assert exchange_until_the_end(forward.addr) == b""
        eventually(lambda: server.dials >= 3)
        assert forward.running
