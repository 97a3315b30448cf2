# SPDX-License-Identifier: MIT
# Requests that cross nodes: what the service sees of them, who may say that it forwards, what goes elsewhere when a tunnel or a node fails, how
# load is spread. Real nodes on loopback. That every kind of message crosses nodes whole is what the other tests show with --nodes 2.

import collections
import signal
import threading
import time

import pytest

from harness.ports import free_port
from harness.usage import eventually
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.service import Service, echo, reply
from peer.wire import Wire, connect


def knows(node, endpoints):
    """Whether the node knows so many (node, endpoint) pairs."""
    return lambda: sum(item["endpoints"] for item in node.nodes) == endpoints


def node_id(front, other):
    return next(item["id"] for item in front.nodes if item["proxy_addr"] == other.proxy)


@pytest.fixture
def pair(piko, service):
    """The front node has no tunnel; home has the one to the service."""
    front, home = piko.servers(2)
    piko.agent("http", home, "web", service.addr)
    piko.until(front, knows(front, 1))
    return front, home


def ask(addr, headers=(), source="127.0.0.1", target="/"):
    """One request from an address of its own."""
    return fetch(addr, "web", target, headers=headers, source=source)


# What the service sees


def test_the_service_sees_the_client_once_and_nothing_of_the_hop(pair, service):
    front, _ = pair
    assert ask(front.proxy, [("User-Agent", "x/1")], "127.0.0.3", "/a%2Fb?c=d").status == 200
    head = service.request().head
    assert head.target == b"/a%2Fb?c=d" and head.get("host") == b"web.example.com" and head.get("user-agent") == b"x/1"
    assert head.get("x-forwarded-for") == b"127.0.0.3" and head.get("x-forwarded-proto") == front.scheme.encode()
    assert head.get("x-forwarded-host") == b"web.example.com" and head.get("x-piko-forward") == b"true"
    assert head.get("x-piko-node") is None and head.get("x-piko-refused") is None


def test_what_proxies_before_us_said_stays_in_front(pair, service):
    front, _ = pair
    before = [("X-Forwarded-For", "10.1.1.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example")]
    assert ask(front.proxy, before, "127.0.0.3").status == 200
    head = service.request().head
    assert head.get("x-forwarded-for") == b"10.1.1.1, 127.0.0.3"
    assert head.get("x-forwarded-proto") == b"https" and head.get("x-forwarded-host") == b"shop.example"


def test_a_request_from_an_original_node_is_served_as_it_came(pair, service):
    """The head that an original node sends, recorded: it has added its client's address, and so nothing is added again."""
    _, home = pair
    fields = [("User-Agent", "curl/8.5.0"), ("Accept", "*/*"), ("X-Forwarded-For", "127.0.0.3"), ("X-Piko-Forward", "true"), ("Accept-Encoding", "gzip")]
    assert ask(home.proxy, fields).status == 200
    head = service.request().head
    assert head.get("x-forwarded-for") == b"127.0.0.3" and head.get("x-piko-forward") == b"true"
    assert head.get("x-forwarded-proto") is None and head.get("accept-encoding") == b"gzip"


def test_connections_between_nodes_are_kept(pair, service):
    front, home = pair
    clients = [Client(front.proxy) for _ in range(4)]
    for _ in range(50):
        for client in clients:
            assert client.request("web").response().status == 200
    front.counts(f'piko_upstreams_remote_requests_total{{node_id="{node_id(front, home)}"}}', 200)
    for client in clients:
        client.close()


def test_the_access_log_says_which_node(pair, service):
    front, home = pair
    assert fetch(front.proxy, "web").status == 200
    line = front.wait_line(lambda line: line["msg"] == "request")
    assert line["request"]["node_id"] == node_id(front, home) and line["request"]["status"] == 200


# Who may say that it forwards


def test_a_strangers_x_piko_forward_is_dropped(pair, service):
    front, _ = pair
    assert ask(front.proxy, [("x-piko-forward", "true")], "127.0.0.3").status == 200
    assert service.request().head.all("x-piko-forward") == [b"true"]


def test_a_members_x_piko_forward_is_obeyed_and_the_refusal_marked(pair, service):
    front, _ = pair
    message = ask(front.proxy, [("x-piko-forward", "true")])
    assert (message.status, message.get("x-piko-refused")) == (502, b"1")
    assert service.requests.empty()


