# SPDX-License-Identifier: MIT
# A node of a cluster that leaves, and one that has more than its share of the tunnels: agents are told, move first, and clients of any node
# notice nothing. Real nodes; the agents are scripted, so that each step can be held.

import contextlib
import itertools
import json
import signal
import socket
import threading
import time

import pytest

from harness.usage import eventually
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.service import reply
from peer.wire import connect, spell
from peer.yamux import GO_AWAY

OURS = [("User-Agent", "piko")]
ORIGINAL = [("User-Agent", "Go-http-client/1.1")]


class Steady:
    """Requests one after the other, each on a connection of its own; what became of them."""

    def __init__(self, addr, endpoint):
        self.answers, self.failures = [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(addr, endpoint), daemon=True)
        self.thread.start()

    def run(self, addr, endpoint):
        while not self.over.is_set():
            try:
                message = fetch(addr, endpoint)
                (self.answers if message.status == 200 else self.failures).append(message.body)
            except Exception as failure:
                self.failures.append(repr(failure))
            self.over.wait(0.005)

    def more(self, count=20):
        wanted = len(self.answers) + count
        eventually(lambda: len(self.answers) >= wanted or self.failures)
        assert not self.failures, self.failures[:5]

    def end(self):
        self.over.set()
        self.thread.join(10)
        assert not self.failures, self.failures[:5]


@contextlib.contextmanager
def steady(addr, endpoint):
    load = Steady(addr, endpoint)
    try:
        load.more()
        yield load
        load.end()
    finally:
        load.over.set()


class FakeBalancer:
    """Connects each client to the next address that takes it, byte for byte."""

    def __init__(self, *addrs):
        self.addrs = itertools.cycle(addrs)
        self.count = len(addrs)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = spell(*self.listener.getsockname())
        self.sockets = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                node = self.dial()
                for source, sink in ((client, node), (node, client)):
                    threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    def dial(self):
        for _ in range(self.count):
            with contextlib.suppress(OSError):
                return connect(next(self.addrs))
        raise OSError("no node")

    def copy(self, source, sink):
        self.sockets.append(source)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            sock.close()


def told(agent):
    return sum(frame.type == GO_AWAY for frame in agent.session.frames)


def listed(node, other):
    """What `node` lists of another one."""
    nodes = json.loads(node.ask("/status/cluster/nodes").body)
    return next(item for item in nodes if item["proxy_addr"] == other.proxy)


def serves(addr, body):
    def check():
        message = fetch(addr, "web")
        return message.status == 200 and message.body == body
    return check


def test_clients_of_another_node_notice_nothing_when_the_node_with_the_tunnel_leaves(piko):
    leaver, other = piko.servers(2)
    with FakeAgent(leaver.upstream, "web", reply(200, b"old"), headers=OURS) as old:
        eventually(serves(other.proxy, b"old"))
        with steady(other.proxy, "web") as load:
            leaver.signal(signal.SIGTERM)
            old.session.wait(lambda: old.session.going_away == 0)
            load.more()
            assert load.answers[-1] == b"old"  # until it has moved
            with FakeAgent(other.upstream, "web", reply(200, b"new"), headers=OURS):
                eventually(lambda: other.listeners("web") == 1)
                old.session.go_away()
                assert leaver.wait(10) == 0
                load.more()
                assert load.answers[-1] == b"new"
                load.end()
    assert listed(other, leaver)["status"] == "left"


def test_clients_of_the_node_itself_are_served_by_another_while_it_leaves(piko):
    """The balancer has not noticed yet."""
    leaver, other = piko.servers(2)
    with FakeAgent(leaver.upstream, "web", reply(200, b"old"), headers=OURS) as old, \
            FakeAgent(other.upstream, "web", reply(200, b"new"), headers=OURS), Client(leaver.proxy) as client:
        eventually(lambda: listed(leaver, other)["endpoints"] == 1)
        client.request("web").response()
        leaver.signal(signal.SIGTERM)
        old.session.wait(lambda: old.session.going_away == 0)
        old.session.go_away()
        eventually(lambda: leaver.listeners("web") == 0)
        assert fetch(leaver.proxy, "web").body == b"new"
        message = client.request("web").response()
        assert message.body == b"new" and message.get("connection").lower() == b"close"
        assert leaver.wait(10) == 0


def test_a_node_waits_for_agents_that_are_slow_to_move(piko):
    leaver, other = piko.servers(2)
    with FakeAgent(leaver.upstream, "web", reply(200, b"old"), headers=OURS) as old:
        eventually(serves(other.proxy, b"old"))
        with steady(other.proxy, "web") as load:
            leaver.signal(signal.SIGTERM)
            start = time.monotonic()
            while time.monotonic() - start < 2.5:
                load.more(5)
            with FakeAgent(other.upstream, "web", reply(200, b"new"), headers=OURS):
                eventually(lambda: other.listeners("web") == 1)
                old.session.go_away()
                assert leaver.wait(10) == 0
                load.more()
                load.end()


