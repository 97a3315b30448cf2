# SPDX-License-Identifier: MIT
# What one client, or one agent, may have: connections, requests a second, streams. Each refusal says when to come again and is counted, others are served
# as before, and nodes of a cluster do not limit each other.
import json
import time

import pytest

from harness.tokens import SECRET, bearer, forged, token
from harness.usage import eventually
from peer import wire
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.service import reply
from peer.websocket import Refused
from peer.wire import Ended, Wire
from peer.yamux import RST, SYN, WINDOW

TCP = (b"GET /_piko/v1/tcp/tcp HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
       b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")


def retry_after(message):
    """The message's field of that name: whole seconds, at least one."""
    value = int(message.get("retry-after"))
    assert value >= 1
    return value


def refused(node, source="127.0.0.1"):
    """The answer to a connection that is refused before it asks."""
    with Client(node.proxy, source=source) as client:
        try:
            client.request("web")
        except ConnectionError:
            pass
        return client.response()


def test_too_many_connections_are_told_when_to_come_again(piko, service):
    node = piko.server("--proxy.limits.connections", "2")
    piko.agent("http", node, "web", service.addr)
    held = [Client(node.proxy) for _ in range(2)]
    assert all(client.request("web").response().status == 200 for client in held)
    message = refused(node)
    assert message.status == 503 and retry_after(message)
    node.counts('piko_proxy_connections_refused_total{limit="connections"}')
    for client in held:
        client.close()


def test_connections_of_one_address_are_limited_and_given_back(piko, service):
    node = piko.server("--proxy.limits.connections-per-ip", "3")
    piko.agent("http", node, "web", service.addr)
    piko.agent("tcp", node, "tcp", service.addr)
    forward = piko.forward(node, "tcp", wait=False)
    held = [Client(node.proxy, source="127.0.0.5") for _ in range(3)]
    assert all(client.request("web").response().status == 200 for client in held)
    message = refused(node, "127.0.0.5")
    assert message.status == 429 and retry_after(message) and json.loads(message.body)["error"]
    assert fetch(node.proxy, "web", source="127.0.0.6").status == 200
    node.counts('piko_proxy_connections_refused_total{limit="connections_per_ip"}')
    held.pop().close()
    eventually(lambda: served(node, "127.0.0.5"), 5)
    # TCP connections count as well, until they end.
    eventually(lambda: tcp_served(forward.addr), 10)
    clients = []
    for _ in range(3):
        client = Client(forward.addr)
        assert client.request("any").response().status == 200
        clients.append(client)
    assert refused(node).status == 429
    for client in [*clients, *held]:
        client.close()
    eventually(lambda: served(node, "127.0.0.1"), 5)


def served(node, source):
    try:
        return fetch(node.proxy, "web", source=source).status == 200
    except (Ended, ConnectionError):
        return False


def tcp_served(addr):
    try:
        return fetch(addr, "any").status == 200
    except (Ended, OSError):
        return False


def test_requests_of_one_address_are_limited_to_a_rate(piko, service):
    node = piko.server("--proxy.limits.requests-per-second-per-ip", "4")
    piko.agent("http", node, "web", service.addr)
    counts = {200: 0, 429: 0}
    with Client(node.proxy, source="127.0.0.5") as client:
        start = time.monotonic()
        while counts[429] < 10:
            message = client.request("web").response()
            counts[message.status] += 1
            if message.status == 429:
                assert retry_after(message) and json.loads(message.body) == {"error": "too many requests"}
        lasted = time.monotonic() - start
    # A second's worth at once, and then the rate.
    assert 4 <= counts[200] <= 4 * lasted + 5, (counts, lasted)
    node.counts("piko_proxy_requests_limited_total", counts[429])
    assert fetch(node.proxy, "web", source="127.0.0.6").status == 200
    # Whoever comes again when told to is served.
    time.sleep(1)
    assert fetch(node.proxy, "web", source="127.0.0.5").status == 200


def test_a_request_beyond_the_rate_is_refused_before_its_token_is_verified(piko, service, monkeypatch):
    """Verifying is the dearest thing that a stranger can ask for. Whoever is let in counts once, although the verdict is waited for."""
    monkeypatch.setattr(wire, "line_behind_endpoint", None)
    piko.tokens = None
    node = piko.server("--proxy.limits.requests-per-second-per-ip", "4", "--proxy.auth.hmac-secret-key", SECRET)
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy, source="127.0.0.5") as client:
        good = [bearer(token({"iss": str(number)})) for number in range(4)]
        assert [client.request("web", headers=[field]).response().status for field in good] == [200] * 4
    with Client(node.proxy, source="127.0.0.6") as client:
        bad = [bearer(forged({"alg": "HS256"}, {"iss": str(number)}, "a stranger's secret")) for number in range(40)]
        statuses = [client.request("web", headers=[field]).response().status for field in bad]
    assert set(statuses[4:]) >= {429} and statuses[:4] == [401] * 4
    assert statuses.count(401) < 40
    node.counts('piko_auth_rejected_total{port="proxy",reason="invalid"}', statuses.count(401))
    node.counts("piko_proxy_requests_limited_total", statuses.count(429))


