# SPDX-License-Identifier: MIT
# Requests of many clients that share one session between two nodes: what goes that way and what does not, who may open one, and what becomes of
# requests when a session is refused, lost or told to go. Real nodes on loopback; a member is played where each step is to be held.

import itertools
import signal
import threading
import time

import pytest

from harness.usage import eventually
from peer import http1
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.service import Connection, Service, echo, reply
from peer.websocket import Refused, WebSocket
from peer.wire import Ended
from peer.yamux import ACK, PING, SYN, WINDOW, Session, encode

from .gate import Gate, gated
from .test_routing import check_the_other_answers_while_one_stands_still, knows, node_id, pair, three  # noqa: F401

OURS = [("User-Agent", "piko")]
FORWARD = [("Host", "web.example.com"), ("x-piko-endpoint", "web"), ("x-piko-forward", "true"), ("x-piko-node", "other"), ("Connection", "close")]


def counted(node, name):
    """The sum of a metric over its labels."""
    lines = node.ask("/metrics").body.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"piko_upstreams_{name}_requests_total"))


def warm(front, endpoint="web"):
    """Sends requests until those of all loops of the node share a session. On a slow machine some ask again meanwhile, each loop's every 5 s."""

    def all_share(count=25):
        before, started = counted(front, "shared"), time.monotonic()
        assert all(fetch(front.proxy, endpoint).status == 200 for _ in range(count))
        missing = count - (counted(front, "shared") - before)
        return missing <= int((time.monotonic() - started) / 5) * 4

    eventually(all_share, 60)


def dial(node, loop=0, source=None):
    """A session with a node, as a member opens it."""
    fields = [("x-piko-loop", str(loop)), ("x-piko-forward", "true")]
    return Session(WebSocket.dial(node.proxy, "/_piko/v1/node", fields, source=source), 1)


def ask(session, method="GET", body=b"", fields=FORWARD):
    stream = session.open()
    wire = Connection(stream)
    wire.dresses = True  # a node's requests have its client's token
    length = [("Content-Length", str(len(body)))] if body else []
    wire.send(http1.head_bytes(f"{method} / HTTP/1.1", [*fields, *length]) + body)
    return wire


# What goes that way


def test_requests_of_many_clients_share_a_session_and_arrive_as_over_a_connection(pair, service):  # noqa: F811
    front, home = pair
    warm(front)
    service.fresh(echo)
    before = [counted(front, name) for name in ("shared", "remote")]
    clients = [Client(front.proxy) for _ in range(8)]
    for number in range(20):
        for client in clients:
            client.request("web", f"/{number}", "POST", [("User-Agent", "x/1")], b"x" * (number * 3000))
        for client in clients:
            message = client.response("POST")
            assert (message.status, len(message.body), message.get("x-piko-loops")) == (200, number * 3000, None)
            head = service.request().head
            assert head.target == b"/%d" % number and head.get("x-forwarded-for") == b"127.0.0.1"
            assert head.get("x-forwarded-host") == b"web.example.com" and head.get("x-piko-forward") == b"true"
            assert head.get("x-piko-node") is None and head.get("user-agent") == b"x/1"
    eventually(lambda: counted(front, "remote") - before[1] == 160)
    assert counted(front, "shared") - before[0] >= 100  # now and then one asks again where the tunnels are
    assert front.metric(f'piko_upstreams_shared_requests_total{{node_id="{node_id(front, home)}"}}') == counted(front, "shared")
    for client in clients:
        client.close()


