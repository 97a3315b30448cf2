# SPDX-License-Identifier: MIT
# Two agents for one endpoint: turns, one that stops, one that dies, requests that reached it too late.
# Real processes on loopback; the services name themselves, so that an answer says who gave it.

import collections
import signal
import threading

import pytest

from harness.usage import eventually
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.service import Service, reply


class Pair:
    """One node and two agents for "web", each before a service that names itself."""

    def __init__(self, piko, kind):
        self.node = piko.server()
        self.services = [Service(reply(body=b"%d" % n)) for n in range(2)]
        self.agents = [piko.agent(kind, self.node, "web", service.addr) for service in self.services]

    def ask(self, count=1):
        return collections.Counter(fetch(self.node.proxy, "web").body for _ in range(count))

    def close(self):
        for service in self.services:
            service.close()


@pytest.fixture(params=["http", "tcp"])
def pair(request, piko):
    pair = Pair(piko, request.param)
    yield pair
    pair.close()


def test_two_agents_share_the_load_in_turn(pair):
    assert pair.ask(40) == {b"0": 20, b"1": 20}


def test_requests_of_one_connection_are_shared_too(pair, loops):
    """With more loops a tunnel of the connection's own loop may be some requests ahead: moving costs as much as they do."""
    with Client(pair.node.proxy) as client:
        answers = collections.Counter(client.request("web").response().body for _ in range(80))
    assert sum(answers.values()) == 80 and abs(answers[b"0"] - answers[b"1"]) <= (0 if loops == 1 else 9)


def test_an_agent_that_stops_is_not_chosen_again_and_nothing_fails(pair):
    stop, failures, answers = threading.Event(), [], collections.Counter()

    def load():
        with Client(pair.node.proxy) as client:
            while not stop.is_set():
                message = client.request("web").response()
                answers[message.body] += 1
                if message.status != 200:
                    failures.append(message.head.raw)

    threads = [threading.Thread(target=load) for _ in range(4)]
    [thread.start() for thread in threads]
    eventually(lambda: sum(answers.values()) > 200)
    pair.agents[0].stop()
    before = sum(answers.values())
    eventually(lambda: sum(answers.values()) > before + 200)
    stop.set()
    [thread.join(10) for thread in threads]
    assert not failures, (len(failures), failures[:3])
    assert pair.ask(10) == {b"1": 10}


def test_an_agent_that_is_killed_is_not_chosen_again(pair):
    pair.agents[0].signal(signal.SIGKILL)
    pair.agents[0].checked = True
    pair.agents[0].wait()
    eventually(lambda: pair.node.listeners("web") == 1, 3)
    assert pair.ask(10) == {b"1": 10}


def test_an_agent_that_comes_back_shares_again(pair, piko):
    pair.agents[0].stop()
    assert pair.ask(4) == {b"1": 4}
    piko.agent("http", pair.node, "web", pair.services[0].addr)
    assert pair.ask(20) == {b"0": 10, b"1": 10}


@pytest.mark.parametrize("body", [None, b"small", b"x" * 60_000], ids=["none", "small", "60k"])
@pytest.mark.parametrize("late", ["reset", "close", "go away"])
def test_a_request_that_reached_an_agent_too_late_is_tried_on_the_other(piko, late, body):
    """The first agent takes the stream and leaves before a byte of answer. The service may have acted on it: idempotent methods only."""
    node = piko.server()

    def leave(conn, head):
        conn.service.requests.put("came")
        if late == "reset":
            conn.sock.reset()
        elif late == "close":
            conn.sock.session.close()
        else:
            conn.sock.session.go_away()
            conn.sock.reset()
        conn.open = False

    with FakeAgent(node.upstream, "web", reply(body=b"good")):
        eventually(lambda: node.listeners("web") == 1)
        for _ in range(4):
            with FakeAgent(node.upstream, "web", leave) as leaver:
                eventually(lambda: node.listeners("web") == 2)
                for _ in range(2):  # in turn: one of the two goes to the leaver first
                    message = fetch(node.proxy, "web", "/", "PUT" if body else "GET", body=body)
                    assert message.status == 200 and message.body == b"good"
                assert leaver.requests.qsize() >= 1
            eventually(lambda: node.listeners("web") == 1)


