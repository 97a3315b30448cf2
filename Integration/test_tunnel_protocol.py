# SPDX-License-Identifier: MIT
# The tunnel protocol as an independent peer sees it, at both ends: opening, acceptance, windows, half close, pings,
# go away, dial answers, text messages, tenants and paths.

import json
import os
import threading
import time

import pytest

from harness.ports import free_port
from harness.usage import eventually
from peer import http1
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.server import FakeServer, ask
from peer.service import echo, reply
from peer.websocket import PING, PONG, TEXT, Refused, WebSocket
from peer.wire import Wire
from peer.yamux import RST, SYN, StreamReset


@pytest.fixture
def node(piko):
    return piko.server()


def served(node, endpoint):
    eventually(lambda: node.listeners(endpoint))


def test_an_independent_agent_is_served(node):
    with FakeAgent(node.upstream, "web", echo) as agent:
        served(node, "web")
        data = os.urandom(2 << 20)
        assert fetch(node.proxy, "web", "/x", "POST", body=data, timeout=30).body == data
        assert agent.session.violations == [] and not agent.errors
        assert all(frame.stream % 2 == 0 for frame in agent.session.frames)


def test_stream_ids_are_even_and_rise(node):
    with FakeAgent(node.upstream, "web", reply()) as agent:
        served(node, "web")
        for _ in range(10):
            with Client(node.proxy) as client:
                client.request("web", headers=[("Connection", "close")]).response()
        ids = [frame.stream for frame in agent.session.frames if frame.flags & SYN and frame.stream]
        assert ids == sorted(ids) and ids[0] == 2 and len(set(ids)) == len(ids)


