# SPDX-License-Identifier: MIT
# Certificates and authorities that change while processes run: read again by themselves and at SIGHUP, without touching what is open; broken ones
# change nothing and are said. Real processes; Python's ssl looks at what is shown. Files of listeners are in test_tls_services.py.

import json
import pathlib
import signal
import socket
import ssl

import pytest

from cluster.gate import Gate
from harness.certificates import Authority
from harness.usage import eventually
from peer import tls
from peer.client import Client, fetch
from peer.wire import Ended, Wire, address, connect
from test_tls import agent, piko, secure, trust, url  # noqa: F401
from test_tls_nodes import ENDS, knows, ours, page, switch  # noqa: F401


def shown(addr, context):
    """The serial number of the certificate that a port shows now."""
    host, port = addr.split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        with context.wrap_socket(sock, server_hostname=host) as wrapped:
            return wrapped.getpeercert()["serialNumber"].lstrip("0")


@pytest.fixture
def renewed(piko, authority, service):
    """A node with TLS on all ports, an agent, and the identity whose files change."""
    identity = authority.identity()
    node = secure(piko, authority, ["proxy", "upstream", "admin"], identity=identity)
    agent(piko, authority, node, service)
    return node, identity


def serial(identity):
    return identity.serial.lstrip("0")


def test_a_new_certificate_is_shown_within_seconds_and_open_connections_go_on(renewed, authority):
    node, identity = renewed
    context = authority.context()
    with Client(node.proxy) as client:
        assert client.request("web").response().body == b"hello"
        assert shown(node.proxy, context) == serial(identity)
        identity.replace(authority.identity())
        for port in (node.proxy, node.upstream, node.admin):
            eventually(lambda: shown(port, context) == serial(identity), 10, f"the new certificate on {port}")
        assert client.request("web").response().body == b"hello"
    assert fetch(node.proxy, "web").body == b"hello"
    node.wait_line(lambda line: line["msg"] == "certificates read again")
    said = [line["key"] for line in node.lines() if line["msg"] == "certificates read again"]
    assert said == ["proxy.tls, upstream.tls, admin.tls"]   # the three ports have one pair of files
    assert node.listeners("web") == 1 and not any("not connected" in line["msg"] for line in node.lines())


def test_a_new_time_for_heads_holds_for_handshakes_too(piko, authority, tmp_path):
    """Whoever begins after SIGHUP is given up after the new time; the old one was a minute."""
    path = tmp_path / "server.yaml"
    path.write_text("proxy: {http: {read_header_timeout: 60s}}\n")
    node = secure(piko, authority, ["proxy"], "--config.path", path)
    tls.trusted.pop(node.proxy)
    path.write_text("proxy: {http: {read_header_timeout: 300ms}}\n")
    node.signal(signal.SIGHUP)
    assert node.wait_line(lambda line: line["msg"] == "configuration read again")["applied"] == "proxy.http.read_header_timeout"
    with Wire(connect(node.proxy)) as wire:
        wire.read_to_end()
    assert "timed out" in node.wait_line(lambda line: line["msg"] == "handshake failed" and line["error"] != "closed")["error"]


def test_sighup_reads_at_once(renewed, authority):
    node, identity = renewed
    identity.replace(authority.identity())
    node.signal(signal.SIGHUP)
    eventually(lambda: shown(node.proxy, authority.context()) == serial(identity), 2)


@pytest.mark.parametrize("broken", ["no key", "other key", "garbage", "gone"])
def test_a_broken_file_keeps_the_old_certificate_and_says_so(renewed, authority, broken):
    node, identity = renewed
    before = shown(node.proxy, authority.context())
    cert, key = pathlib.Path(identity.cert), pathlib.Path(identity.key)
    old = cert.read_bytes(), key.read_bytes()
    if broken == "no key":
        key.write_bytes(b"")
    elif broken == "other key":
        key.write_bytes(pathlib.Path(authority.identity().key).read_bytes())
    elif broken == "garbage":
        cert.write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    else:
        cert.unlink()
    line = node.wait_line(lambda line: line["msg"] == "certificates not changed")
    part = "cert" if broken in ("garbage", "gone") else "key"
    assert line["level"] == "error" and line["error"].startswith(f"proxy.tls.{part}: {cert if part == 'cert' else key}: ")
    assert line["key"] == "proxy.tls, upstream.tls, admin.tls"
    node.counts("piko_tls_reload_failures_total")
    assert shown(node.proxy, authority.context()) == before and fetch(node.proxy, "web").body == b"hello"
    cert.write_bytes(old[0])
    key.write_bytes(old[1])
    node.wait_line(lambda line: line["msg"] == "certificates read again")


