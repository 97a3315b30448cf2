# SPDX-License-Identifier: MIT
# SIGTERM: stop accepting, finish what runs within the grace period, exit 0, nothing left on the loops (the harness
# looks at the counters of every process that it stops).

import queue
import signal
import threading
import time

import pytest

from harness.usage import eventually
from peer import http1
from peer.client import Client, fetch
from peer.server import FakeServer
from peer.service import Service
from peer.websocket import WebSocket
from peer.wire import Ended, Wire, connect
from peer.yamux import DATA, SYN, WINDOW, encode

NUMBERS = [signal.SIGTERM, signal.SIGINT]


def refuses(addr):
    try:
        connect(addr, 1).close()
        return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: n.name)
@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_server_finishes_what_runs_and_exits_with_0(piko, held, kind, number):
    node = piko.server()
    piko.agent(kind, node, "web", held.addr)
    with Client(node.proxy) as client, Client(node.proxy) as idle:
        assert idle.request("web", "/quick").response().status == 200
        client.request("web", "/held")
        held.request()
        node.signal(number)
        eventually(lambda: refuses(node.proxy), what="new connections refused")
        assert node.running
        held.gate.set()
        message = client.response()
        assert message.body == b"finished" and (message.get("connection") or b"").lower() == b"close"
        assert node.wait(5) == 0
        assert idle.wire.read_to_end() == b""


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_an_agent_finishes_what_runs_and_exits_with_0(piko, held, kind):
    node = piko.server()
    agent = piko.agent(kind, node, "web", held.addr)
    with Client(node.proxy) as client:
        client.request("web", "/held")
        held.request()
        agent.signal(signal.SIGTERM)
        eventually(lambda: node.listeners("web") == 0)  # not chosen any more
        assert agent.running
        held.gate.set()
        assert client.response().body == b"finished"
        assert agent.wait(5) == 0


def test_a_forward_finishes_what_runs_and_exits_with_0(piko):
    with Service(raw=True, handler=lambda conn: conn.send(conn.read_to_end()) or conn.close()) as service:
        node = piko.server()
        piko.agent("tcp", node, "db", service.addr)
        forward = piko.forward(node, "db")
        with Wire(connect(forward.addr)) as wire:
            wire.send(b"some")
            service.accepted.get(timeout=5)
            forward.signal(signal.SIGTERM)
            eventually(lambda: refuses(forward.addr))
            wire.send(b" more")
            wire.shut()
            assert wire.read_to_end() == b"some more"
        assert forward.wait(5) == 0


@pytest.mark.parametrize("who", ["server", "agent"])
def test_what_does_not_finish_is_cut_after_the_grace_period(piko, held, who):
    node = piko.server("--grace-period", "1s")
    agent = piko.agent("http", node, "web", held.addr, "--grace-period", "1s")
    process = node if who == "server" else agent
    with Client(node.proxy) as client:
        client.request("web", "/held")
        held.request()
        start = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.wait(8) == 0
        assert 0.8 < time.monotonic() - start < 5
        try:
            assert client.response().status >= 500
        except (Ended, ConnectionError):
            pass


def test_a_second_signal_ends_it_at_once(piko, held):
    node = piko.server()
    piko.agent("http", node, "web", held.addr)
    with Client(node.proxy) as client:
        client.request("web", "/held")
        held.request()
        node.signal(signal.SIGTERM)
        eventually(lambda: refuses(node.proxy))
        node.signal(signal.SIGTERM)
        assert node.wait(5) == 0


def test_an_agent_whose_server_takes_nothing_more_ends_too(piko):
    """The tunnel cannot be ended politely, so it is cut."""
    stuck, gate = threading.Event(), threading.Event()

    def flood(conn, head):
        conn.sock.settimeout(0.5)
        try:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            conn.send(bytes(100_000_000))
        except TimeoutError:
            stuck.set()
            gate.wait(30)
        conn.open = False

    sockets = queue.Queue()
    with Service(flood) as service, FakeServer(upgrade=lambda wire: sockets.put(WebSocket.accept(wire))) as server:
        agent = piko.agent("http", server.url, "web", service.addr)
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        sockets.get(timeout=10).send(encode(WINDOW, SYN, 2, 1 << 30) + encode(DATA, 0, 2, body=request))
        assert stuck.wait(20)
        agent.signal(signal.SIGTERM)
        agent.wait_line(lambda line: line["msg"] == "stopping")
        agent.signal(signal.SIGTERM)
        assert agent.wait(6) == 0
        gate.set()


def test_idle_processes_end_at_once(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    forward = piko.forward(node, "web")
    with Client(node.proxy) as idle:
        idle.request("web").response()
        for process in (forward, agent, node):
            start = time.monotonic()
            process.stop()
            assert time.monotonic() - start < 4  # a client that does not close its side is waited for, not long


def test_a_response_that_flows_is_finished(piko):
    step = threading.Event()

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        step.wait(10)
        conn.send(b"3\r\ntwo\r\n0\r\n\r\n")

    with Service(handler) as service:
        node = piko.server()
        agent = piko.agent("http", node, "web", service.addr)
        with Client(node.proxy) as client:
            client.request("web").head()
            assert http1.read_chunk(client.wire) == b"one"
            node.signal(signal.SIGTERM)
            agent.signal(signal.SIGTERM)
            eventually(lambda: refuses(node.proxy))
            step.set()
            assert http1.read_chunk(client.wire) == b"two" and http1.read_chunk(client.wire) == b""
        assert node.wait(5) == 0 and agent.wait(5) == 0


def test_everything_is_left_at_zero_after_traffic_of_every_kind(piko, held):
    """The harness's check of the counters, after finished, broken, upgraded, refused and held requests."""
    node = piko.server("--grace-period", "1s")
    for kind in ("http", "tcp"):
        piko.agent(kind, node, kind, held.addr, "--grace-period", "1s")
    for kind in ("http", "tcp"):
        assert fetch(node.proxy, kind).status == 200
        Client(node.proxy).request(kind, "/held").wire.reset()
        with Client(node.proxy) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: %s\r\nContent-Length: 10\r\n\r\nhalf" % kind.encode())
        with Client(node.proxy) as client:
            client.send(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
            client.response()
    left = Client(node.proxy).request("http", "/held")
    held.request()
    node.stop()
    left.close()