def test_a_services_own_mark_is_neither_obeyed_nor_passed_on(pair, service):
    front, _ = pair
    service.fresh(reply(502, b"mine", [("x-piko-refused", "1")]))
    message = ask(front.proxy, source="127.0.0.3")
    assert (message.status, message.body, message.get("x-piko-refused")) == (502, b"mine", None)
    service.request()
    assert service.requests.empty()


# What goes elsewhere


@pytest.fixture
def three(piko):
    """A front without tunnels, and two nodes with one tunnel each to services that name themselves."""
    front = piko.server()
    others = [piko.server("--cluster.join", front.gossip) for _ in range(2)]
    services = [Service(reply(body=b"%d" % n)) for n in range(2)]
    agents = [piko.agent("http", node, "web", service.addr) for node, service in zip(others, services)]
    piko.until(front, knows(front, 2))
    yield front, others, services, agents
    for service in services:
        service.close()


def test_listeners_of_other_nodes_share_the_load(three):
    front, _, _, _ = three
    answers = collections.Counter(fetch(front.proxy, "web").body for _ in range(200))
    assert answers[b"0"] > 60 and answers[b"1"] > 60 and sum(answers.values()) == 200


def test_a_killed_node_costs_no_request_that_comes_later(three):
    front, others, _, _ = three
    with Client(front.proxy) as client:
        for _ in range(20):
            assert client.request("web").response().status == 200
        others[0].kill()
        others[0].checked = True
        for number in range(200):
            method, body = ("POST", b"x") if number % 2 else ("GET", None)
            message = client.request("web", method=method, body=body).response(method)
            assert (message.status, message.body) == (200, b"1"), number


def check_the_other_answers_while_one_stands_still(front, frozen):
    """Twenty requests at once, in time and all by the node "1"."""
    frozen.signal(signal.SIGSTOP)
    try:
        answers, started = [], time.monotonic()

        def one():
            with Client(front.proxy, 20) as client:
                answers.append(client.request("web").response().body)

        threads = [threading.Thread(target=one) for _ in range(20)]
        [thread.start() for thread in threads]
        [thread.join(20) for thread in threads]
        assert answers == [b"1"] * 20 and time.monotonic() - started < 6
    finally:
        frozen.signal(signal.SIGCONT)


def test_what_waits_on_a_frozen_node_goes_elsewhere(three):
    front, others, _, _ = three
    check_the_other_answers_while_one_stands_still(front, others[0])


def test_a_node_whose_tunnel_has_just_gone_declines_and_another_serves(three):
    """Requests sent on stale news: POST too, for nobody has seen them."""
    front, others, services, agents = three
    agents[0].kill()
    agents[0].checked = True
    eventually(lambda: others[0].listeners("web") == 0)
    for _ in range(30):
        message = fetch(front.proxy, "web", method="POST", body=b"x")
        assert (message.status, message.body) == (200, b"1")


def refusing(node, endpoint):
    """An agent that has just gone: its tunnel is there and refuses every stream."""
    agent = FakeAgent(node.upstream, endpoint, lambda conn, head: None, manual=True)
    agent.session.on_stream = lambda stream: stream.reset()
    return agent


@pytest.mark.parametrize("body", [None, b"small", b"x" * 60_000], ids=["none", "small", "60k"])
def test_what_tunnels_of_this_node_refuse_another_node_serves(pair, service, body):
    front, _ = pair
    with refusing(front, "web"):
        eventually(lambda: front.listeners("web") == 1)
        service.fresh(echo)
        for _ in range(5):
            message = fetch(front.proxy, "web", method="POST", body=body)
            assert (message.status, message.body) == (200, body or b"")


def test_what_another_nodes_tunnels_refuse_the_next_node_serves(piko, service):
    front = piko.server()
    nodes = [piko.server("--cluster.join", front.gossip) for _ in range(2)]
    piko.agent("http", nodes[1], "web", service.addr)
    with refusing(nodes[0], "web"):
        piko.until(front, knows(front, 2))
        for _ in range(20):
            assert fetch(front.proxy, "web", method="POST", body=b"x").status == 200