def test_a_node_does_not_wait_for_ever_for_agents_that_do_not_move(piko):
    leaver, other = piko.servers(2, flags=["--grace-period", "4s"])
    with FakeAgent(leaver.upstream, "web", reply(200, b"old"), headers=OURS) as old:
        eventually(serves(other.proxy, b"old"))
        start = time.monotonic()
        leaver.signal(signal.SIGTERM)
        assert leaver.wait(8) == 0
        assert 1.9 < time.monotonic() - start < 4.5
        old.session.wait_over()
        assert old.ws.closed_with is not None  # told politely all the same
    assert listed(other, leaver)["status"] == "left"


@pytest.mark.parametrize("through", ["both", "the leaver"])
def test_a_node_that_is_left_by_nobody_because_nobody_can_leaves_quickly(piko, service, through):
    """Two nodes, and agents that have a tunnel to the other already, or know no other address than the leaver's."""
    leaver, other = piko.servers(2)
    service.fresh(reply(200, b"hello"))
    if through == "both":
        with FakeBalancer(leaver.upstream, other.upstream) as balancer:
            piko.agent("http", f"http://{balancer.addr}", "web", service.addr)
            eventually(lambda: leaver.listeners("web") == other.listeners("web") == 1)
            eventually(lambda: listed(leaver, other)["endpoints"] == listed(other, leaver)["endpoints"] == 1)
            with steady(other.proxy, "web") as load:
                start = time.monotonic()
                leaver.signal(signal.SIGTERM)
                assert leaver.wait(10) == 0
                assert time.monotonic() - start < 4
                load.more()
                load.end()
    else:
        piko.agent("http", leaver, "web", service.addr)
        start = time.monotonic()
        leaver.signal(signal.SIGTERM)
        assert leaver.wait(10) == 0
        assert 2.9 < time.monotonic() - start < 7


# Rebalancing

SHEDS = ["--upstream.rebalance.threshold", "0.2", "--upstream.rebalance.shed-rate", "1", "--upstream.rebalance.min-conns", "4"]


@pytest.fixture
def agents():
    with contextlib.ExitStack() as stack:
        yield lambda node, count, headers, **options: [
            stack.enter_context(FakeAgent(node.upstream, f"e{index}", options.get("handler", reply()), headers=headers)) for index in range(count)]


def settles(agents, count):
    """Exactly so many are told, once each, and no more in the two seconds after that."""
    eventually(lambda: sum(told(agent) > 0 for agent in agents) >= count)
    end = time.monotonic() + 2.2
    while time.monotonic() < end:
        assert [told(agent) for agent in agents].count(1) == count and sum(told(agent) for agent in agents) == count
        time.sleep(0.05)
    return [agent for agent in agents if told(agent)]


def test_a_node_with_too_many_tunnels_tells_some_to_move_once_each(piko, agents):
    full, other = piko.servers(2, flags=SHEDS)
    crowd = agents(full, 8, OURS)
    for agent in settles(crowd, 4):  # down to the average
        index = crowd.index(agent)
        assert full.listeners(f"e{index}") == 1  # until it has moved
        with FakeAgent(other.upstream, f"e{index}", reply(), headers=OURS):
            eventually(lambda: listed(full, other)["endpoints"] == 1)
            agent.session.go_away()
            eventually(lambda: full.listeners(f"e{index}") == 0)
            assert fetch(full.proxy, f"e{index}").status == 200
            assert not agent.session.over
        eventually(lambda: listed(full, other)["endpoints"] == 0)


def test_an_original_agent_that_is_shed_is_told_of_an_error_and_only_behind_its_last_stream(piko, agents):
    gate = threading.Event()

    def held(conn, head):
        conn.service.requests.put(head.target)
        gate.wait(20)
        conn.reply(200, b"held")

    full, other = piko.servers(2)
    alone = piko.server("--cluster.join", full.gossip, *SHEDS)
    crowd = agents(alone, 6, ORIGINAL, handler=held)
    clients = [Client(alone.proxy).request(f"e{index}") for index in range(6)]
    for agent in crowd:
        agent.request()
    eventually(lambda: sum(alone.listeners(f"e{index}") for index in range(6)) == 2)  # of 6 in three nodes
    assert not any(agent.session.over or told(agent) for agent in crowd)
    gate.set()
    assert [client.response().body for client in clients] == [b"held"] * 6
    eventually(lambda: sum(agent.session.over for agent in crowd) == 4)
    assert all(agent.session.going_away == 2 for agent in crowd if agent.session.over)
    for client in clients:
        client.close()