def test_an_agents_certificate_is_read_again_for_the_next_dial(piko, authority, service):
    """A client certificate that the server does not take is replaced: the agent comes in without a restart."""
    node = secure(piko, authority, ["upstream"], clients=authority.roots)
    ours = authority.identity(usage="clientAuth", subject="client")
    good = pathlib.Path(ours.cert).read_bytes(), pathlib.Path(ours.key).read_bytes()
    ours.replace(type(authority)(pathlib.Path(ours.cert).parent, "stranger").identity(usage="clientAuth", subject="client"))
    waiting = piko.agent("http", url(node, "upstream"), "web", service.addr, *trust(authority, ours), wait=False)
    waiting.wait_line(lambda line: line["msg"] == "not connected to server")
    pathlib.Path(ours.cert).write_bytes(good[0])
    pathlib.Path(ours.key).write_bytes(good[1])
    piko.until(waiting, lambda: node.listeners("web") == 1, 20)


def through(forward):
    try:
        return fetch(forward.addr, "any").body == b"hello"
    except (Ended, OSError):
        return False


@pytest.mark.parametrize("files", ["certificate", "roots"])
@pytest.mark.parametrize("told", [False, True], ids=["by itself", "sighup"])
def test_a_forward_takes_new_files_for_its_next_connections(piko, authority, service, tmp_path, files, told):
    """Files that do not fit end no connection and begin none; those that do let the next one in. Nothing is started again."""
    node = secure(piko, authority, ["proxy"], clients=authority.roots)
    piko.agent("tcp", node, "web", service.addr)
    stranger = type(authority)(tmp_path, "stranger")
    ours = authority.identity(usage="clientAuth", subject="client")
    roots = tmp_path / "roots.pem"
    roots.write_text(pathlib.Path(authority.roots).read_text())
    forward = piko.forward(url(node, "proxy"), "web", "--connect.tls.root-cas", roots, *ours.flags("connect.tls"))

    def replace(signer):
        if files == "certificate":
            ours.replace(signer.identity(usage="clientAuth", subject="client"))
        else:
            roots.write_text(pathlib.Path(signer.roots).read_text())
        if told:
            forward.signal(signal.SIGHUP)

    with Client(forward.addr) as client:
        assert client.request("web").response().body == b"hello"
        replace(stranger)
        eventually(lambda: not through(forward), 2 if told else 10)
        assert client.request("web").response().body == b"hello"
        replace(authority)
        eventually(lambda: through(forward), 2 if told else 10)
        assert client.request("web").response().body == b"hello"
    eventually(lambda: [line["key"] for line in forward.lines() if line["msg"] == "certificates read again"] == ["connect.tls"] * 2)


# Authorities


def text(authority):
    return pathlib.Path(authority.roots).read_text()


@pytest.fixture
def stranger(authority, tmp_path):
    return Authority(tmp_path, "stranger")


@pytest.fixture
def cas(authority, tmp_path):
    """A file of authorities, of the tests' own one for now."""
    path = tmp_path / "cas.pem"
    path.write_text(text(authority))
    return path


def asked(addr, context, session=None):
    """A request on a connection of its own: whether it resumed the session, and the one that it leaves. Not let in: OSError or Ended."""
    sock = tls.TLSSocket(socket.create_connection(address(addr), 10), context, "127.0.0.1", session=session)
    with Wire(sock) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n")
        assert wire.read_until(b"hello").startswith(b"HTTP/1.1 200")
        return sock.tls.session_reused, sock.tls.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_who_was_vouched_for_by_an_authority_that_is_withdrawn_comes_in_no_more(piko, authority, stranger, service, cas, ours, version):  # noqa: F811
    """Neither by the certificate nor by a session from before; whoever is in stays."""
    context = authority.context(ours, minimum=version, maximum=version)
    node = secure(piko, authority, ["proxy"], "--proxy.tls.client-cas", str(cas), context=context)
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as inside:
        assert inside.request("web").response().body == b"hello"
        session = asked(node.proxy, context)[1]
        resumed, session = asked(node.proxy, context, session)
        assert resumed
        cas.write_text(text(stranger))
        node.wait_line(lambda line: line["msg"] == "certificates read again" and line["key"] == "proxy.tls")
        for kept in (session, None):
            with pytest.raises((OSError, Ended)):
                asked(node.proxy, context, kept)
        assert inside.request("web").response().body == b"hello"
    node.counts('piko_tls_handshake_failures_total{port="proxy"}', 2)
    said = [line["error"] for line in node.lines() if line["msg"] == "handshake failed"]
    assert len(said) == 2 and all("the peer's certificate: " in error for error in said)
    newcomer = authority.context(stranger.identity(usage="clientAuth", subject="client"), minimum=version, maximum=version)
    assert asked(node.proxy, newcomer)[0] is False


def break_each_way(process, path, key, holds):
    """What is no file of authorities keeps the old ones, which `holds` sees, and is said."""
    def refusals():
        return [line for line in process.lines() if line["msg"] == "certificates not changed"]

    garbage = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"
    for count, content in enumerate(("", garbage, None), 1):
        path.write_text(content) if content is not None else path.unlink()
        process.signal(signal.SIGHUP)
        eventually(lambda: len(refusals()) == count, 5, f"refused: {content!r}")
        line = refusals()[-1]
        assert line["level"] == "error" and line["key"] == key.rpartition(".")[0] and line["error"].startswith(f"{key}: {path}: ")
        holds()


