# SPDX-License-Identifier: MIT
# Certificates that change while processes run: read again by themselves and at SIGHUP, without touching what is open; broken ones change nothing
# and are said. Real processes; Python's ssl looks at what is shown.

import pathlib
import signal
import socket

import pytest

from harness.usage import eventually
from peer import tls
from peer.client import Client, fetch
from peer.wire import Ended, Wire, connect
from test_tls import agent, piko, secure, trust, url  # noqa: F401


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
