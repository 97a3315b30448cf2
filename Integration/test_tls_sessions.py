# SPDX-License-Identifier: MIT
# How TLS connections begin and end: that our own dialers resume what they had, that each port says close_notify and hears it, and what it agrees
# to with an RSA certificate. Real processes before Python's ssl and openssl s_client.

import socket
import ssl

import pytest

from cluster.gate import Gate
from harness.certificates import RSA
from harness.usage import descriptors, eventually
from peer import tls
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.server import FakeServer, ask
from peer.service import reply
from peer.websocket import WebSocket
from peer.wire import address, dressed
from test_tls import PORTS, agent, identity, piko, s_client, secure, shielded, trust  # noqa: F401

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
REQUESTS = {
    "proxy": b"GET / HTTP/1.1\r\nHost: web.example.com\r\nConnection: close\r\n\r\n",
    "upstream": b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
    "admin": b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
def listening(request, authority):
    """The context of an end that our processes dial, of one version."""
    context = authority.server_context(authority.identity())
    context.minimum_version = context.maximum_version = request.param
    return context


# Our own dialers


def test_an_agent_resumes_its_session_and_ends_it_in_order(piko, authority, service, listening):  # noqa: F811
    resumed = []

    def accept(wire):
        wire.sock = tls.TLSSocket(wire.sock, listening, server=True)
        resumed.append(wire.sock.tls.session_reused)
        return WebSocket.accept(wire)

    with FakeServer(upgrade=accept) as server:
        dialler = piko.agent("http", f"https://{server.addr}", "web", service.addr, *trust(authority), wait=False)
        for number in range(3):
            session = server.tunnel(20)
            assert ask(session.open()).body == b"hello"
            assert resumed == [False, True, True][: number + 1]
            if number < 2:
                session.close()
        dialler.stop()
        session.wait_over()
        assert session.ws.wire.read_to_end() == b"" and session.ws.wire.how == "end"


def test_a_node_resumes_its_session_with_another(piko, authority, service, listening):  # noqa: F811
    with Gate() as gate:
        gate.context, gate.speaks = listening, False
        front = piko.server("--proxy.tls.client.root-cas", authority.roots)
        home = piko.server("--cluster.join", front.gossip, "--proxy.advertise-addr", gate.addr)
        gate.behind = home.proxy
        piko.agent("http", home, "web", service.addr)
        eventually(lambda: sum(item["upstreams"] for item in front.nodes) == 1)
        # The second is for the kind of session that many requests share, or of another loop. A connection that was cut may not be resumed.
        eventually(lambda: fetch(front.proxy, "web").body == b"hello" and any(gate.resumed))
        assert gate.resumed[0] is False


# close_notify


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
def connection(request, authority, shielded):  # noqa: F811
    """Makes a connection of Python's ssl to a port, for which an end without a close_notify is an error."""
    context = authority.context(minimum=request.param, maximum=request.param)

    def connect(port):
        plain = socket.create_connection(address(getattr(shielded, port)), 10)
        return context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)

    return connect


@pytest.mark.parametrize("port", PORTS)
def test_a_port_that_ends_a_connection_says_close_notify(connection, port):
    with connection(port) as client:
        client.sendall(dressed(REQUESTS[port]))
        data = b""
        while piece := client.recv(65536):
            data += piece
        assert data.startswith(b"HTTP/1.1 404" if port == "upstream" else b"HTTP/1.1 200")


@pytest.mark.parametrize("port", PORTS)
def test_a_close_notify_is_answered_with_another(connection, port):
    with connection(port) as client, client.unwrap() as plain:
        assert plain.recv(1) == b""


@pytest.mark.parametrize("port", [
    "proxy", "admin", pytest.param("upstream", marks=pytest.mark.tokenless("a dial whose client ends while its token is verified has no answer")),
])
def test_what_was_asked_before_a_close_notify_is_answered(shielded, port):  # noqa: F811
    """On the proxy port a client that ends while it waits for one answer only has left, as without TLS."""
    count = 2 if port == "proxy" else 1
    with Client(getattr(shielded, port)) as client:
        client.send(REQUESTS[port].replace(b"Connection: close\r\n", b"") * count)
        client.wire.shut()
        assert [client.response().status for _ in range(count)] == [404 if port == "upstream" else 200] * count
        assert client.ends() == "end"


@pytest.mark.parametrize("port", PORTS)
def test_a_client_that_ends_without_a_close_notify_leaves_nothing(shielded, port):  # noqa: F811
    before = descriptors(shielded.pid)
    for _ in range(20):
        with Client(getattr(shielded, port)) as client:
            client.send(REQUESTS[port][:20])
            client.wire.sock.cut()
            client.wire.read_to_end()
    eventually(lambda: descriptors(shielded.pid) < before + 5)


def test_a_tunnel_ends_by_close_notify_when_its_node_leaves(shielded):  # noqa: F811
    with FakeAgent(shielded.upstream, "other", reply(), headers=[("User-Agent", "piko")]) as tunnel:
        eventually(lambda: shielded.listeners("other") == 1)
        shielded.stop()
        tunnel.session.wait_over()
        assert tunnel.ws.wire.read_to_end() == b"" and tunnel.ws.wire.how == "end"


# An RSA certificate


@pytest.fixture
def rsa(piko, authority):  # noqa: F811
    return secure(piko, authority, PORTS, identity=authority.identity(keys=RSA))


@pytest.mark.parametrize("port", PORTS)
def test_s_client_sees_what_a_port_with_an_rsa_certificate_agrees_to(rsa, authority, port):
    addr, trusted = getattr(rsa, port), ["-CAfile", authority.roots, "-verify_return_error", "-verify_ip", "127.0.0.1"]
    seen = s_client(addr, *trusted)
    assert "TLSv1.3" in seen and "Verify return code: 0 (ok)" in seen and "2048 bit" in seen and "pss" in seen.lower(), seen
    seen = s_client(addr, "-tls1_2", *trusted)
    assert "ECDHE-RSA-AES" in seen and "Verify return code: 0 (ok)" in seen, seen
    assert "alert" in s_client(addr, "-tls1_2", "-cipher", "AES128-GCM-SHA256")  # no key that goes under the certificate's
    assert "alert" in s_client(addr, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "ECDHE-RSA-AES" not in s_client(addr, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
