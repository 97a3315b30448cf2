# SPDX-License-Identifier: MIT
# What a node or an agent turns away, cuts or lets go of is counted, also where no status of an answer says so. What is refused, and that nobody else is
# harmed by it, has its tests elsewhere (test_hostile_*.py, test_bad_*.py): here are the counters that an operator watches.

import socket

import pytest

from harness.piko import listening
from harness.ports import free_port
from harness.usage import eventually
from peer import yamux
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.http1 import head_bytes
from peer.service import Service, script
from peer.wire import Ended, address
from peer.yamux import ACK, PING, RST, SYN, WINDOW

CHUNKED = [("Transfer-Encoding", "chunked")]


# What agents do in their tunnels


def test_streams_that_an_agent_opens_are_counted(piko):
    node = piko.server()
    with FakeAgent(node.upstream, "bad", manual=True) as agent:
        for number in range(5):
            agent.session.send_frame(WINDOW, SYN, 2 * number + 1, 0)
        agent.session.wait(lambda: sum(1 for frame in agent.session.frames if frame.flags & RST) == 5)
        node.counts('piko_upstreams_faults_total{kind="stream"}', 5)
        assert node.metric("piko_upstreams_protocol_errors_total") == 0


def test_odd_frames_are_counted_while_the_tunnel_goes_on(piko):
    node = piko.server()
    with FakeAgent(node.upstream, "bad", manual=True) as agent:
        for _ in range(3):
            agent.session.send_frame(PING, ACK, 0, 99)
        node.counts('piko_upstreams_faults_total{kind="frame"}', 3)
        assert node.listeners("bad") == 1


def test_an_agent_that_asks_and_does_not_read_the_answers_is_cut_and_counted(piko):
    node = piko.server()
    ws = dial_tunnel(node.upstream, "bad")
    flood = yamux.encode(PING, SYN, 0, 1) * 5_000
    ws.wire.settimeout(5)
    with pytest.raises(OSError):
        for _ in range(4_000):
            ws.send(flood)
    node.counts('piko_upstreams_faults_total{kind="unread"}')
    assert node.metric("piko_upstreams_protocol_errors_total") == 0
    eventually(lambda: node.listeners("bad") == 0)
    ws.reset()


# Bodies that break


def broken(node, side, kind):
    return node.metric(f'piko_proxy_bodies_broken_total{{side="{side}",kind="{kind}"}}')


@pytest.mark.parametrize("kind", ["malformed", "truncated"])
def test_a_services_body_that_breaks_is_counted_by_the_node_and_by_the_agent(piko, kind):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + (b"+1\r\n" if kind == "malformed" else b"")
    with Service(script(answer, close=kind == "truncated")) as service:
        node = piko.server()
        addr = f"127.0.0.1:{free_port()}"
        piko.agent("http", node, "web", service.addr, "--server.enabled", "--server.bind-addr", addr)
        with Client(node.proxy) as client:
            client.request("web")
            with pytest.raises((Ended, ConnectionError, ValueError)):
                client.response()
        # The agent cuts its stream: the node sees only that it ends too early.
        eventually(lambda: broken(node, "upstream", "truncated") == 1)
        assert broken(node, "upstream", "malformed") == broken(node, "client", "truncated") == 0
        sample = f'piko_agent_bodies_broken_total{{endpoint="web",side="upstream",kind="{kind}"}} 1\n'
        eventually(lambda: sample in fetch(addr, "agent", "/metrics").body.decode())
        node.counts('piko_proxy_requests_total{status="200",method="GET"}')


@pytest.mark.parametrize("kind", ["malformed", "truncated"])
def test_a_clients_body_that_breaks_behind_the_responses_head_is_counted(piko, kind):
    def answer(conn, head):
        conn.send(head_bytes("HTTP/1.1 200 OK", [("Content-Length", "9")]) + b"hel")
        conn.read_to_end()

    with Service(answer) as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr)
        client = Client(node.proxy)
        client.send(head_bytes("POST / HTTP/1.1", [("Host", "x"), ("x-piko-endpoint", "web"), *CHUNKED]) + b"5\r\nhello\r\n")
        assert client.head().status == 200
        client.send(b"+1\r\n") if kind == "malformed" else client.wire.shut()
        eventually(lambda: broken(node, "client", kind) == 1)
        assert sum(broken(node, side, kind) for side in ("client", "upstream") for kind in ("malformed", "truncated")) == 1
        client.close()


# Who says nothing


def test_a_client_that_says_nothing_is_let_go_of_and_counted(piko):
    node = piko.server("--proxy.http.read-header-timeout", "2s")
    with Client(node.proxy) as client:
        assert client.wire.read_to_end() == b""
    node.counts("piko_proxy_connections_silent_total")


def has_ended(sock):
    """Whether the node has let go of a connection on which nothing is said."""
    sock.settimeout(0.05)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("port", ["admin", "gossip"])
def test_connections_that_no_descriptor_was_left_for_are_counted_at_every_port(piko, port):
    node = piko.server(descriptor_limit=100)
    assert node.metric("piko_descriptors_exhausted_total") == 0
    socks = [socket.create_connection(address(getattr(node, port)), 10) for _ in range(120)]
    ended = [sock for sock in socks if has_ended(sock)]
    assert 10 < len(ended) < 100
    for sock in socks:
        sock.close()
    eventually(lambda: node.ready and node.metric("piko_descriptors_exhausted_total") >= len(ended))


# What is asked again later


def test_a_node_that_is_not_ready_says_when_to_ask_again(piko):
    node = piko.server("--cluster.join", f"127.0.0.1:{free_port()}", wait=False)
    piko.until(node, lambda: listening(node.admin))
    answer = node.ask("/ready")
    assert (answer.status, answer.get("retry-after")) == (503, b"1")
