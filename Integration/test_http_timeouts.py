# SPDX-License-Identifier: MIT
# proxy.timeout and the listener's timeout are the time to the response head, and cut nothing that flows.
# Real processes on loopback, with timeouts short enough to wait for.

import json
import threading
import time

import pytest

from harness.usage import eventually
from peer import http1
from peer.client import Client, fetch
from peer.service import Service
from peer.wire import Wire, connect


def silent(conn, head):
    """Takes the request and answers nothing until the other side leaves."""
    conn.service.requests.put(head)
    conn.read_to_end()
    conn.close()


def timed_out(message):
    assert message.status == 504 and json.loads(message.body) == {"error": "upstream timeout"}, message.body


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_the_nodes_timeout_is_a_504(piko, service, kind):
    node = piko.server("--proxy.timeout", "400ms")
    piko.agent(kind, node, "web", service.addr)
    service.fresh(silent)
    start = time.monotonic()
    timed_out(fetch(node.proxy, "web"))
    assert 0.35 < time.monotonic() - start < 3
    service.ended.get(timeout=5)  # the service's connection is let go


def test_the_listeners_timeout_is_a_504(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr, "--timeout", "400ms")
    service.fresh(silent)
    start = time.monotonic()
    timed_out(fetch(node.proxy, "web"))
    assert 0.35 < time.monotonic() - start < 3
    service.ended.get(timeout=5)


@pytest.mark.parametrize("where", ["node", "listener"])
def test_a_timeout_keeps_the_connection_for_the_next_request(piko, service, where):
    node = piko.server(*(["--proxy.timeout", "300ms"] if where == "node" else []))
    piko.agent("http", node, "web", service.addr, *(["--timeout", "300ms"] if where == "listener" else []))
    with Client(node.proxy) as client:
        service.fresh(silent)
        timed_out(client.request("web").response())
        service.fresh(lambda conn, head: conn.reply(200, b"fine"))
        assert client.request("web").response().body == b"fine"


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_a_body_that_never_comes_is_given_up(piko, service, framing):
    node = piko.server("--proxy.http.idle-timeout", "500ms")
    piko.agent("http", node, "web", service.addr)
    service.fresh(silent)
    with Wire(connect(node.proxy)) as wire:
        wire.send(f"POST / HTTP/1.1\r\nHost: a\r\nx-piko-endpoint: web\r\n{framing}\r\n\r\n".encode())
        assert wire.read_to_end().startswith(b"HTTP/1.1 408 ")
    service.ended.get(timeout=5)


def test_what_moves_or_is_complete_outlives_the_idle_timeout(piko, service):
    """A slow upload, and then a late answer."""
    node = piko.server("--proxy.http.idle-timeout", "300ms")
    piko.agent("http", node, "web", service.addr)

    def late(conn, head):
        message = conn.read_body(head)
        time.sleep(1)
        conn.reply(200, message.body)

    service.fresh(late)
    with Wire(connect(node.proxy)) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nx-piko-endpoint: web\r\nContent-Length: 10\r\n\r\n")
        for byte in b"0123456789":
            time.sleep(0.15)
            wire.send(bytes([byte]))
        assert wire.read_until(b"0123456789").startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_for_100_is_not_a_slow_upload(piko, service):
    node = piko.server("--proxy.timeout", "400ms")
    piko.agent("tcp", node, "web", service.addr)
    service.fresh(silent)
    with Client(node.proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: web.a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
        timed_out(client.response())
    service.ended.get(timeout=5)


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_body_may_take_longer_than_the_timeout(piko, service, kind):
    turn = threading.Event()

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        turn.wait(10)
        conn.send(b"def")

    node = piko.server("--proxy.timeout", "300ms")
    flags = ["--timeout", "300ms"] if kind == "http" else []
    piko.agent(kind, node, "web", service.addr, *flags)
    service.fresh(handler)
    with Client(node.proxy) as client:
        client.request("web").head()
        threading.Timer(1.2, turn.set).start()  # the time itself is what is tested
        assert client.wire.read_exact(6) == b"abcdef"


def test_an_upload_may_take_longer_than_the_timeout(piko, service):
    node = piko.server("--proxy.timeout", "500ms")
    piko.agent("http", node, "web", service.addr, "--timeout", "500ms")
    service.fresh(lambda conn, head: conn.reply(200, conn.read_body(head).body))
    with Client(node.proxy) as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [("Host", "web.a"), ("Content-Length", "10")]))
        for _ in range(10):
            time.sleep(0.15)  # a slow client
            client.send(b"x")
        assert client.response().body == b"x" * 10


def test_a_head_that_does_not_end_is_given_up(piko):
    node = piko.server("--proxy.http.read-header-timeout", "400ms")
    with Client(node.proxy) as client:
        start = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nHost: a")
        data = client.wire.read_to_end()
        assert time.monotonic() - start < 5 and (data == b"" or data.startswith(b"HTTP/1.1 4"))


def test_an_idle_connection_is_closed_after_the_idle_timeout(piko, service):
    node = piko.server("--proxy.http.idle-timeout", "400ms")
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as client:
        client.request("web").response()
        start = time.monotonic()
        assert client.ends() == "end" and 0.3 < time.monotonic() - start < 5


def test_total_limits_are_honoured_where_given(piko, service):
    node = piko.server("--proxy.http.write-timeout", "500ms", "--proxy.http.read-timeout", "5s")
    piko.agent("http", node, "web", service.addr)

    def forever(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        conn.read_to_end()

    service.fresh(forever)
    with Client(node.proxy) as client:
        client.request("web").head()
        start = time.monotonic()
        client.wire.read_to_end()
        assert time.monotonic() - start < 5
    eventually(lambda: node.metric("piko_proxy_responses_overdue_total") == 1)


def test_an_idle_service_connection_is_let_go(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr, "--http-client.idle-conn-timeout", "400ms")
    service.fresh(lambda conn, head: conn.reply())
    assert fetch(node.proxy, "web").status == 200
    service.ended.get(timeout=5)


@pytest.mark.parametrize("idle", ["1", "2"])
def test_the_pool_of_idle_connections_has_its_bound(piko, idle):
    gate = threading.Barrier(4)

    def handler(conn, head):
        gate.wait(10)
        conn.reply()

    with Service() as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr, "--http-client.max-idle-conns", idle)
        service.drop()
        service.fresh(handler)
        clients = [Client(node.proxy).request("web") for _ in range(4)]
        assert all(client.response().status == 200 for client in clients)
        for _ in range(4 - int(idle)):
            service.ended.get(timeout=5)