def test_a_broken_client_cas_keeps_the_old_and_says_so(piko, authority, stranger, service, cas, ours):  # noqa: F811
    node = secure(piko, authority, ["proxy"], "--proxy.tls.client-cas", str(cas), context=authority.context(ours))
    piko.agent("http", node, "web", service.addr)

    def holds():
        assert fetch(node.proxy, "web").body == b"hello"
        for context in (authority.context(), authority.context(stranger.identity(usage="clientAuth"))):
            with pytest.raises((OSError, Ended)):
                asked(node.proxy, context)

    holds()
    break_each_way(node, cas, "proxy.tls.client_cas", holds)
    node.counts("piko_tls_reload_failures_total", 3)


def test_a_broken_root_cas_keeps_the_old_and_says_so(piko, authority, service, cas):  # noqa: F811
    """Between nodes: a page is a connection of its own."""
    front = secure(piko, authority, ENDS, "--admin.tls.client.root-cas", str(cas))
    home = secure(piko, authority, ENDS, "--cluster.join", front.gossip)
    agent(piko, authority, home, service, ports=ENDS)
    knows(front)

    def holds():
        assert json.loads(page(front, home).body) == {"web": 1}

    holds()
    break_each_way(front, cas, "admin.tls.client.root_cas", holds)


def test_a_broken_root_cas_of_a_forward_keeps_the_old_and_says_so(piko, authority, service, cas):  # noqa: F811
    node = secure(piko, authority, ["proxy"])
    piko.agent("tcp", node, "web", service.addr)
    forward = piko.forward(url(node, "proxy"), "web", "--connect.tls.root-cas", str(cas))

    def holds():
        assert through(forward)

    holds()
    break_each_way(forward, cas, "connect.tls.root_cas", holds)


# Files towards other nodes


def read_again(process, *keys):
    eventually(lambda: [line["key"] for line in process.lines() if line["msg"] == "certificates read again"] == list(keys))


@pytest.fixture
def passing(piko, authority, service):  # noqa: F811
    """Starts a front node that reaches another one through a gate, which wants a certificate."""
    with Gate() as gate:
        context = authority.server_context(authority.identity())
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.roots)
        gate.context, gate.speaks = context, False

        def start(*flags):
            front = piko.server(*flags)
            home = piko.server("--cluster.join", front.gossip, "--proxy.advertise-addr", gate.addr)
            gate.behind = home.proxy
            piko.agent("http", home, "web", service.addr)
            knows(front)
            return front, gate

        yield start


def test_a_node_shows_its_new_certificate_to_the_next_node_it_dials(authority, service, ours, passing):  # noqa: F811
    front, gate = passing("--proxy.tls.client.root-cas", authority.roots, *ours.flags("proxy.tls.client"))
    service.fresh(switch)
    with Client(front.proxy) as inside:
        assert inside.request("web", headers=[("Connection", "Upgrade"), ("Upgrade", "echo")]).head().status == 101
        assert set(gate.serials) == {serial(ours)}
        ours.replace(authority.identity(usage="clientAuth", subject="client"))
        read_again(front, "proxy.tls.client")
        inside.send(b"through")
        assert inside.wire.read_exact(len(b"through")) == b"through"
    gate.drop()
    gate.serials.clear()
    eventually(lambda: fetch(front.proxy, "web").status == 200 and gate.serials)
    assert set(gate.serials) == {serial(ours)}


def test_a_node_takes_new_roots_for_the_next_node_it_dials(authority, stranger, service, cas, ours, passing):  # noqa: F811
    front, gate = passing("--proxy.tls.client.root-cas", str(cas), *ours.flags("proxy.tls.client"))
    assert fetch(front.proxy, "web").body == b"hello"
    cas.write_text(text(stranger))
    read_again(front, "proxy.tls.client")
    gate.drop()
    eventually(lambda: fetch(front.proxy, "web").status == 502)
    front.wait_line(lambda line: line["msg"] == "node not reached" and "the peer's certificate: " in line["error"])


@pytest.mark.parametrize("files", ["certificate", "roots"])
def test_pages_of_other_nodes_are_got_by_new_files(piko, authority, stranger, service, cas, ours, files):  # noqa: F811
    front = secure(piko, authority, ENDS, "--admin.tls.client.root-cas", str(cas), *ours.flags("admin.tls.client"))
    home = secure(piko, authority, ENDS, "--cluster.join", front.gossip, "--admin.tls.client-cas", authority.roots, context=authority.context(ours))
    agent(piko, authority, home, service, ports=ENDS)
    knows(front)
    assert page(front, home).status == 200
    for count, (signer, status) in enumerate(((stranger, 502), (authority, 200)), 1):
        if files == "roots":
            cas.write_text(text(signer))
        else:
            ours.replace(signer.identity(usage="clientAuth", subject="client"))
        read_again(front, *["admin.tls.client"] * count)
        assert page(front, home).status == status
