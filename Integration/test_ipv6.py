# SPDX-License-Identifier: MIT
# IPv6 wherever an address is accepted: server, agent, service, forward.
# Real processes on ::1.

import pytest

from harness.ports import free_port
from peer.client import Client, fetch
from peer.service import Service
from peer.wire import Wire, connect


@pytest.fixture
def service6():
    with Service(host="::1") as service:
        yield service
        assert not service.errors, service.errors


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_everything_on_ipv6(piko, service6, kind):
    node = piko.server(host="::1")
    piko.agent(kind, node, "web", service6.addr)
    service6.fresh(service6.handler)
    assert fetch(node.proxy, "web", "/six").body == b"hello"
    head = service6.request().head
    assert head.get("x-forwarded-for") == b"::1" and head.target == b"/six"


def test_an_http_service_named_by_an_ipv6_url(piko, service6):
    node = piko.server(host="::1")
    piko.agent("http", node, "web", f"http://{service6.addr}")
    assert fetch(node.proxy, "web").body == b"hello"


def test_forward_on_ipv6(piko):
    with Service(raw=True, host="::1", handler=lambda conn: conn.send(conn.read_exact(4).upper())) as service:
        node = piko.server(host="::1")
        piko.agent("tcp", node, "db", service.addr)
        forward = piko.forward(node, "db", host="::1")
        wire = Wire(connect(forward.addr))
        wire.send(b"ping")
        assert wire.read_exact(4) == b"PING"


def test_both_families_mixed(piko, service6):
    node = piko.server(host="127.0.0.1")
    piko.agent("http", node, "web", service6.addr)
    assert fetch(node.proxy, "web").body == b"hello"


@pytest.mark.parametrize("spelling", [":{}", "[::]:{}"])
def test_an_unspecified_bind_address_serves_both_families(piko, service, spelling):
    proxy, upstream = free_port(), free_port()
    piko.guarded(*(f"{host}:{port}" for host in ("127.0.0.1", "[::1]") for port in (proxy, upstream)))
    node = piko.server("--proxy.bind-addr", spelling.format(proxy), "--upstream.bind-addr", spelling.format(upstream))
    node.proxy, node.upstream = f"127.0.0.1:{proxy}", f"127.0.0.1:{upstream}"
    piko.agent("http", node, "web", service.addr)
    for addr in (f"127.0.0.1:{proxy}", f"[::1]:{proxy}"):
        assert fetch(addr, "web").body == b"hello"
    values = [service.request().head.get("x-forwarded-for") for _ in range(service.requests.qsize())]
    assert b"127.0.0.1" in values and b"::1" in values  # never ::ffff:127.0.0.1


def test_an_agent_dials_a_name_with_both_families(piko, service):
    """localhost is ::1 first on many machines; the node listens on IPv4 only."""
    node = piko.server()
    agent = piko.agent("http", f"{piko.scheme}://localhost:{node.upstream.rsplit(':', 1)[1]}", "web", f"localhost:{service.port}")
    piko.until(agent, lambda: fetch(node.proxy, "web").status == 200)


def test_a_host_in_brackets_is_an_address(piko):
    node = piko.server(host="::1")
    with Client(node.proxy) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: {node.proxy}\r\n\r\n".encode())
        assert client.response().status == 400
