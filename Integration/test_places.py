# SPDX-License-Identifier: MIT
# Whatever way a connection or a tunnel comes to nothing, it gives its place back: after fifty of a kind as many good ones fit in as the limit says, and
# no more. And a limit of 0 is none.

import contextlib
import socket
import struct

import pytest

from harness.usage import eventually
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.http1 import head_bytes
from peer.service import reply
from peer.websocket import Refused
from peer.wire import Ended, address

OWN = "127.0.0.5"  # the clients' own address
UPGRADE = [("Host", "a"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def raw(addr, data=b""):
    """A connection on which no TLS is spoken, whatever the port wants; reset once these bytes were sent."""
    sock = socket.create_connection(address(addr), 10, (OWN, 0))
    if data:
        sock.sendall(data)
    reset(sock)


def answered(addr, data, status):
    """Whether a request is answered with this; otherwise it came while those before it still had their places."""
    with Client(addr, source=OWN) as client, contextlib.suppress(Ended, ConnectionError):
        client.send(data)
        return client.response().status == status
    return False


def ends(kind, addr):
    """One connection that comes to nothing. Whether it did so in its own way."""
    match kind:
        case "no handshake":
            raw(addr, b"\x16\x03\x01\x00\x05hello")
        case "reset before a head":
            raw(addr)
        case "a bad head":
            return answered(addr, b"GET / HTTP/1.1\nHost: a\n\n", 400)
        case "a TCP endpoint that is none":
            return answered(addr, head_bytes("GET /_piko/v1/tcp/none HTTP/1.1", UPGRADE), 502)
    return True


def repeat(attempt, times=50):
    """Until so many attempts went as they should."""
    done = 0
    for _ in range(100 * times):
        done += attempt()
        if done == times:
            return
    raise AssertionError(f"{done} of {times}")


def three_fit(node):
    """Three clients that are served at once, or None."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(Client(node.proxy, source=OWN)) for _ in range(3)]
        try:
            if all(client.request("web").response().status == 200 for client in held):
                stack.pop_all()
                return held
        except (Ended, ConnectionError):
            pass
    return None


@pytest.mark.parametrize("kind", ["no handshake", "reset before a head", "a bad head", "a TCP endpoint that is none"])
@pytest.mark.parametrize("limit, status", [("connections", 503), ("connections-per-ip", 429)])
def test_connections_that_come_to_nothing_give_their_places_back(piko, service, limit, status, kind):
    node = piko.server(f"--proxy.limits.{limit}", "3")
    piko.agent("http", node, "web", service.addr)
    repeat(lambda: ends(kind, node.proxy))
    held = eventually(lambda: three_fit(node), what="room for three")
    refusals = f'piko_proxy_connections_refused_total{{limit="{limit.replace("-", "_")}"}}'
    before = node.metric(refusals)
    assert answered(node.proxy, head_bytes("GET / HTTP/1.1", [("Host", "web.x")]), status)
    assert node.metric(refusals) == before + 1
    for client in held:
        client.close()


def dial_and_vanish(node, reads):
    """Whether a dial was answered with a tunnel, as far as it is known; it is reset at once."""
    if reads:
        try:
            dial_tunnel(node.upstream, "bad").reset()
        except Refused as refusal:
            assert refusal.message.status == 503
            return False
    else:
        with Client(node.upstream) as client:
            client.send(head_bytes("GET /piko/v1/upstream/bad HTTP/1.1", UPGRADE))
            client.wire.reset()
    return True


def agents_fit(node, count):
    """So many agents with a tunnel each, or None."""
    with contextlib.ExitStack() as stack:
        try:
            agents = [stack.enter_context(FakeAgent(node.upstream, f"good{number}", reply())) for number in range(count)]
        except Refused:
            return None
        stack.pop_all()
        return agents


@pytest.mark.parametrize("reads", [True, False], ids=["after the answer", "before the answer"])
def test_tunnels_that_are_reset_at_once_give_their_places_back(piko, reads):
    node = piko.server("--upstream.limits.sessions", "3")
    repeat(lambda: dial_and_vanish(node, reads))
    agents = eventually(lambda: agents_fit(node, 3), what="room for three")
    assert [fetch(node.proxy, f"good{number}").status for number in range(3)] == [200] * 3
    with pytest.raises(Refused) as refusal:
        dial_tunnel(node.upstream, "more")
    assert refusal.value.message.status == 503
    for agent in agents:
        agent.close()


def test_a_limit_of_0_is_none(piko, held):
    limits = ("proxy.limits.connections", "proxy.limits.connections-per-ip", "proxy.limits.requests-per-second-per-ip",
              "upstream.limits.sessions", "upstream.limits.streams-per-session")
    node = piko.server(*[part for limit in limits for part in (f"--{limit}", "0")])
    piko.agent("http", node, "web", held.addr)
    clients = [Client(node.proxy, 20, OWN).request("web", "/held") for _ in range(40)]
    for _ in clients:
        held.requests.get(timeout=10)
    agents = agents_fit(node, 5)
    assert [fetch(node.proxy, f"good{number % 5}", source=OWN).status for number in range(40)] == [200] * 40
    held.gate.set()
    assert [client.response().status for client in clients] == [200] * 40
    for each in [*clients, *agents]:
        each.close()