@pytest.mark.parametrize("body", [None, b"small", b"x" * 60_000], ids=["none", "small", "60k"])
def test_any_request_that_an_agent_refused_is_tried_on_the_other(piko, body):
    """A stream reset before it was accepted reached no service: a POST may be sent again, too."""
    node = piko.server()
    with FakeAgent(node.upstream, "web", reply(body=b"good")), FakeAgent(node.upstream, "web", lambda c, h: None, manual=True) as refuses:
        refuses.session.on_stream = lambda stream: stream.reset()
        eventually(lambda: node.listeners("web") == 2)
        for _ in range(10):
            message = fetch(node.proxy, "web", "/", "POST", body=body)
            assert message.status == 200 and message.body == b"good"


def test_a_post_that_an_agent_had_accepted_is_not_sent_twice(piko):
    node = piko.server()

    def leave(conn, head):
        conn.read_body(head)
        conn.sock.session.close()
        conn.open = False

    with FakeAgent(node.upstream, "web", leave):
        eventually(lambda: node.listeners("web") == 1)
        with FakeAgent(node.upstream, "web", reply(body=b"other")) as other:
            eventually(lambda: node.listeners("web") == 2)
            statuses = sorted(fetch(node.proxy, "web", "/", "POST", body=b"once").status for _ in range(2))
            assert statuses == [200, 502] and other.requests.qsize() == 1


def test_a_post_that_a_lost_agent_may_have_had_is_not_sent_twice(piko):
    """The tunnel breaks before the agent said that it took the stream: the service may have seen it all the same."""
    node = piko.server()

    def leave(stream):
        stream.recv()
        stream.session.ws.reset()

    with FakeAgent(node.upstream, "web", reply(body=b"other")) as other:
        with FakeAgent(node.upstream, "web", manual=True, grants=False) as leaver:
            leaver.session.on_stream = leave
            eventually(lambda: node.listeners("web") == 2)
            statuses = sorted(fetch(node.proxy, "web", "/", "POST", body=b"once").status for _ in range(2))
            assert statuses == [200, 502] and other.requests.qsize() == 1


def test_a_request_that_cannot_be_sent_again_is_not(piko):
    """A body beyond what is held: 502, and the other agent never sees a part of it."""
    node = piko.server()

    def leave(conn, head):
        conn.read_exact(200_000)
        conn.sock.session.close()
        conn.open = False

    with FakeAgent(node.upstream, "web", leave):
        eventually(lambda: node.listeners("web") == 1)
        client = Client(node.proxy).request("web", method="POST", body=b"y" * 250_000)
        with FakeAgent(node.upstream, "web", reply(body=b"other")) as other:
            assert client.response().status == 502
            assert other.requests.empty()


def test_a_broken_response_is_never_started_again(piko):
    """Bytes of an answer were passed on: the client sees it end, not a second head."""
    node = piko.server()

    def half(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        conn.service.requests.get(timeout=10)
        conn.sock.session.close()

    with FakeAgent(node.upstream, "web", half) as agent:
        eventually(lambda: node.listeners("web") == 1)
        with Client(node.proxy) as client:
            client.request("web").head()
            client.wire.read_until(b"half")
            with FakeAgent(node.upstream, "web", reply()):
                eventually(lambda: node.listeners("web") == 2)
                agent.requests.put("go on")
                assert client.wire.read_to_end() == b""


@pytest.mark.parametrize("host, status", [("MyShop.example.com", 200), ("myshop.example.com", 200), ("MYSHOP.x", 200), ("myshops.x", 502)])
def test_an_endpoint_in_mixed_case_is_found_by_a_host_in_any(piko, host, status):
    node = piko.server()
    with FakeAgent(node.upstream, "MyShop", reply(body=b"shop")):
        eventually(lambda: node.listeners("MyShop") == 1)
        with Client(node.proxy) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert client.response().status == status
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nx-piko-endpoint: myshop\r\n\r\n")
            assert client.response().status == 502  # a field names an endpoint exactly


def test_many_agents_for_many_endpoints(piko):
    node = piko.server()
    agents = [FakeAgent(node.upstream, f"e{n % 10}", reply(body=b"e%d" % (n % 10))) for n in range(40)]
    eventually(lambda: all(node.listeners(f"e{n}") == 4 for n in range(10)))
    for n in range(30):
        assert fetch(node.proxy, f"e{n % 10}").body == b"e%d" % (n % 10)
    for agent in agents:
        agent.close()
    eventually(lambda: not any(node.listeners(f"e{n}") for n in range(10)))
