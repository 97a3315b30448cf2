# SPDX-License-Identifier: MIT
# A server node that leaves (SIGTERM) loses nothing that can finish within its grace period: which steps it takes, in which order, and what
# clients and agents see of each. One node; several are in cluster/.

import signal
import socket
import threading
import time

import pytest

from harness.usage import eventually
from peer import http1
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.service import Service, reply
from peer.websocket import Refused, WebSocket
from peer.wire import Ended, Wire, address, connect

OURS = [("User-Agent", "piko")]
ORIGINAL = [("User-Agent", "Go-http-client/1.1")]


def connects(addr):
    try:
        connect(addr, 2).close()
        return True
    except ConnectionRefusedError:
        return False


def leave(node):
    """Asks the node to leave; when that was."""
    start = time.monotonic()
    node.signal(signal.SIGTERM)
    node.wait_line(lambda line: line["msg"] == "stopping")
    return start


def closed_ports(node):
    node.wait_line(lambda line: line["msg"] == "ports closed")
    return time.monotonic()


def closes(message):
    return (message.get("connection") or b"").lower() == b"close"


@pytest.fixture
def gate():
    event = threading.Event()
    yield event
    event.set()


def gated(gate):
    """A handler that answers /held when the gate opens, and everything else at once."""

    def handler(conn, head):
        conn.read_body(head)
        conn.service.requests.put(head.target)
        if head.target == b"/held":
            gate.wait(20)
        conn.reply(200, b"answer")

    return handler


