# SPDX-License-Identifier: MIT
# TLS between nodes: by what certificates and names they know each other, what a node does with one that does not fit, and how pages of the admin port
# are got from another node. Real nodes on loopback; resumption between nodes is in test_tls_sessions.py.

import json
import pathlib
import ssl
import time

import pytest

from harness.usage import eventually
from peer import http1, tls
from peer.client import Client, fetch
from peer.wire import Ended
from test_tls import PORTS, agent, curl, identity, piko, secure, url  # noqa: F401


def knows(node, tunnels=1):
    eventually(lambda: sum(item["upstreams"] for item in node.nodes) == tunnels)


def node_id(front, other):
    return next(item["id"] for item in front.nodes if item["proxy_addr"] == other.proxy)


def test_nodes_reach_each_other_by_tls(piko, authority, identity, service):
    towards = [word for port in ("proxy", "admin") for word in (f"--{port}.tls.client.root-cas", authority.roots)]
    first = secure(piko, authority, PORTS, *towards, identity=identity)
    second = secure(piko, authority, PORTS, *towards, "--cluster.join", first.gossip, identity=identity)
    agent(piko, authority, second, service)
    eventually(lambda: sum(item["endpoints"] for item in first.nodes) == 1)
    for _ in range(3):
        assert fetch(first.proxy, "web").body == b"hello"
    other = next(item["id"] for item in first.nodes if item["proxy_addr"] == second.proxy)
    flags = ["--server.url", url(first, "admin"), "--forward", other, "--server.tls.root-cas", authority.roots, *piko.asking]
    assert "web: 1" in piko.run("server", "status", "upstream", "endpoints", *flags).out


def test_a_node_that_nobody_vouches_for_is_not_asked(piko, authority, identity, service):
    """Without its authority the other node's certificate is a stranger's: nothing is sent there."""
    first = secure(piko, authority, PORTS, identity=identity)
    second = secure(piko, authority, PORTS, "--cluster.join", first.gossip, identity=identity)
    agent(piko, authority, second, service)
    eventually(lambda: sum(item["endpoints"] for item in first.nodes) == 1)
    assert fetch(first.proxy, "web").status == 502
    first.wait_line(lambda line: line["msg"] == "node not reached" and "the peer's certificate" in line["error"])
    assert service.requests.empty()


@pytest.mark.parametrize("wrong", ["its certificate", "what it takes from others"])
def test_a_node_that_does_not_fit_is_left_alone_until_it_does(piko, authority, tmp_path, service, wrong):
    """Others that have the endpoint get its requests, without a dial of the wrong one for each; new certificate files mend it."""
    stranger = type(authority)(tmp_path, "stranger")
    towards = [word for port in ("proxy", "admin") for word in (f"--{port}.tls.client.root-cas", authority.roots)]
    ours = authority.identity()
    towards += ours.flags("proxy.tls.client")
    front = secure(piko, authority, PORTS, *towards, identity=authority.identity())
    join = ["--cluster.join", front.gossip, *towards]
    good = secure(piko, authority, PORTS, *join, identity=authority.identity())
    replaced = authority.identity() if wrong == "what it takes from others" else stranger.identity()
    if wrong == "its certificate":
        odd = secure(piko, stranger, PORTS, *join, identity=replaced)
    else:
        cas = tmp_path / "cas.pem"
        cas.write_bytes(pathlib.Path(stranger.roots).read_bytes())
        odd = secure(piko, authority, PORTS, "--proxy.tls.client-cas", str(cas), *join, identity=replaced)
    agent(piko, authority, good, service)
    piko.until(piko.agent("http", url(odd, "upstream"), "web", service.addr, "--connect.tls.insecure-skip-verify", wait=False),
               lambda: odd.listeners("web") == 1)
    eventually(lambda: sum(item["upstreams"] for item in front.nodes) == 2)
    began = time.monotonic()
    assert [fetch(front.proxy, "web").status for _ in range(60)] == [200] * 60
    # One dial of each loop in five seconds.
    most = (int((time.monotonic() - began) / 5) + 1) * piko.loops
    refused = front.metric("piko_tls_node_failures_total")
    assert 1 <= refused <= most
    eventually(lambda: odd.metric('piko_tls_handshake_failures_total{port="proxy"}') >= 1)
    assert odd.metric("piko_upstreams_upstream_requests_total") == 0
    if wrong == "its certificate":
        line = front.wait_line(lambda line: line["msg"] == "node not reached")
        assert "the peer's certificate" in line["error"] and line["port"] == int(odd.proxy.rpartition(":")[2])
        replaced.replace(authority.identity())
        tls.trusted.update((getattr(odd, port), authority.context()) for port in PORTS)
    else:
        odd.wait_line(lambda line: line["msg"] == "handshake failed" and "the peer's certificate" in line["error"])
        cas.write_bytes(pathlib.Path(authority.roots).read_bytes())
    eventually(lambda: fetch(front.proxy, "web").status == 200 and asked(odd), 30)


