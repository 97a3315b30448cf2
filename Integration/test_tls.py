# SPDX-License-Identifier: MIT
# TLS on the ports of a node and towards it, with real clients: curl, openssl s_client and Python's ssl. What they
# agree on, who is refused and how that is said. Certificates are made for the run; half closes are in test_tcp.py, run with --tls.

import itertools
import json
import ssl
import subprocess
import time

import pytest

from harness.piko import Piko, listening
from harness.usage import eventually
from peer import http1, tls
from peer.client import Client, fetch
from peer.service import reply
from peer.wire import Wire, connect

PORTS = ("proxy", "upstream", "admin")
FAILED = {port: f'piko_tls_handshake_failures_total{{port="{port}"}}' for port in PORTS}


@pytest.fixture
def piko(tmp_path, loops):
    """Plain where a test does not say otherwise."""
    piko = Piko(tmp_path, loops)
    yield piko
    piko.stop()


@pytest.fixture(scope="module")
def identity(authority):
    return authority.identity()


def secure(piko, authority, ports, *flags, identity=None, clients=None, host="127.0.0.1", context=None):
    """A node whose `ports` speak TLS, known so to peer.wire.connect. `context`: of the tests' own ends, where its certificate is not for `host`."""
    identity = identity or authority.identity()
    words = [word for port in ports for word in identity.flags(f"{port}.tls")]
    words += [word for port in ports if clients for word in (f"--{port}.tls.client-cas", clients)]
    node = piko.server(*words, *flags, host=host, wait=False)
    context = context or authority.context(identity if clients else None)
    tls.trusted.update((getattr(node, port), context) for port in ports)
    piko.until(node, lambda: node.ready)
    return node


def url(node, port, ports=PORTS):
    return f"{'https' if port in ports else 'http'}://{getattr(node, port)}"


def trust(authority, identity=None):
    return ["--connect.tls.root-cas", authority.roots, *(identity.flags("connect.tls") if identity else [])]


def agent(piko, authority, node, service, *flags, ports=PORTS, endpoint="web", kind="http"):
    process = piko.agent(kind, url(node, "upstream", ports), endpoint, service.addr, *trust(authority), *flags, wait=False)
    piko.until(process, lambda: node.listeners(endpoint) > 0)
    return process


@pytest.fixture
def shielded(piko, authority, identity, service):
    """A node with TLS on all ports and an agent before the service."""
    node = secure(piko, authority, PORTS, identity=identity)
    agent(piko, authority, node, service)
    return node