def test_a_refused_request_with_a_body_ends_its_connection_and_no_other(piko, service):
    node = piko.server("--proxy.limits.requests-per-second-per-ip", "1")
    piko.agent("http", node, "web", service.addr)
    assert fetch(node.proxy, "web", source="127.0.0.5").status == 200
    with Client(node.proxy, source="127.0.0.5") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        message = client.response()
        assert message.status == 429 and message.get("connection").lower() == b"close"
    assert fetch(node.proxy, "web", source="127.0.0.6").status == 200


def test_tcp_clients_count_as_requests(piko, service):
    node = piko.server("--proxy.limits.requests-per-second-per-ip", "1")
    piko.agent("tcp", node, "tcp", service.addr)
    statuses = []
    for _ in range(2):
        with Client(node.proxy, source="127.0.0.5") as client:
            client.send(TCP)
            statuses.append(int(client.head().start.split()[1]))
    assert statuses == [101, 429]


def test_nodes_of_a_cluster_do_not_limit_each_other(piko, service):
    flags = ("--proxy.limits.requests-per-second-per-ip", "5", "--proxy.limits.connections-per-ip", "1")
    near, far = piko.servers(2, flags)
    piko.agent("http", far, "web", service.addr)
    eventually(lambda: fetch(near.proxy, "web", source="127.0.0.99").status == 200)
    # Each of them has an address of its own; all of them reach the far node from the near one's.
    for number in range(2, 42):
        assert fetch(near.proxy, "web", source=f"127.0.0.{number}").status == 200
    # The near node limits them as ever.
    assert 429 in [fetch(near.proxy, "web", source="127.0.0.50").status for _ in range(8)]


def test_a_node_full_of_tunnels_tells_agents_when_to_come_again(piko):
    node = piko.server("--upstream.limits.sessions", "1")
    with FakeAgent(node.upstream, "one", reply()):
        with pytest.raises(Refused) as refusal:
            dial_tunnel(node.upstream, "more")
        assert refusal.value.status == 503 and retry_after(refusal.value.message)
        node.counts('piko_upstreams_refused_total{status="503"}')


def test_a_tunnel_full_of_streams_tells_clients_when_to_come_again(piko, held):
    node = piko.server("--upstream.limits.streams-per-session", "1")
    piko.agent("http", node, "web", held.addr)
    with Client(node.proxy) as first:
        first.request("web", "/held")
        held.requests.get(timeout=10)
        message = fetch(node.proxy, "web")
        assert message.status == 503 and retry_after(message)
        node.counts("piko_upstreams_streams_refused_total")
        held.gate.set()
        assert first.response().status == 200
    eventually(lambda: fetch(node.proxy, "web").status == 200)