def test_ready_is_off_at_once_and_the_ports_go_on_for_a_second(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    start = leave(node)
    assert node.ask("/ready").status == 503 and node.ask("/health").status == 200
    while time.monotonic() - start < 0.7:
        message = fetch(node.proxy, "web")
        assert message.status == 200 and closes(message)
    assert closed_ports(node) - start >= 1.5  # a second after the last that came
    assert not connects(node.proxy) and not connects(node.upstream)
    assert node.wait(5) == 0


def test_connections_that_ask_for_nothing_do_not_keep_the_ports_open(piko, service):
    """A balancer that checks by connecting."""
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    start = leave(node)
    while connects(node.proxy):
        time.sleep(0.02)
    assert 0.9 < time.monotonic() - start < 4
    assert node.wait(5) == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_keep_alive_client_loses_nothing(piko, service, method):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    body = b"some" if method == "POST" else None
    answers, told = 0, []
    client = Client(node.proxy)

    def ask():
        message = client.request("web", method=method, body=body).response(method)
        assert message.status == 200 and message.body == b"hello"
        return message

    def reconnects():
        try:
            return Client(node.proxy)
        except ConnectionRefusedError:
            return None

    assert not closes(ask())
    start = leave(node)
    while client and time.monotonic() - start < 1.2:
        answers += 1
        message = ask()
        told.append(closes(message))
        assert client.ends() == "end"
        client = reconnects()
    assert answers > 5 and all(told)
    if client:
        client.close()
    assert node.wait(8) == 0


def test_a_request_on_an_idle_connection_is_answered_and_told_to_close(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as client:
        assert not closes(client.request("web").response())
        start = leave(node)
        closed_ports(node)
        assert 0.9 < time.monotonic() - start < 1.8
        message = client.request("web").response()
        assert message.status == 200 and closes(message)
        assert client.ends() == "end"
        assert node.wait(5) == 0


def test_an_idle_connection_ends_cleanly_after_two_seconds(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as client:
        client.request("web").response()
        start = leave(node)
        assert client.ends() == "end"
        assert 1.8 < time.monotonic() - start < 4
        assert node.wait(5) == 0


def test_a_response_that_was_told_to_be_kept_is_followed_by_another(piko):
    """Its head left before the node was asked to leave."""
    step = threading.Event()

    def handler(conn, head):
        if head.target == b"/slow":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
            step.wait(10)
            conn.send(b"two")
        else:
            conn.reply(200, b"next")

    with Service(handler) as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr)
        with Client(node.proxy) as client:
            client.request("web", "/slow")
            assert client.head().get("connection") is None
            leave(node)
            step.set()
            assert client.wire.read_exact(6) == b"onetwo"
            message = client.request("web").response()
            assert message.body == b"next" and closes(message)
        assert node.wait(5) == 0


@pytest.mark.plain("a TLS client reads ahead: what it has not asked for is no longer with the system")
def test_a_client_that_reads_slowly_gets_all_of_it(piko, gate):
    """The node has handed everything to the system and ends; the system goes on delivering."""
    body = bytes(range(256)) * 2000

    def handler(conn, head):
        conn.service.requests.put(head.target)
        gate.wait(10)
        conn.reply(200, body)

    with Service(handler) as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.settimeout(10)
        sock.connect(address(node.proxy))
        with Wire(sock) as wire:
            wire.send(http1.head_bytes("GET / HTTP/1.1", [("Host", "web.example.com")]))
            service.request()
            leave(node)
            gate.set()
            assert http1.read_head(wire).status == 200
            got = bytearray()
            while len(got) < len(body):
                part = wire.take(4096) if wire.buffer else wire.sock.recv(4096)
                assert part, f"ended after {len(got)} of {len(body)}"
                got += part
                time.sleep(0.03)
            assert bytes(got) == body and not node.running
        assert node.wait(1) == 0


def test_new_tunnels_are_refused_while_the_port_is_open(piko):
    node = piko.server()
    with FakeAgent(node.upstream, "web", headers=OURS) as agent:
        eventually(lambda: node.listeners("web") == 1)
        leave(node)
        with pytest.raises(Refused) as refusal:
            dial_tunnel(node.upstream, "other", OURS)
        assert refusal.value.status == 503 and b"node is shutting down" in refusal.value.message.body
        node.counts('piko_upstreams_refused_total{status="503"}')
        agent.session.go_away()
        agent.session.wait_over()
        assert node.wait(5) == 0


def test_an_agent_of_ours_is_told_and_serves_until_it_says_that_it_has_moved(piko):
    node = piko.server()
    with FakeAgent(node.upstream, "web", reply(200, b"here"), headers=OURS) as agent:
        eventually(lambda: node.listeners("web") == 1)
        leave(node)
        agent.session.wait(lambda: agent.session.going_away == 0)
        assert fetch(node.proxy, "web").body == b"here" and node.listeners("web") == 1
        agent.session.go_away()
        eventually(lambda: node.listeners("web") == 0)
        assert fetch(node.proxy, "web").status == 502
        assert not agent.session.over
        agent.session.wait_over()
        assert agent.ws.closed_with is not None  # politely
        assert node.wait(5) == 0


def test_what_runs_in_a_tunnel_that_has_moved_is_finished(piko, gate):
    node = piko.server()
    with FakeAgent(node.upstream, "web", gated(gate), headers=OURS) as agent, Client(node.proxy) as client:
        eventually(lambda: node.listeners("web") == 1)
        client.request("web", "/held")
        agent.request()
        leave(node)
        agent.session.go_away()
        closed_ports(node)
        assert not agent.session.over
        gate.set()
        message = client.response()
        assert message.body == b"answer" and closes(message)
        assert node.wait(5) == 0


def test_an_original_agent_is_told_of_an_error_and_only_behind_its_last_stream(piko, gate):
    node = piko.server()
    with FakeAgent(node.upstream, "web", gated(gate), headers=ORIGINAL) as agent, Client(node.proxy) as client:
        eventually(lambda: node.listeners("web") == 1)
        client.request("web", "/held")
        agent.request()
        leave(node)
        assert fetch(node.proxy, "web", "/quick").body == b"answer"  # it serves while the ports are open
        closed_ports(node)
        eventually(lambda: node.listeners("web") == 0)
        assert not agent.session.over and agent.session.going_away is None
        gate.set()
        assert client.response().body == b"answer"
        agent.session.wait_over()
        assert agent.session.going_away == 2  # what it reconnects after, also behind a balancer
        assert node.wait(5) == 0


def test_an_idle_original_agent_is_told_of_an_error(piko):
    node = piko.server()
    with FakeAgent(node.upstream, "web", reply(), headers=ORIGINAL) as agent:
        eventually(lambda: node.listeners("web") == 1)
        leave(node)
        agent.session.wait_over()
        assert agent.session.going_away == 2  # what it reconnects after, also behind a balancer
        assert node.wait(5) == 0


def endless(conn, head):
    """/events never ends; anything else is another protocol that echoes."""
    if head.target == b"/events":
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            conn.send(http1.chunked(b"data: x\n\n")[:-5])
            time.sleep(0.05)
    conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    while data := conn.read_some():
        conn.send(data)
    conn.close()


def until_it_ends(step):
    """Runs `step` over and over; when it broke off."""
    try:
        while True:
            step()
            time.sleep(0.05)
    except (Ended, OSError):
        return time.monotonic()


def test_long_streams_may_use_the_whole_grace_period_and_the_log_says_what_was_left(piko):
    with Service(endless) as service, Service(raw=True, handler=lambda conn: conn.send(conn.read_to_end())) as raw:
        node = piko.server("--grace-period", "4s")
        piko.agent("http", node, "web", service.addr)
        piko.agent("tcp", node, "db", raw.addr)
        forward = piko.forward(node, "db")
        with Client(node.proxy) as events, Client(node.proxy) as upgraded, Wire(connect(forward.addr)) as tcp:
            events.request("web", "/events").head()
            upgraded.request("web", "/up", headers=[("Connection", "Upgrade"), ("Upgrade", "echo")])
            assert upgraded.head().status == 101
            tcp.send(b"some")
            raw.accepted.get(timeout=5)
            start = leave(node)

            def echo():
                upgraded.send(b"ping")
                assert upgraded.wire.read_exact(4) == b"ping"

            ends = []
            steps = [lambda: http1.read_chunk(events.wire), echo]
            threads = [threading.Thread(target=lambda step=step: ends.append(until_it_ends(step))) for step in steps]
            for thread in threads:
                thread.start()
            assert tcp.read_to_end() == b""
            ends.append(time.monotonic())
            for thread in threads:
                thread.join(10)
            assert len(ends) == 3 and all(3.8 < end - start < 6 for end in ends), [end - start for end in ends]
        assert node.wait(5) == 0
        line = next(line for line in node.lines() if line["msg"] == "grace period is over")
        assert (line["cut"], line["requests"], line["upgrades"], line["tcp"], line["idle"]) == (3, 1, 1, 1, 0)


def test_a_second_signal_ends_at_once_and_says_what_was_cut(piko, gate):
    with Service(gated(gate)) as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr)
        with Client(node.proxy) as client:
            client.request("web", "/held")
            service.request()
            leave(node)
            start = time.monotonic()
            node.signal(signal.SIGTERM)
            assert node.wait(5) == 0
            assert time.monotonic() - start < 1.5
        line = next(line for line in node.lines() if line["msg"] == "stopped at once")
        assert line["cut"] == line["requests"] == 1


def test_a_node_alone_with_nothing_on_it_ends_at_once(piko):
    node = piko.server()
    start = time.monotonic()
    node.stop(number=signal.SIGINT)
    assert time.monotonic() - start < 0.8


def test_a_node_alone_does_not_wait_for_agents_that_cannot_move(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    start = time.monotonic()
    node.stop(number=signal.SIGINT)
    assert time.monotonic() - start < 2.5
    assert agent.running


def test_a_websocket_that_ends_within_the_grace_period_ends_as_its_peers_want(piko):
    served = threading.Event()

    def handler(conn, head):
        with WebSocket(conn, False) as socket_:
            conn.send(http1.head_bytes("HTTP/1.1 101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")]))
            while (data := socket_.recv()) is not None:
                socket_.send(data)
            served.set()

    with Service(handler) as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr)
        with Client(node.proxy) as client:
            client.request("web", headers=[("Connection", "Upgrade"), ("Upgrade", "websocket")])
            assert client.head().status == 101
            peer = WebSocket(client.wire, True)
            leave(node)
            closed_ports(node)
            peer.send(b"late")
            assert peer.recv() == b"late"
            peer.send_close()
            assert served.wait(5) and peer.recv() is None
        assert node.wait(5) == 0