@pytest.mark.parametrize("where", ["here", "there", "both"])
def test_what_an_agent_without_its_service_cannot_serve_another_agent_does(piko, service, where):
    front, home = piko.servers(2)
    dead = [front] if where == "here" else [home] if where == "there" else [front, home]
    for node in dead:
        piko.agent("http", node, "web", f"127.0.0.1:{free_port()}")
    assert fetch(front.proxy, "web").status == 502
    piko.agent("http", home, "web", service.addr)
    piko.until(front, lambda: sum(item["upstreams"] for item in front.nodes) == len(dead) + 1)
    for number in range(30):
        method, body = ("POST", b"x") if number % 2 else ("GET", None)
        message = fetch(front.proxy, "web", method=method, body=body)
        assert (message.status, message.get("x-piko-refused")) == (200, None), number


def test_a_tcp_client_whose_tunnel_here_refuses_is_served_by_another_node(piko):
    def answer(conn):
        conn.send(b"got " + conn.read_to_end())
        conn.close()

    with Service(answer, raw=True) as raw:
        front, home = piko.servers(2)
        piko.agent("tcp", home, "db", raw.addr)
        piko.until(front, knows(front, 1))
        with refusing(front, "db"):
            eventually(lambda: front.listeners("db") == 1)
            forward = piko.forward(front, "db")
            for _ in range(3):
                with Wire(connect(forward.addr)) as wire:
                    wire.send(b"x" * 1000)
                    wire.shut()
                    assert wire.read_to_end() == b"got " + b"x" * 1000


def test_a_node_that_stops_loses_no_request(three):
    """Its agent knows no other node, so it is waited for in vain; all the while the front node may choose it."""
    front, others, services, agents = three
    stop, failures, count = threading.Event(), [], collections.Counter()

    def load():
        with Client(front.proxy) as client:
            while not stop.is_set():
                message = client.request("web", method="POST", body=b"x").response("POST")
                count[message.body] += 1
                if message.status != 200:
                    failures.append(message.head.raw + message.body)

    threads = [threading.Thread(target=load) for _ in range(4)]
    [thread.start() for thread in threads]
    eventually(lambda: count[b"0"] > 100)
    others[0].stop(40)
    before = sum(count.values())
    eventually(lambda: sum(count.values()) > before + 200)
    stop.set()
    [thread.join(10) for thread in threads]
    assert not failures, (len(failures), failures[:3])


# How load is spread


def test_balancing_over_the_cluster_takes_all_listeners_alike(piko):
    front = piko.server("--proxy.load-balancing", "cluster")
    other = piko.server("--cluster.join", front.gossip)
    services = [Service(reply(body=b"%d" % n)) for n in range(3)]
    try:
        for node, service in zip((front, other, other), services):
            piko.agent("http", node, "web", service.addr)
        piko.until(front, lambda: sum(item["upstreams"] for item in front.nodes) == 3)
        answers = collections.Counter(fetch(front.proxy, "web").body for _ in range(300))
        assert min(answers[b"%d" % n] for n in range(3)) > 60
        assert {fetch(other.proxy, "web").body for _ in range(20)} == {b"1", b"2"}
    finally:
        for service in services:
            service.close()


# What a service may not say


@pytest.mark.parametrize("kind", ["tcp", "original"])
def test_a_service_cannot_say_that_nobody_was_reached(piko, service, kind):
    """It would have the same POST sent to itself again and again."""
    node = piko.server()
    forged = reply(503, b"busy", [("x-piko-refused", "1")])
    service.fresh(forged)
    if kind == "tcp":
        for _ in range(3):
            piko.agent("tcp", node, "web", service.addr)
        answer = fetch(node.proxy, "web", method="POST", body=b"once")
        seen = service.requests.qsize()
    else:
        agents = [FakeAgent(node.upstream, "web", forged, headers=[("User-Agent", "Go-http-client/1.1"), ("x-piko-protocol", "http")]) for _ in range(3)]
        eventually(lambda: node.listeners("web") == 3)
        answer = fetch(node.proxy, "web", method="POST", body=b"once")
        seen = sum(agent.requests.qsize() for agent in agents)
        for agent in agents:
            agent.close()
    assert answer.status == 503 and answer.body == b"busy" and answer.get("x-piko-refused") is None
    assert seen == 1