@pytest.mark.parametrize("request_, status", [
    (b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"POST /piko/v1/upstream/a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405),
    (b"GET /piko/v1/upstream/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n", 431),
])
def test_dials_that_are_refused_are_counted_by_status(piko, request_, status):
    node = piko.server()
    with Client(node.upstream) as client:
        client.send(request_)
        assert client.response().status == status
    node.counts(f'piko_upstreams_refused_total{{status="{status}"}}')


@pytest.mark.parametrize("request_, status", [
    (b"GET / HTTP/1.1\nHost: a\n\n", 400), (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405), (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n", 431),
])
def test_heads_that_the_admin_port_refuses_are_counted_by_status(piko, request_, status):
    node = piko.server()
    with Client(node.admin) as client:
        client.send(request_)
        assert client.response().status == status
    node.counts(f'piko_admin_requests_refused_total{{status="{status}"}}')


def opened(agent):
    """The id of the first stream that the node opened."""
    agent.session.wait(lambda: [frame for frame in agent.session.frames if frame.flags & SYN and frame.stream])
    return next(frame.stream for frame in agent.session.frames if frame.flags & SYN and frame.stream)


def test_tcp_clients_that_nobody_takes_or_that_break_the_protocol_are_counted(piko, service):
    node = piko.server()
    with FakeAgent(node.upstream, "tcp", manual=True) as agent:
        eventually(lambda: node.listeners("tcp"))
        with Client(node.proxy) as client:
            client.send(TCP)
            agent.session.send_frame(WINDOW, RST, opened(agent), 0)
            assert client.response().status == 502
    node.counts('piko_proxy_tcp_refused_total{status="502"}')
    piko.agent("tcp", node, "tcp", service.addr)
    with Client(node.proxy) as client:
        client.send(TCP)
        assert client.head().start.split()[1] == b"101"
        client.send(b"\xff\xff\xff\xff")
        node.counts("piko_proxy_protocol_errors_total")


def test_a_tunnel_that_breaks_the_protocol_is_counted(piko):
    node = piko.server()
    ws = dial_tunnel(node.upstream, "web")
    eventually(lambda: node.listeners("web") == 1)
    ws.send(b"\xff" * 64)
    node.counts("piko_upstreams_protocol_errors_total")


def test_a_tcp_client_for_which_only_full_tunnels_are_left_is_counted(piko):
    """The tunnel that was chosen refuses the stream, and the other has no room for it."""
    node = piko.server("--upstream.limits.streams-per-session", "1")
    with FakeAgent(node.upstream, "tcp", manual=True) as full, Client(node.proxy) as waits:
        eventually(lambda: node.listeners("tcp"))
        waits.send(TCP)
        opened(full)
        with FakeAgent(node.upstream, "tcp", manual=True) as refuses, Client(node.proxy) as client:
            eventually(lambda: node.listeners("tcp") == 2)
            client.send(TCP)
            refuses.session.send_frame(WINDOW, RST, opened(refuses), 0)
            message = client.response()
            assert message.status == 503 and retry_after(message)
    node.counts('piko_proxy_tcp_refused_total{status="503"}')


def test_dials_and_streams_that_stay_silent_are_given_up_and_counted(piko):
    """Each of them has ten seconds."""
    node = piko.server()
    start = time.monotonic()
    with FakeAgent(node.upstream, "tcp", manual=True) as agent, Client(node.proxy, 20) as client, Wire(wire.connect(node.upstream, 20)) as dial:
        eventually(lambda: node.listeners("tcp"))
        client.send(TCP)
        opened(agent)
        assert dial.read_to_end() == b"" and client.response().status == 504
        assert 8 < time.monotonic() - start < 20
    node.counts('piko_upstreams_refused_total{status="408"}')
    node.counts('piko_proxy_tcp_refused_total{status="504"}')