def asked(node):
    """Whether a request reached one of its tunnels; while its certificate changes nobody can ask."""
    try:
        return node.metric("piko_upstreams_upstream_requests_total") > 0
    except (OSError, Ended):
        return False


# Names and checks

ENDS = ("proxy", "admin")
NAME = "node.internal"


def unchecked(authority):
    """Of an end of a test's own that takes any certificate."""
    context = authority.context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(params=["its name is said", "nothing is checked"])
def renamed(request, piko, authority, service, tmp_path):  # noqa: F811
    """Starts two nodes; the other's certificate is for NAME and not for its address, or even a stranger's. `told`: the front node's sections that know."""
    said = request.param == "its name is said"
    signer = authority if said else type(authority)(tmp_path, "stranger")

    def towards(port, known):
        if said:
            return [f"--{port}.tls.client.root-cas", authority.roots, *([f"--{port}.tls.client.server-name", NAME] if known else [])]
        return [f"--{port}.tls.client.insecure-skip-verify"] if known else []

    def start(told):
        front = secure(piko, authority, ENDS, *(word for port in ENDS for word in towards(port, port in told)))
        odd = signer.identity(names=f"DNS:{NAME}")
        home = secure(piko, authority, ENDS, "--cluster.join", front.gossip, identity=odd, context=unchecked(authority))
        agent(piko, authority, home, service, ports=ENDS)
        knows(front)
        return front, home

    return start


def page(front, home):
    """Of the other node, got by the front one."""
    return front.ask(f"/status/upstream/endpoints?forward={node_id(front, home)}")


def upgraded(addr):
    """What comes back over a connection between nodes that one request has for itself; its status where it is not upgraded."""
    with Client(addr) as client:
        client.request("web", headers=[("Connection", "Upgrade"), ("Upgrade", "echo")])
        head = client.head()
        if head.status != 101:
            return head.status
        client.send(b"through")
        return client.wire.read_exact(len(b"through"))


