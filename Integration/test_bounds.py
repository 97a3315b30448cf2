# SPDX-License-Identifier: MIT
# Every bound has a clear refusal and a way back: connections, tunnels, streams of a tunnel, descriptors.
# Real processes on loopback; limits are lowered so that every bound is reached with little load.

import json
import resource
import threading
import time

import pytest

from harness.usage import cpu, descriptors, eventually
from peer import http1
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.server import FakeServer, ask
from peer.service import Service, reply
from peer.websocket import Refused
from peer.wire import Ended, Wire, connect


def refused_503(client):
    """Answered with 503, or closed where it came before it was asked anything."""
    try:
        message = client.response()
        assert message.status == 503 and "error" in json.loads(message.body)
    except (Ended, ConnectionError) as error:
        raise AssertionError("closed without a word") from error


def test_connections_beyond_the_bound_are_refused_with_503(piko, service):
    node = piko.server("--proxy.limits.connections", "10")
    piko.agent("http", node, "web", service.addr)
    held = [Client(node.proxy) for _ in range(10)]
    assert all(client.request("web").response().status == 200 for client in held)
    for _ in range(5):
        with Client(node.proxy) as extra:
            try:
                extra.request("web")
            except ConnectionError:
                pass
            refused_503(extra)
    node.counts('piko_proxy_connections_refused_total{limit="connections"}', 5)
    assert all(client.request("web").response().status == 200 for client in held)
    for client in held:
        client.close()
    eventually(lambda: served(node))


def test_tunnels_beyond_the_bound_are_refused_with_503(piko):
    node = piko.server("--upstream.limits.sessions", "3")
    agents = [FakeAgent(node.upstream, f"e{n}", reply()) for n in range(3)]
    with pytest.raises(Refused) as refusal:
        dial_tunnel(node.upstream, "more")
    assert refusal.value.status == 503 and "error" in json.loads(refusal.value.message.body)
    assert fetch(node.proxy, "e1").status == 200
    agents[0].close()
    eventually(lambda: node.listeners("e0") == 0)
    with FakeAgent(node.upstream, "more", reply()):
        eventually(lambda: node.listeners("more"))
        assert fetch(node.proxy, "more").status == 200
    for agent in agents:
        agent.close()


def test_a_tunnel_with_all_its_streams_in_use_is_not_selected(piko):
    gate = threading.Event()
    node = piko.server("--upstream.limits.streams-per-session", "5")

    def handler(conn, head):
        conn.service.requests.put("came")
        gate.wait(20)
        conn.reply()

    with FakeAgent(node.upstream, "web", handler) as agent:
        eventually(lambda: node.listeners("web"))
        held = [Client(node.proxy, 20).request("web") for _ in range(5)]
        for _ in range(5):
            agent.request()
        for _ in range(3):
            message = fetch(node.proxy, "web")
            assert message.status in (502, 503) and "error" in json.loads(message.body)
        with FakeAgent(node.upstream, "web", reply(body=b"other")):
            eventually(lambda: node.listeners("web") == 2)
            assert [fetch(node.proxy, "web").body for _ in range(4)] == [b"other"] * 4
        gate.set()
        assert all(client.response().status == 200 for client in held)
        eventually(lambda: fetch(node.proxy, "web").status == 200)


class Starved:
    """What a process short of descriptors must show: it lives, it does not spin, it serves again."""

    def __init__(self, process):
        self.process = process

    def calm(self, seconds=1.0):
        used = cpu(self.process.pid)
        time.sleep(seconds)  # the time over which CPU is counted
        assert self.process.running
        assert cpu(self.process.pid) - used < 0.2 * seconds, "it spins"


def tie_up(addr, count):
    """Connections that were accepted or wait to be; those that are refused at once are left out."""
    held = []
    for _ in range(count):
        try:
            held.append(Wire(connect(addr, 5)))
        except OSError:
            pass
    return held


LIMIT = 100