def test_what_cannot_be_sent_again_and_upgrades_have_a_connection_of_their_own(pair, service):  # noqa: F811
    front, _ = pair
    warm(front)
    before = counted(front, "shared")
    service.fresh(echo)
    for body in (b"x" * 100_000, [b"chunk"] * 3):
        assert fetch(front.proxy, "web", method="POST", body=body).status == 200

    def upgrade(conn, head):
        conn.send(http1.head_bytes("HTTP/1.1 101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "echo")]))
        conn.send(conn.read_to_end())
        conn.close()

    service.fresh(upgrade)
    with Client(front.proxy) as client:
        client.request("web", headers=[("Connection", "Upgrade"), ("Upgrade", "echo")])
        assert client.head().status == 101
        client.send(b"through")
        client.wire.shut()
        assert client.wire.read_to_end() == b"through"
    assert counted(front, "shared") == before


def test_a_service_cannot_say_where_tunnels_are(pair, service):  # noqa: F811
    front, home = pair
    service.fresh(reply(200, b"x", [("x-piko-loops", "200")]))
    for addr in (front.proxy, home.proxy):
        for _ in range(5):
            assert fetch(addr, "web").get("x-piko-loops") is None
    warm(front)


def test_bodies_without_a_length_trailers_and_early_answers_share_too(pair, service):  # noqa: F811
    front, _ = pair
    warm(front)

    def answer(conn, head):
        if head.target == b"/chunked":
            conn.read_body(head)
            fields = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
            return conn.send(http1.head_bytes("HTTP/1.1 200 OK", fields) + http1.chunked(b"a", b"b" * 100_000, trailers=[("X-Sum", "1")]))
        if head.target == b"/close":
            conn.read_body(head)
            conn.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
            return conn.close()
        conn.reply(413, b"too much")  # before the body
        conn.read_body(head)

    service.fresh(answer)

    def all_share():
        before = counted(front, "shared")
        message = fetch(front.proxy, "web", "/chunked")
        assert len(message.body) == 100_001 and message.trailers
        assert fetch(front.proxy, "web", "/close").body == b"until the end"
        with Client(front.proxy) as client:
            client.send(http1.head_bytes("POST /early HTTP/1.1", [("Host", "web.example.com"), ("Content-Length", "10")]))
            assert client.response("POST").status == 413
        return counted(front, "shared") == before + 3

    eventually(all_share, 30)


def test_a_client_that_leaves_ends_its_stream_only(pair, service):  # noqa: F811
    front, _ = pair
    warm(front)
    hold, left = threading.Event(), threading.Event()

    def answer(conn, head):
        if head.target == b"/held":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin")
            conn.read_to_end()
            return left.set()
        if head.target == b"/slow":
            hold.wait(10)
        conn.reply(200, b"hello")

    service.fresh(answer)
    with Client(front.proxy) as other:
        other.request("web", "/slow")
        with Client(front.proxy) as client:
            client.request("web", "/held")
            client.head()
        assert left.wait(10)
        hold.set()
        assert other.response().body == b"hello"


# Who may open one


def test_only_a_member_may_open_a_session(pair):  # noqa: F811
    _, home = pair
    fields = [("Host", "x"), ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
              ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("x-piko-loop", "0")]
    for source, headers, status in [
        ("127.0.0.3", fields, 404), ("127.0.0.1", fields[:-1], 404), ("127.0.0.1", [*fields[:-1], ("x-piko-loop", "99")], 404),
        ("127.0.0.1", [*fields[:-1], ("x-piko-loop", "-1")], 404), ("127.0.0.1", [fields[0], fields[-1]], 426), ("127.0.0.1", fields, 101),
    ]:
        with Client(home.proxy, source=source) as client:
            client.send(http1.head_bytes("GET /_piko/v1/node HTTP/1.1", headers))
            assert client.head().status == status, (source, headers)


def test_a_stream_is_served_as_a_forwarded_request_and_a_reset_ends_it_alone(pair, service, loops):  # noqa: F811
    _, home = pair
    where = next(loop for loop in range(loops) if served(home, loop))
    session = dial(home, loop=where)
    assert http1.read_response(ask(session)).body == b"hello"
    held = threading.Event()
    service.fresh(lambda conn, head: held.wait(10) and conn.reply(200, b"late"))
    first, second = ask(session), ask(session)
    first.sock.reset()
    held.set()
    assert http1.read_response(second).body == b"late"
    refused = http1.read_response(ask(session, fields=[FORWARD[0], ("x-piko-endpoint", "none"), *FORWARD[2:]]))
    assert (refused.status, refused.get("x-piko-refused"), refused.get("x-piko-loops")) == (502, b"1", None)
    assert not session.violations
    session.close()


def faults(node, kind):
    return node.metric(f'piko_nodes_faults_total{{kind="{kind}"}}')


def test_what_a_member_does_against_the_rules_is_counted(pair):  # noqa: F811
    _, home = pair
    session = dial(home)
    session.send_frame(PING, ACK, 0, 99)
    eventually(lambda: faults(home, "frame") == 1)
    assert faults(home, "protocol") == 0
    session.send_frame(WINDOW, SYN, 2, 0)  # an id of the other side
    session.wait_over()
    eventually(lambda: faults(home, "protocol") == 1)


def test_what_a_node_does_in_a_session_that_was_dialled_to_it_is_counted(piko, service):
    with Gate() as gate:
        front, home = gated(piko, gate)
        piko.agent("http", home, "web", service.addr)
        piko.until(front, knows(front, 1))
        for kind, frame in [("stream", encode(WINDOW, SYN, 2, 0)), ("protocol", encode(9, 0, 0, 0))]:
            warm(front)
            assert gate.sessions
            expected = faults(front, kind) + len(gate.sessions)
            gate.say(frame)
            eventually(lambda: faults(front, kind) >= expected)
            gate.cut()  # home has had an answer to what it never said
            eventually(lambda: fetch(front.proxy, "web").status == 200)


def test_the_streams_of_who_is_a_member_no_more_are_refused_and_counted(piko):
    home = piko.server()
    other = ("--cluster.node-id", "other", "--cluster.join", home.gossip)
    member = piko.server(*other, "--proxy.advertise-addr", "127.0.0.2:1")
    piko.until(home, lambda: home.active == 2)
    session = dial(home, source="127.0.0.2")
    member.stop()
    piko.server(*other, "--proxy.advertise-addr", "127.0.0.3:1")
    piko.until(home, lambda: any(node["proxy_addr"] == "127.0.0.3:1" for node in home.nodes))
    session.open()
    eventually(lambda: faults(home, "stranger") == 1)
    session.ping()
    session.close()


def test_a_members_stream_beyond_the_nodes_limit_is_refused_and_counted(piko):
    home = piko.server("--proxy.limits.connections", "1")
    piko.server("--cluster.join", home.gossip)
    piko.until(home, lambda: home.active == 2)
    session = dial(home)  # it takes the place
    session.open()
    eventually(lambda: home.metric('piko_proxy_connections_refused_total{limit="connections"}') == 1)
    session.close()


def served(node, loop):
    session = dial(node, loop=loop)
    message = http1.read_response(ask(session))
    session.close()
    if message.status != 200:
        assert message.get("x-piko-refused") == b"1" and message.get("x-piko-loops")
    return message.status == 200


# What becomes of requests


def test_a_node_that_knows_no_sessions_is_asked_once_and_served_over_connections(piko, service, loops):
    with Gate() as gate:
        gate.speaks = False
        front, home = gated(piko, gate)
        piko.agent("http", home, "web", service.addr)
        piko.until(front, knows(front, 1))
        for number in range(100):
            assert fetch(front.proxy, "web", method="POST", body=b"x").status == 200, number
        eventually(lambda: 1 <= gate.asked <= loops)  # by each loop
        eventually(lambda: counted(front, "remote") == 100)
        assert counted(front, "shared") == 0


def hold_two(front, service, reader, writer):
    """Has a GET and a POST wait in sessions for an answer that never comes; what is asked later is answered. The way to end the wait."""
    for _ in range(10):
        calls, over = itertools.count(), threading.Event()

        def answer(conn, head):
            conn.service.requests.put(conn.read_body(head))
            if next(calls) < 2:
                over.wait(20)
            conn.reply(200, b"second")

        before = counted(front, "shared")
        service.fresh(answer)
        reader.request("web")
        writer.request("web", method="POST", body=b"x")
        [service.request() for _ in range(2)]
        if counted(front, "shared") == before + 2:
            return over
        over.set()  # one of them asked where the tunnel is
        reader.response(), writer.response("POST")
    raise AssertionError("no two requests shared a session")


def test_a_session_that_is_lost_costs_only_what_cannot_be_sent_again(piko, service):
    with Gate() as gate:
        front, home = gated(piko, gate)
        piko.agent("http", home, "web", service.addr)
        piko.until(front, knows(front, 1))
        warm(front)
        with Client(front.proxy) as reader, Client(front.proxy) as writer:
            over = hold_two(front, service, reader, writer)
            gate.cut()
            assert reader.response().body == b"second"
            assert writer.response("POST").status == 502
            for _ in range(20):
                assert writer.request("web", method="POST", body=b"x").response("POST").status == 200
            over.set()
        warm(front)


def test_a_tunnel_that_moves_to_another_loop_loses_no_request(pair, service):  # noqa: F811
    front, home = pair
    agents = [FakeAgent(home.upstream, "moving", echo, headers=OURS)]
    try:
        piko_knows = lambda: any(item["endpoints"] == 2 for item in front.nodes)  # noqa: E731
        eventually(piko_knows)
        warm(front, "moving")
        for _ in range(5):
            agents.append(FakeAgent(home.upstream, "moving", echo, headers=OURS))
            eventually(lambda: home.listeners("moving") == 2)
            agents.pop(0).close()
            eventually(lambda: home.listeners("moving") == 1)
            for number in range(20):
                message = fetch(front.proxy, "moving", method="POST", body=b"%d" % number)
                assert (message.status, message.body) == (200, b"%d" % number)
        assert counted(front, "shared") > 50
    finally:
        for agent in agents:
            agent.close()


def test_agents_on_several_loops_share_the_load(piko):
    front, home = piko.servers(2)
    services = [Service(reply(body=b"%d" % n)) for n in range(4)]
    try:
        for each in services:
            piko.agent("http", home, "web", each.addr)
        piko.until(front, lambda: sum(item["upstreams"] for item in front.nodes) == 4)
        warm(front)
        with Client(front.proxy) as client:
            answers = [client.request("web").response().body for _ in range(400)]
        assert min(answers.count(b"%d" % n) for n in range(4)) > 50
        assert counted(front, "shared") > 200
    finally:
        for each in services:
            each.close()


def test_what_waits_in_a_session_of_a_frozen_node_goes_elsewhere(three):  # noqa: F811
    front, others, _, _ = three
    for _ in range(40):
        fetch(front.proxy, "web")
    check_the_other_answers_while_one_stands_still(front, others[0])


def test_a_node_that_leaves_says_so_on_its_sessions_and_serves_what_it_was_sent(pair, service, loops):  # noqa: F811
    _, home = pair
    where = next(loop for loop in range(loops) if served(home, loop))
    session, idle = dial(home, loop=where), dial(home, loop=where)
    arrived, held = threading.Event(), threading.Event()
    service.fresh(lambda conn, head: arrived.set() or held.wait(10) and conn.reply(200, b"late"))
    waiting = ask(session)
    assert arrived.wait(10)
    home.signal(signal.SIGTERM)
    session.wait(lambda: session.going_away == 0)
    with pytest.raises(Refused) as refused:
        dial(home)
    assert refused.value.status == 503
    idle.wait_over()
    held.set()
    assert http1.read_response(waiting).body == b"late"
    session.wait_over()
    home.stop(20)


def test_a_session_with_nothing_to_do_holds_up_no_node_that_leaves(pair):  # noqa: F811
    front, home = pair
    warm(front)
    started = time.monotonic()
    front.stop(20)
    home.stop(20)
    assert time.monotonic() - started < 15


def test_a_stream_that_ends_before_its_head_is_over_is_nothing(pair):  # noqa: F811
    _, home = pair
    session = dial(home)
    stream = session.open()
    Connection(stream).send(b"GET / HT")
    stream.reset()
    with pytest.raises((Ended, OSError)):
        Connection(stream).read_exact(1)
    session.ping()
    assert not session.over and not session.violations
    session.close()
