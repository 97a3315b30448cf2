# SPDX-License-Identifier: MIT
# WebSocket and any other upgrade, in every spelling, through both kinds of agent: after 101 the bytes are the peers' own.
# Real processes on loopback; the client and the service are the test's own.

import os

import pytest

from peer import http1
from peer.service import reply
from peer.websocket import BINARY, CLOSE, PING, TEXT, WebSocket, accept_key


def upgraded(protocol=b"echo/1", first=b""):
    """A handler that agrees to any upgrade, sends `first` with the head and then echoes until the end."""

    def handler(conn, head):
        conn.service.requests.put(http1.Message(head))
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n" + first)
        while data := conn.read_some():
            conn.send(data)
        conn.close()

    return handler


def ask(web, connection=b"Upgrade", upgrade=b"echo/1", method=b"GET", names=(b"Connection", b"Upgrade")):
    return web.raw(b"%s /up HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: ENDPOINT\r\n%s: %s\r\n%s: %s\r\n\r\n" % (method, names[0], connection, names[1], upgrade))


@pytest.mark.parametrize("connection", [b"Upgrade", b"upgrade", b"UPGRADE", b"keep-alive, Upgrade", b"Upgrade,keep-alive", b" ,upgrade , x"])
@pytest.mark.parametrize("upgrade", [b"websocket", b"WebSocket", b"echo/1", b"a/1, b/2", b"TLS/1.0", b"h2c"])
def test_an_upgrade_in_any_spelling_passes(web, connection, upgrade):
    with ask(web.serve(upgraded(upgrade.split(b",")[0])), connection, upgrade) as client:
        head = client.head()
        assert head.status == 101 and head.get("upgrade") == upgrade.split(b",")[0] and b"upgrade" in head.get("connection").lower()
        client.send(b"\x00\xff raw")
        assert client.wire.read_exact(6) == b"\x00\xff raw"
    seen = web.service.request().head
    assert seen.get("upgrade") == upgrade and b"upgrade" in seen.get("connection").lower()


def test_the_fields_names_may_be_spelt_in_any_way(web):
    with ask(web.serve(upgraded()), names=(b"connectioN", b"uPGRADE")) as client:
        assert client.head().status == 101


def test_bytes_in_the_same_segment_as_the_101_arrive(web):
    with ask(web.serve(upgraded(first=b"hello first"))) as client:
        assert client.head().status == 101
        assert client.wire.read_exact(11) == b"hello first"


def test_megabytes_pass_an_upgrade_in_both_directions(web):
    data = os.urandom(3 << 20)
    with ask(web.serve(upgraded())) as client:
        client.head()
        for at in range(0, len(data), 128 << 10):
            part = data[at : at + (128 << 10)]
            client.send(part)
            assert client.wire.read_exact(len(part)) == part


def test_the_service_ends_an_upgraded_connection(web):
    def handler(conn, head):
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbye")
        conn.close()

    with ask(web.serve(handler), upgrade=b"x") as client:
        assert client.head().status == 101
        assert client.wire.read_to_end() == b"bye" and client.wire.how == "end"


def test_the_client_ends_an_upgraded_connection(web):
    with ask(web.serve(upgraded())) as client:
        client.head()
    web.service.ended.get(timeout=5)


def test_a_refused_upgrade_is_an_ordinary_answer(web):
    with ask(web.serve(reply(426, b"no", [("Upgrade", "h3")]))) as client:
        message = client.response()
        assert (message.status, message.body) == (426, b"no")
        web.serve(reply())
        assert client.request(web.endpoint).response().body == b"hello"


def test_an_upgrade_ignored_by_the_service_is_an_ordinary_answer(web):
    with ask(web.serve(reply(200, b"plain"))) as client:
        assert client.response().body == b"plain"
        assert client.request(web.endpoint).response().body == b"plain"


def test_a_101_nobody_asked_for_is_a_502(web):
    web.serve(lambda conn, head: conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"))
    assert web.fetch().status == 502


@pytest.mark.parametrize("connection", [b"close", b"keep-alive", b"upgrades"])
def test_an_upgrade_field_without_its_connection_option_is_not_an_upgrade(web, connection):
    with ask(web, connection) as client:
        assert client.response().status == 200
    assert web.service.request().get("upgrade") is None


def serve_websocket(conn, head):
    """The service's end of a WebSocket that echoes frames, kind and all."""
    key = head.get("sec-websocket-key")
    conn.send(http1.head_bytes("HTTP/1.1 101 Switching Protocols", [
        ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key)), ("Sec-WebSocket-Protocol", "chat")]))
    ws = WebSocket(conn, client=False)
    while True:
        opcode, fin, payload = ws.read_frame()
        ws.send_frame(opcode, payload, fin)
        if opcode == CLOSE:
            return conn.close()


def test_websocket_frames_pass_untouched(web):
    web.serve(serve_websocket)
    fields = [("X-Piko-Endpoint", web.endpoint), ("Sec-WebSocket-Protocol", "chat, other"), ("Sec-WebSocket-Extensions", "permessage-deflate")]
    with WebSocket.dial(web.proxy, "/ws?x=y", fields) as ws:
        assert ws.head.get("sec-websocket-protocol") == b"chat" and ws.head.get("sec-websocket-extensions") is None
        for opcode, payload, fin in ((TEXT, "grüß".encode(), True), (BINARY, os.urandom(70000), False), (0, b"rest", True), (PING, b"p", True), (TEXT, b"", True)):
            ws.send_frame(opcode, payload, fin)
            assert ws.read_frame() == (opcode, fin, payload)
        ws.send_frame(CLOSE, b"\x0f\xa0gone")
        assert ws.read_frame() == (CLOSE, True, b"\x0f\xa0gone")
        assert ws.wire.ends() == "end"


def test_a_connection_is_not_reused_after_an_upgrade(http):
    with ask(http.serve(upgraded())) as client:
        client.head()
        client.send(b"GET / HTTP/1.1\r\n\r\n")  # bytes now, not a request
        assert client.wire.read_exact(18) == b"GET / HTTP/1.1\r\n\r\n"
    assert http.serve(reply()).fetch().body == b"hello"