def test_a_server_without_descriptors_refuses_recovers_and_does_not_spin(piko, service):
    node = piko.server(descriptor_limit=LIMIT)
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as early:
        assert early.request("web").response().status == 200
        held = tie_up(node.proxy, 2 * LIMIT)
        assert early.request("web").response().status == 200  # what is connected goes on
        Starved(node).calm()
        for wire in held:
            wire.close()
        eventually(lambda: served(node), 15)
        eventually(lambda: descriptors(node.pid) < LIMIT - 20)
        eventually(lambda: node.metric("piko_descriptors_exhausted_total") > LIMIT)


def served(node):
    try:
        return fetch(node.proxy, "web", timeout=2).status == 200
    except (OSError, Ended):
        return False


def test_connections_refused_for_want_of_descriptors_hear_of_it(piko):
    node = piko.server(descriptor_limit=LIMIT)
    held = tie_up(node.proxy, LIMIT + 40)
    ended = []

    def watch(wire):
        try:
            wire.settimeout(8)
            wire.send(b"GET / HTTP/1.1\r\nHost: nobody.x\r\n\r\n")
            wire.read_until(b"\r\n\r\n")
            ended.append("answered")
        except (Ended, ConnectionError):
            ended.append("closed")
        except TimeoutError:
            ended.append("silence")

    threads = [threading.Thread(target=watch, args=(wire,), daemon=True) for wire in held]
    [thread.start() for thread in threads]
    [thread.join(12) for thread in threads]
    assert len(ended) == len(held) and "silence" not in ended, ended
    for wire in held:
        wire.close()
    eventually(lambda: descriptors(node.pid) < LIMIT - 20)
    node.counts("piko_descriptors_exhausted_total", LIMIT + 40 - ended.count("answered"))


def test_an_agent_without_descriptors_refuses_recovers_and_does_not_spin(piko):
    gate = threading.Event()

    def handler(conn, head):
        if head.target == b"/held":
            gate.wait(20)
        conn.reply()

    with Service(handler) as service:
        node = piko.server()
        agent = piko.agent("http", node, "web", service.addr, descriptor_limit=60)
        clients = [Client(node.proxy, 20).request("web", "/held") for _ in range(100)]
        Starved(agent).calm()
        gate.set()
        statuses = [client.response().status for client in clients]
        assert set(statuses) <= {200, 502, 503} and 200 in statuses
        eventually(lambda: fetch(node.proxy, "web").status == 200, 15)
        for client in clients:
            client.close()


def test_a_forward_without_descriptors_refuses_recovers_and_does_not_spin(piko):
    with Service(raw=True, handler=lambda conn: conn.send(conn.read_exact(1)) or conn.read_to_end()) as service:
        node = piko.server()
        piko.agent("tcp", node, "db", service.addr)
        forward = piko.forward(node, "db", descriptor_limit=60)
        held = tie_up(forward.addr, 120)
        Starved(forward).calm()
        for wire in held:
            wire.close()

        def works():
            try:
                with Wire(connect(forward.addr, 2)) as wire:
                    wire.send(b"x")
                    return wire.read_exact(1) == b"x"
            except (OSError, Ended):
                return False

        eventually(works, 15)


def test_streams_beyond_an_agents_bound_are_reset_and_the_rest_is_served(piko, service):
    """More at once than an agent without descriptors for them can have: each is answered, none is forgotten."""
    with FakeServer() as server:
        piko.agent("http", server.url, "web", service.addr, descriptor_limit=80)
        session = server.tunnel()
        wires = [Wire(session.open()) for _ in range(200)]
        for wire in wires:
            try:
                wire.send(http1.head_bytes("GET / HTTP/1.1", [("Host", "a")]))
            except ConnectionError:
                pass
        statuses = []
        for wire in wires:
            try:
                statuses.append(http1.read_response(wire).status)
            except (Ended, ConnectionError):
                statuses.append("reset")
        assert set(statuses) <= {200, 502, 503, "reset"} and statuses.count(200) > 20
        assert ask(session.open()).status == 200


def test_the_limit_of_descriptors_is_raised_as_far_as_allowed(piko):
    """A shell's default is 1,024, where the system allows many more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    node = piko.server(descriptor_limit=(min(512, hard), hard))
    assert resource.prlimit(node.pid, resource.RLIMIT_NOFILE) == (hard, hard)