def curl(authority, *words):
    done = subprocess.run(["curl", "-sS", "--max-time", "10", "--cacert", authority.roots, *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def s_client(addr, *words):
    done = subprocess.run(["openssl", "s_client", "-connect", addr, *words], input="", capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_is_served_in_both_versions(piko, shielded, authority, service, version):
    service.fresh(reply(body=b"over TLS"))
    flags = ["--tls-max", version, "--tlsv1.2", "--http1.1", "-H", "x-piko-endpoint: web", "-d", "x" * 100_000]
    status, out, error = curl(authority, *piko.curl, *flags, "-w", "%{http_version} %{ssl_verify_result}", f"https://{shielded.proxy}/a?b=c")
    assert (status, out) == (0, "over TLS1.1 0"), error
    head = service.request().head
    assert head.get("x-forwarded-proto") == b"https" and head.get("host") == shielded.proxy.encode()
    assert head.start == b"POST /a?b=c HTTP/1.1"


def test_a_plain_port_says_http_to_the_service(piko, authority, service):
    node = secure(piko, authority, ["upstream"])
    agent(piko, authority, node, service, ports=["upstream"])
    assert fetch(node.proxy, "web").status == 200
    assert service.request().head.get("x-forwarded-proto") == b"http"


def test_curl_offering_http_2_gets_http_1(piko, shielded, authority):
    status, out, error = curl(authority, *piko.curl, "-H", "x-piko-endpoint: web", "-w", "%{http_version}", f"https://{shielded.proxy}/")
    assert (status, out) == (0, "hello1.1"), error


@pytest.mark.parametrize("port", PORTS)
def test_s_client_sees_what_the_port_agrees_to(shielded, authority, port):
    addr = getattr(shielded, port)
    seen = s_client(addr, "-CAfile", authority.roots, "-verify_return_error", "-verify_ip", "127.0.0.1", "-alpn", "h2,http/1.1")
    assert "TLSv1.3" in seen and "ALPN protocol: http/1.1" in seen and "Verify return code: 0 (ok)" in seen, seen
    seen = s_client(addr, "-tls1_2", "-CAfile", authority.roots)
    assert "ECDHE-ECDSA-AES" in seen and "Secure Renegotiation IS supported" in seen and "Compression: NONE" in seen, seen
    assert "ECDHE-ECDSA-AES" not in s_client(addr, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "alert" in s_client(addr, "-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-SHA")   # neither old modes nor static keys
    assert "no application protocol" in s_client(addr, "-alpn", "h2")


@pytest.mark.parametrize("port", PORTS)
def test_renegotiation_is_refused(shielded, authority, port):
    """Of TLS 1.2, the last version that has it (RFC 5246 7.2.2): the client is alerted, and gives up."""
    command = ["openssl", "s_client", "-connect", getattr(shielded, port), "-tls1_2", "-CAfile", authority.roots]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        client.stdin.write("R\n")
        client.stdin.flush()
        assert client.wait(10) == 1
        seen = client.stdout.read()
    assert "Protocol  : TLSv1.2" in seen and "ssl3_read_bytes:no renegotiation" in seen.partition("RENEGOTIATING\n")[2], seen
    assert shielded.ready


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_session_is_resumed(shielded, authority, version):
    context = authority.context(minimum=version, maximum=version)
    session = None
    for round in range(3):
        tls.trusted.pop(shielded.proxy, None)
        sock = tls.TLSSocket(connect(shielded.proxy), context, "127.0.0.1", session=session)
        wire = Wire(sock)
        wire.send(b"GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n")
        assert wire.read_until(b"hello").startswith(b"HTTP/1.1 200")
        assert sock.tls.session_reused == (round > 0)
        session = sock.tls.session
        wire.close()


@pytest.mark.parametrize("ports", [ports for count in range(4) for ports in itertools.combinations(PORTS, count)], ids=lambda ports: "+".join(ports) or "none")
def test_every_combination_of_plain_and_tls(piko, authority, identity, service, ports):
    node = secure(piko, authority, ports, identity=identity)
    agent(piko, authority, node, service, ports=ports)
    assert fetch(node.proxy, "web").body == b"hello"
    forward = piko.forward(url(node, "proxy", ports), "web", *trust(authority))
    with Client(forward.addr) as client:
        assert client.request("web").response().body == b"hello"
    flags = ["--server.url", url(node, "admin", ports), "--server.tls.root-cas", authority.roots, *piko.asking]
    assert "web: 1" in piko.run("server", "status", "upstream", "endpoints", *flags).out


def test_a_certificate_is_required_where_its_authorities_are_named(piko, authority, service, tmp_path):
    ours = authority.identity(usage="clientAuth", subject="client")
    node = secure(piko, authority, ["proxy", "upstream"], clients=authority.roots)
    piko.until(piko.agent("http", url(node, "upstream"), "web", service.addr, *trust(authority, ours), wait=False),
               lambda: node.listeners("web") == 1)
    forward = piko.forward(url(node, "proxy"), "web", *trust(authority, ours))
    with Client(forward.addr) as client:
        assert client.request("web").response().body == b"hello"
    words = [*piko.curl, "-H", "x-piko-endpoint: web", f"https://{node.proxy}/"]
    assert curl(authority, "--cert", ours.cert, "--key", ours.key, *words)[1] == "hello"
    assert curl(authority, *words)[0] != 0
    stranger = type(authority)(tmp_path, "stranger").identity(usage="clientAuth", subject="client")
    assert curl(authority, "--cert", stranger.cert, "--key", stranger.key, *words)[0] != 0
    for words in ("TLS: peer did not return a certificate", "the peer's certificate: "):
        node.wait_line(lambda line: line["msg"] == "handshake failed" and words in line["error"])
    node.counts('piko_tls_handshake_failures_total{port="proxy"}', 2)
    lost = piko.agent("http", url(node, "upstream"), "none", service.addr, *trust(authority), wait=False)
    lost.wait_line(lambda line: line["msg"] == "not connected to server" and "certificate required" in line["error"])
    eventually(lambda: node.metric('piko_tls_handshake_failures_total{port="upstream"}') >= 1)


WRONG = [
    ("unknown authority", [], "the peer's certificate: "),
    ("wrong name", ["--connect.tls.root-cas", "ROOTS"], "the peer's certificate: IP address mismatch"),
]


@pytest.mark.parametrize("flags, reason", [item[1:] for item in WRONG], ids=[item[0] for item in WRONG])
def test_an_agent_says_why_it_does_not_trust(piko, authority, service, flags, reason):
    node = secure(piko, authority, ["upstream"], identity=authority.identity(names="DNS:elsewhere.example.com"))
    flags = [authority.roots if flag == "ROOTS" else flag for flag in flags]
    lost = piko.agent("http", url(node, "upstream"), "web", service.addr, *flags, wait=False)
    line = lost.wait_line(lambda line: line["msg"] == "not connected to server")
    assert reason in line["error"] and lost.running and node.listeners("web") == 0


def test_a_certificate_that_expires_soon_is_said(piko, authority):
    node = secure(piko, authority, ["upstream"], identity=authority.identity(days=1))
    line = node.wait_line(lambda line: line["msg"] == "certificate expires soon")
    assert line["level"] == "warn" and line["key"] == "upstream.tls.cert" and line["hours"] in (23, 24)


def test_unchecked_connects_and_says_so(piko, authority, service):
    node = secure(piko, authority, ["upstream"], identity=authority.identity(names="DNS:elsewhere.example.com"))
    careless = piko.agent("http", url(node, "upstream"), "web", service.addr, "--connect.tls.insecure-skip-verify", wait=False)
    piko.until(careless, lambda: node.listeners("web") == 1)
    warning = careless.wait_line(lambda line: line["msg"] == "certificates of peers are not checked")
    assert warning["level"] == "warn" and warning["key"] == "connect.tls.insecure_skip_verify"


def test_every_section_that_checks_nothing_is_named(piko, authority):
    """Also where several sections have the same and are one."""
    careless = secure(piko, authority, ["proxy", "admin"], "--proxy.tls.client.insecure-skip-verify", "--admin.tls.client.insecure-skip-verify")
    careless.wait_line(lambda line: line["msg"] == "certificates of peers are not checked")
    keys = [line["key"] for line in careless.lines() if line["msg"] == "certificates of peers are not checked"]
    assert keys == ["proxy.tls.client.insecure_skip_verify, admin.tls.client.insecure_skip_verify"]


def test_the_systems_roots_are_the_default(piko, authority, service):
    node = secure(piko, authority, ["upstream"])
    known = piko.agent("http", url(node, "upstream"), "web", service.addr, wait=False, env={"SSL_CERT_FILE": authority.roots})
    piko.until(known, lambda: node.listeners("web") == 1)


@pytest.mark.parametrize("port", PORTS)
def test_plain_http_on_a_tls_port_is_told_so(shielded, port):
    before = shielded.metric(FAILED[port])
    with connect_plain(getattr(shielded, port)) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n")
        message = http1.read_response(wire)
    assert (message.status, json.loads(message.body)) == (400, {"error": "this port speaks TLS"})
    eventually(lambda: shielded.metric(FAILED[port]) > before)


@pytest.mark.parametrize("words", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silence", "half a hello"])
def test_a_handshake_has_a_deadline(piko, authority, words):
    node = secure(piko, authority, ["proxy"], "--proxy.http.read-header-timeout", "500ms")
    tls.trusted.pop(node.proxy)
    with Wire(connect(node.proxy)) as wire:
        wire.send(words)
        wire.read_to_end()
    line = node.wait_line(lambda line: line["msg"] == "handshake failed" and line["error"] != "closed")
    assert line["port"] == "proxy" and line["peer"].startswith("127.0.0.1:")
    node.counts(FAILED["proxy"])


def test_a_handshake_has_ten_seconds_on_the_ports_of_agents_and_operators(piko, authority):
    node = secure(piko, authority, ["upstream", "admin"])
    ends = {port: connect_plain(getattr(node, port)) for port in ("upstream", "admin")}
    began = time.monotonic()
    for wire in ends.values():
        wire.read_to_end()
        wire.close()
    assert 9 < time.monotonic() - began < 20
    for port in ends:
        node.wait_line(lambda line: line["msg"] == "handshake failed" and line["port"] == port and "timed out" in line["error"])
        eventually(lambda: node.metric(FAILED[port]) == len(failures(node, port)))


def failures(node, port):
    return [line for line in node.lines() if line["msg"] == "handshake failed" and line["port"] == port]


def connect_plain(addr):
    """Of a port that speaks TLS."""
    context = tls.trusted.pop(addr)
    try:
        return Wire(connect(addr, timeout=20))
    finally:
        tls.trusted[addr] = context


def test_what_is_no_handshake_gets_an_alert(shielded):
    tls.trusted.pop(shielded.proxy)
    with Wire(connect(shielded.proxy)) as wire:
        wire.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        assert wire.read_to_end()[:1] == b"\x15"
    eventually(lambda: shielded.metric(FAILED["proxy"]) >= 1)
    assert listening(shielded.proxy) and shielded.running