def test_a_window_larger_than_256_kib_is_used(node):
    """Nothing is granted back: all of it must come in the window that was announced with the ACK."""
    size = 2 << 20
    with FakeAgent(node.upstream, "db", lambda conn: conn.read_exact(size) and conn.send(b"all"), raw=True, window=3 << 20, grants=False):
        served(node, "db")
        with WebSocket.dial(node.proxy, "/_piko/v1/tcp/db") as forward:
            threading.Thread(target=lambda: [forward.send(b"x" * 65536) for _ in range(size // 65536)], daemon=True).start()
            assert forward.recv() == b"all"


def test_a_larger_window_is_offered_for_a_fast_stream(node):
    """The receive window grows with what is measured; here only that much more than 256 KiB passes at all and whole."""
    data = os.urandom(8 << 20)
    with FakeAgent(node.upstream, "web", reply(body=data)):
        served(node, "web")
        assert fetch(node.proxy, "web", timeout=30).body == data


def test_a_go_away_ends_selection_but_not_what_runs(node):
    gate = threading.Event()

    def handler(conn, head):
        if head.target == b"/held":
            conn.service.requests.put("held")
            gate.wait(10)
        conn.reply(200, b"done")

    with FakeAgent(node.upstream, "web", handler) as agent:
        served(node, "web")
        with Client(node.proxy) as client:
            client.request("web", "/held")
            agent.request()
            agent.session.go_away()
            eventually(lambda: fetch(node.proxy, "web").status == 502)
            gate.set()
            assert client.response().body == b"done"


def test_a_request_refused_by_reset_is_tried_on_another_tunnel(node):
    with FakeAgent(node.upstream, "web", reply(body=b"good")), FakeAgent(node.upstream, "web", manual=True) as refuses:
        served(node, "web")
        threading.Thread(target=refuse_all, args=(refuses.session,), daemon=True).start()
        for _ in range(20):
            assert fetch(node.proxy, "web").body == b"good"
        assert any(frame.flags & SYN for frame in refuses.session.frames)


def refuse_all(session):
    done = set()
    while not session.over:
        with session.changed:
            session.changed.wait(0.2)
            fresh = [f.stream for f in session.frames if f.flags & SYN and f.stream and f.stream not in done]
        for stream in fresh:
            done.add(stream)
            session.send_frame(1, RST, stream, 0)


def test_the_node_answers_pings_and_sends_its_own(node):
    with FakeAgent(node.upstream, "web", reply()) as agent:
        for value in (0, 1, 0xFFFFFFFF):
            agent.session.ping(value)


def test_websocket_pings_on_the_tunnel_are_answered(node):
    with dial_tunnel(node.upstream, "web") as ws:
        ws.send_frame(PING, b"are you there")
        while (frame := ws.read_frame())[0] != PONG:
            pass
        assert frame[2] == b"are you there"


def test_a_websocket_close_from_the_agent_is_answered_and_ends_the_tunnel(node):
    agent = FakeAgent(node.upstream, "web", reply())
    served(node, "web")
    agent.ws.send_close()
    agent.session.wait_over()
    eventually(lambda: fetch(node.proxy, "web").status == 502)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_agent_that_is_gone_is_not_chosen_again(node, how):
    agent = FakeAgent(node.upstream, "web", reply())
    served(node, "web")
    agent.ws.wire.reset() if how == "reset" else agent.close()
    eventually(lambda: fetch(node.proxy, "web").status == 502, 3)


@pytest.mark.plain("to TLS every end of a killed process is a truncation")
@pytest.mark.parametrize("agent, how", [((), "reset"), ([("User-Agent", "piko")], "end")])
def test_an_original_agent_is_reset_even_by_a_node_that_is_killed(piko, agent, how):
    node = piko.server()
    with dial_tunnel(node.upstream, "web", agent) as ws:
        eventually(lambda: node.listeners("web") == 1)
        node.kill()
        node.checked = True
        assert ws.wire.ends() == how


def test_a_text_message_ends_the_tunnel(node):
    with dial_tunnel(node.upstream, "web") as ws:
        ws.send_frame(TEXT, b"hello")
        while ws.recv() is not None:
            pass


@pytest.mark.parametrize("request_line, fields, statuses", [
    ("GET /piko/v1/upstream/web HTTP/1.1", [], {400, 426}),
    ("POST /piko/v1/upstream/web HTTP/1.1", [("Upgrade", "websocket"), ("Connection", "Upgrade")], {400, 404, 405}),
    ("GET /piko/v1/upstream/ HTTP/1.1", [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "9qPDXJzgHA4asPyjQP5fxA==")], {400, 404}),
    ("GET /other HTTP/1.1", [], {404}),
    ("GET /piko/v1/upstream/web HTTP/1.1", [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", "9qPDXJzgHA4asPyjQP5fxA==")], {400, 426}),
    ("GET /piko/v1/upstream/web HTTP/1.1", [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "short")], {400}),
])
def test_a_dial_that_is_not_one_is_refused(node, request_line, fields, statuses):
    with Client(node.upstream) as client:
        client.send(http1.head_bytes(request_line, [("Host", "a"), *fields]))
        assert client.response().status in statuses


def test_a_refused_dial_to_the_tcp_path_says_why(node):
    with pytest.raises(Refused) as refusal:
        WebSocket.dial(node.proxy, "/_piko/v1/tcp/nobody")
    assert refusal.value.status == 502 and json.loads(refusal.value.message.body) == {"error": "no available upstreams"}


# our agent


@pytest.fixture
def tunnel_to_agent(piko, service):
    with FakeServer() as server:
        agent = piko.agent("http", server.url, "web", service.addr)
        session = server.tunnel()
        yield session, service, agent
        assert session.violations == [] and agent.running


def test_our_agent_serves_an_independent_server(tunnel_to_agent):
    session, service, _ = tunnel_to_agent
    service.fresh(echo)
    data = os.urandom(2 << 20)
    assert ask(session.open(), body=data, method="PUT").body == data
    assert session.next_id == 4 and not any(frame.flags & SYN and frame.stream for frame in session.frames)  # it opens none


def test_our_agent_serves_many_streams_at_once(tunnel_to_agent):
    session, service, _ = tunnel_to_agent
    gate = threading.Barrier(50)

    def handler(conn, head):
        gate.wait(10)
        conn.reply(200, head.target)

    service.fresh(handler)
    wires = [Wire(session.open()) for _ in range(50)]
    for number, wire in enumerate(wires):
        wire.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    assert [http1.read_response(wire).body for wire in wires] == [b"/%d" % number for number in range(50)]


def test_our_agent_keeps_a_stream_for_more_than_one_request(tunnel_to_agent):
    session, _, _ = tunnel_to_agent
    stream = session.open()
    assert ask(stream).status == 200
    if not stream.ended:  # its right to close; but if it does not, it must serve
        assert ask(stream).status == 200


def test_our_agent_answers_pings(tunnel_to_agent):
    tunnel_to_agent[0].ping(12345)


def test_our_agent_resets_or_answers_a_stream_whose_service_is_gone(piko, service):
    with FakeServer() as server:
        service.close()
        piko.agent("tcp", server.url, "db", service.addr)
        stream = server.tunnel().open()
        stream.sendall(b"hello")
        with pytest.raises(StreamReset):
            while stream.recv():
                pass
            raise StreamReset("a clean end")


@pytest.mark.parametrize("how", ["close", "reset", "websocket", "go away"])
def test_our_agent_dials_again_when_its_tunnel_is_lost(piko, service, how):
    with FakeServer() as server:
        agent = piko.agent("http", server.url, "web", service.addr)
        session = server.tunnel()
        {"close": session.close, "reset": session.ws.reset, "websocket": session.ws.send_close,
         "go away": lambda: (session.go_away(), session.close())}[how]()
        again = server.tunnel(20)
        assert ask(again.open()).status == 200 and agent.running


def test_our_agent_retries_what_may_pass(piko, service):
    refusals = [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"]

    def upgrade(wire):
        if refusals:
            http1.read_head(wire)
            wire.send(refusals.pop())
            return wire.close()
        return WebSocket.accept(wire)

    with FakeServer(upgrade=upgrade) as server:
        piko.agent("http", server.url, "web", service.addr)
        assert ask(server.tunnel(20).open()).status == 200


def test_our_agent_gives_up_where_its_first_dial_is_refused_for_good(piko, service):
    def upgrade(wire):
        http1.read_head(wire)
        wire.send(b'HTTP/1.1 401 No\r\nContent-Length: 25\r\n\r\n{"error":"invalid token"}')
        wire.close()

    with FakeServer(upgrade=upgrade) as server:
        agent = piko.agent("http", server.url, "web", service.addr, wait=False)
        agent.checked = True
        assert agent.wait(10) == 1 and "invalid token" in agent.log


def test_our_agent_gives_up_when_nothing_answers_within_its_timeout(piko, service):
    agent = piko.agent("http", f"http://127.0.0.1:{free_port()}", "web", service.addr, "--connect.timeout", "1s", wait=False)
    agent.checked = True
    start = time.monotonic()
    assert agent.wait(10) == 1 and time.monotonic() - start < 8


def test_our_agent_keeps_a_path_in_its_url(piko, service):
    heads = []

    def upgrade(wire):
        ws = WebSocket.accept(wire)
        heads.append(ws.head)
        return ws

    with FakeServer(upgrade=upgrade) as server:
        piko.agent("http", f"{server.url}/some/prefix", "web", service.addr, "--connect.tenant-id", "t1")
        server.tunnel()
        assert heads[0].target == b"/some/prefix/piko/v1/upstream/web" and heads[0].get("x-piko-tenant-id") == b"t1"