def switch(conn, head):
    """Echoes what comes after an upgrade; answers anything else."""
    if not head.get("upgrade"):
        return conn.reply(200, b"hello")
    conn.send(http1.head_bytes("HTTP/1.1 101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "echo")]))
    conn.send(conn.read_exact(len(b"through")))
    conn.close()


def test_a_node_with_another_name_than_its_address_is_reached_by_every_kind_of_dial(renamed, service):
    """Connections of one request each, the session that requests share, and pages of the admin port."""
    front, home = renamed(ENDS)
    service.fresh(switch)
    assert upgraded(front.proxy) == b"through"
    shared = f'piko_upstreams_shared_requests_total{{node_id="{node_id(front, home)}"}}'
    eventually(lambda: fetch(front.proxy, "web").body == b"hello" and front.metric(shared) > 0)
    assert json.loads(page(front, home).body) == {"web": 1}
    assert front.metric("piko_tls_node_failures_total") == 0


@pytest.mark.parametrize("told", ENDS)
def test_what_is_said_of_one_port_holds_for_that_one_only(renamed, service, told):
    front, home = renamed([told])
    service.fresh(switch)
    answers = [upgraded(front.proxy), fetch(front.proxy, "web").status, page(front, home).status]
    assert answers == ([b"through", 200, 502] if told == "proxy" else [502, 502, 200])
    if told == "proxy":
        assert b"the peer's certificate: " in page(front, home).body
    else:
        front.wait_line(lambda line: line["msg"] == "node not reached" and "the peer's certificate: " in line["error"])


def test_a_name_that_is_said_stands_for_the_address(piko, authority, service):  # noqa: F811
    """A certificate for the address itself does not do then."""
    towards = [word for port in ENDS for word in (f"--{port}.tls.client.root-cas", authority.roots, f"--{port}.tls.client.server-name", NAME)]
    front = secure(piko, authority, ENDS, *towards)
    home = secure(piko, authority, ENDS, "--cluster.join", front.gossip)
    agent(piko, authority, home, service, ports=ENDS)
    knows(front)
    assert (fetch(front.proxy, "web").status, page(front, home).status) == (502, 502)
    assert service.requests.empty()


# The certificates of those who ask

ADMIN_FAILED = 'piko_tls_handshake_failures_total{port="admin"}'


@pytest.fixture
def ours(authority):
    return authority.identity(usage="clientAuth", subject="client")


@pytest.fixture
def guarded(piko, authority, ours):  # noqa: F811
    """Starts a node whose admin port takes those with a certificate only, as the tests' own ends have one."""
    def start(*flags):
        return secure(piko, authority, ENDS, "--admin.tls.client-cas", authority.roots, *flags, context=authority.context(ours))
    return start


@pytest.mark.parametrize("shows", [True, False], ids=["with a certificate", "without"])
def test_a_node_gets_pages_of_a_guarded_admin_port_by_its_certificate(piko, authority, service, guarded, ours, shows):  # noqa: F811
    words = ["--admin.tls.client.root-cas", authority.roots, *(ours.flags("admin.tls.client") if shows else [])]
    front = secure(piko, authority, ENDS, *words)
    home = guarded("--cluster.join", front.gossip)
    agent(piko, authority, home, service, ports=ENDS)
    knows(front)
    got = page(front, home)
    if shows:
        assert (got.status, json.loads(got.body)) == (200, {"web": 1})
    else:
        assert got.status == 502 and b"certificate required" in got.body
        home.wait_line(lambda line: line["msg"] == "handshake failed" and line["port"] == "admin" and "did not return a certificate" in line["error"])


def test_metrics_and_status_are_for_those_with_a_certificate(piko, authority, guarded, ours, tmp_path):  # noqa: F811
    node = guarded()
    address, before = f"https://{node.admin}/metrics", node.metric(ADMIN_FAILED)
    stranger = type(authority)(tmp_path, "stranger").identity(usage="clientAuth", subject="client")
    assert "piko_tls_handshake_failures_total" in curl(authority, *piko.curl, "--cert", ours.cert, "--key", ours.key, address)[1]
    for words in ([], ["--cert", stranger.cert, "--key", stranger.key]):
        status, out, _ = curl(authority, *piko.curl, *words, address)
        assert status != 0 and out == ""
    node.counts(ADMIN_FAILED, before + 2)
    asking = ["server", "status", "cluster", "nodes", "--server.url", url(node, "admin"), "--server.tls.root-cas", authority.roots, *piko.asking]
    assert piko.run(*asking, *ours.flags("server.tls")).child.returncode == 0
    refused = piko.run(*asking)
    assert refused.child.returncode == 1 and "certificate required" in refused.log + refused.out
