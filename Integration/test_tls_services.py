# SPDX-License-Identifier: MIT
# Services behind TLS: what an agent takes from them and shows them, how it ends with them, and files of its listeners that change. A real node and
# agent before a service of Python's ssl; certificates are made for the run.

import pathlib
import ssl
import threading

import pytest

from harness.certificates import Authority
from harness.usage import eventually
from peer import tls
from peer.client import Client, fetch
from peer.service import Service
from test_tls import agent, piko, secure, trust  # noqa: F401


class SecureService(Service):
    """A scripted service that speaks TLS."""

    def __init__(self, context, **options):
        self.context = context
        self.names = []   # that the clients sent, None for none
        self.serials = []   # of the certificates that they showed
        self.refused = []   # why their handshakes failed
        context.sni_callback = lambda sock, name, context: self.names.append(name)
        super().__init__(**options)

    def run(self, conn):
        try:
            conn.sock = tls.TLSSocket(conn.sock, self.context, server=True)
        except OSError as error:
            self.refused.append(str(error))
            return conn.close()
        if shown := conn.sock.tls.getpeercert():
            self.serials.append(shown["serialNumber"].lstrip("0"))
        super().run(conn)


@pytest.fixture
def hidden(authority):
    """A service behind TLS, for localhost."""
    with SecureService(authority.server_context(authority.identity())) as service:
        yield service
        assert not service.errors, service.errors


@pytest.fixture
def guarded(authority):
    """The same, for those with a certificate of the authority only."""
    context = authority.server_context(authority.identity())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.roots)
    with SecureService(context) as service:
        yield service
        assert not service.errors, service.errors


@pytest.fixture
def ours(authority):
    return authority.identity(usage="clientAuth", subject="client")


def listener(tmp_path, addr, **tls_keys):
    path = tmp_path / "agent.yaml"
    keys = "".join(f"      {key}: {value}\n" for key, value in tls_keys.items())
    path.write_text(f"listeners:\n  - endpoint_id: web\n    addr: {addr}\n" + (f"    tls:\n{keys}" if keys else ""))
    return path


def start_agent(piko, node, path):
    process = piko.start(type(node), "agent", piko.looped("agent", "start", "--config.path", path, "--connect.url", node.upstream_url, *piko.dialling))
    piko.until(process, lambda: node.listeners("web") == 1)
    return process


def test_a_service_of_https_is_reached_by_tls(piko, authority, hidden, tmp_path):  # noqa: F811
    node = piko.server()
    start_agent(piko, node, listener(tmp_path, f"https://localhost:{hidden.port}/base", root_cas=authority.roots))
    for round in range(3):
        message = fetch(node.proxy, "web", "/x", "POST", body=b"y" * 100_000)
        assert message.body == b"hello"
        assert hidden.request().head.target == b"/base/x"
    assert hidden.count == 1   # kept and used again


@pytest.mark.parametrize("host, name", [("localhost", "localhost"), ("127.0.0.1", None)])
def test_a_name_is_sent_and_an_address_is_not(piko, authority, hidden, tmp_path, host, name):  # noqa: F811
    """RFC 6066 3: an address is no server name."""
    node = piko.server()
    start_agent(piko, node, listener(tmp_path, f"https://{host}:{hidden.port}", root_cas=authority.roots))
    assert fetch(node.proxy, "web").body == b"hello"
    assert hidden.names == [name]


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_tls_of_a_plain_service_has_no_effect_and_that_is_said(piko, authority, service, tmp_path, scheme):  # noqa: F811
    node = piko.server()
    plain = start_agent(piko, node, listener(tmp_path, f"{scheme}{service.addr}", root_cas=authority.roots))
    assert fetch(node.proxy, "web").status == 200
    assert [line["key"] for line in plain.lines() if line["msg"] == "no effect without an https address"] == ["listeners[0].tls"]


NO_HTTPS = "no effect without an https address"


def warned(process, message, field):
    """What the lines say that have this message."""
    return [line[field] for line in process.lines() if line["msg"] == message and line["level"] == "warn"]


def test_tls_towards_a_plain_server_has_no_effect_and_that_is_said(piko, authority, service):  # noqa: F811
    """Of an agent, a forward, a benchmark and a question; with https there is nothing to say."""
    node = piko.server()
    plain = piko.agent("http", node, "web", service.addr, *trust(authority))
    assert fetch(node.proxy, "web").status == 200
    assert warned(plain, NO_HTTPS, "key") == ["connect.tls"]
    forward = piko.forward(node, "web", "--connect.tls.insecure-skip-verify")
    forward.wait_line(lambda line: line["msg"] == NO_HTTPS and line["key"] == "connect.tls" and line["level"] == "warn")
    few = ["--requests", "1", "--clients", "1", "--endpoints", "1", "--upstreams", "1"]
    to = ["--connect.proxy-url", node.proxy_url, "--connect.upstream-url", node.upstream_url]
    assert NO_HTTPS in piko.run("bench", "http", *few, *to, *trust(authority)).log
    assert NO_HTTPS not in piko.run("bench", "http", *few, *to).log
    assert NO_HTTPS in piko.run("server", "status", "cluster", "nodes", "--server.url", node.admin_url, "--server.tls.root-cas", authority.roots).log
    safe = secure(piko, authority, ["upstream"])
    assert not warned(agent(piko, authority, safe, service, ports=["upstream"]), NO_HTTPS, "key")


def test_keys_without_effect_are_named_where_they_are_given(piko, authority, service, tmp_path):  # noqa: F811
    node = piko.server("--upstream.advertise-addr", "h:1", "--upstream.tls.client.insecure-skip-verify", "--upstream.tls.client.root-cas", authority.roots)
    assert warned(node, "keys without effect", "keys") == ["upstream.advertise_addr, upstream.tls.client.root_cas, upstream.tls.client.insecure_skip_verify"]
    silent = piko.agent("http", node, "web", service.addr, "--http-client.disable-compression=false")
    told = piko.agent("http", node, "told", service.addr, "--http-client.disable-compression")
    assert warned(told, "keys without effect", "keys") == ["listeners[0].http_client.disable_compression"]
    assert not warned(silent, "keys without effect", "keys")
    file = tmp_path / "agent.yaml"
    file.write_text("listeners:\n" + f"  - {{endpoint_id: many, addr: '{service.addr}', http_client: {{disable_compression: true}}}}\n" * 10)
    many = piko.start(type(node), "agent", ["agent", "start", "--config.path", file, "--connect.url", node.upstream_url, *piko.dialling])
    piko.until(many, lambda: node.listeners("many") == 10)
    assert warned(many, "keys without effect", "keys")[0].endswith("listeners[7].http_client.disable_compression, 2 more")


def test_a_service_that_is_not_trusted_is_not_reached(piko, hidden, tmp_path):  # noqa: F811
    node = piko.server()
    careful = start_agent(piko, node, listener(tmp_path, f"https://localhost:{hidden.port}"))
    assert fetch(node.proxy, "web").status == 502
    careful.wait_line(lambda line: line["msg"] == "service not reached" and "the peer's certificate" in line["error"])
    assert hidden.requests.empty()


@pytest.mark.parametrize("end", ["notified", "cut"])
def test_a_service_that_ends_without_close_notify_harms_no_whole_answer(piko, authority, hidden, tmp_path, end):  # noqa: F811
    """The answer to the next request comes by a fresh connection; an answer until the end of the connection counts only when it was notified."""
    node = piko.server()
    start_agent(piko, node, listener(tmp_path, f"https://localhost:{hidden.port}", root_cas=authority.roots))
    arrived = threading.Event()

    def handler(conn, head):
        if head.target == b"/whole":
            conn.reply(200, b"whole" * 2000)
        else:
            conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
            arrived.wait(20)  # a reset may overtake what was sent before it
        conn.sock.cut() if end == "cut" else conn.sock.shutdown(1)
        conn.open = False

    hidden.fresh(handler)
    for _ in range(5):
        assert fetch(node.proxy, "web", "/whole").body == b"whole" * 2000
    with Client(node.proxy) as client:
        client.request("web", "/open")
        assert client.head().status == 200
        assert client.wire.read_exact(len(b"until the end")) == b"until the end"
        arrived.set()
        assert client.wire.read_to_end() == b""
        assert client.wire.how == ("end" if end == "notified" else "reset")


# The agent's certificate


def test_a_service_that_wants_a_certificate_is_shown_the_listeners(piko, authority, guarded, ours, tmp_path):  # noqa: F811
    node = piko.server()
    start_agent(piko, node, listener(tmp_path, f"https://localhost:{guarded.port}", root_cas=authority.roots, cert=ours.cert, key=ours.key))
    assert fetch(node.proxy, "web").body == b"hello"
    assert guarded.serials == [ours.serial.lstrip("0")]


def test_a_service_that_wants_a_certificate_does_not_answer_without(piko, authority, guarded, tmp_path):  # noqa: F811
    node = piko.server()
    process = start_agent(piko, node, listener(tmp_path, f"https://localhost:{guarded.port}", root_cas=authority.roots))

    def said():
        return any(line["msg"] == "service not reached" and "certificate required" in line["error"] for line in process.lines())

    # TLS 1.3 refuses behind the handshake: what is said then may be lost by the reset that follows it.
    eventually(lambda: fetch(node.proxy, "web").status == 502 and said())
    eventually(lambda: any("peer did not return a certificate" in error for error in guarded.refused))
    assert guarded.requests.empty()


@pytest.mark.parametrize("careless", [True, False], ids=["unchecked", "checked"])
def test_a_service_that_nobody_vouches_for_is_reached_where_nothing_is_checked(piko, tmp_path, careless):  # noqa: F811
    """Its certificate is a stranger's, and for another name."""
    stranger = Authority(tmp_path, "stranger")
    keys = {"insecure_skip_verify": "true"} if careless else {}
    with SecureService(stranger.server_context(stranger.identity(names="DNS:elsewhere.example.com"))) as service:
        node = piko.server()
        process = start_agent(piko, node, listener(tmp_path, f"https://localhost:{service.port}", **keys))
        assert fetch(node.proxy, "web").status == (200 if careless else 502)
    said = [line for line in process.lines() if line["msg"] == "certificates of peers are not checked"]
    assert [(line["level"], line["key"]) for line in said] == ([("warn", "listeners[0].tls.insecure_skip_verify")] if careless else [])


# Files that change


def read_again(process, count):
    eventually(lambda: [line["key"] for line in process.lines() if line["msg"] == "certificates read again"] == ["listeners[0].tls"] * count)


def test_a_listeners_new_certificate_is_shown_to_the_next_connections(piko, authority, guarded, ours, tmp_path):  # noqa: F811
    node = piko.server()
    process = start_agent(piko, node, listener(tmp_path, f"https://localhost:{guarded.port}", root_cas=authority.roots, cert=ours.cert, key=ours.key))
    assert fetch(node.proxy, "web").body == b"hello"
    serials = [ours.serial.lstrip("0")]
    ours.replace(authority.identity(usage="clientAuth", subject="client"))
    serials.append(ours.serial.lstrip("0"))
    read_again(process, 1)
    assert fetch(node.proxy, "web").body == b"hello" and guarded.serials == serials[:1]   # the connection that there is goes on
    guarded.drop()
    eventually(lambda: fetch(node.proxy, "web").body == b"hello")
    assert guarded.serials == serials


def test_a_listeners_new_roots_hold_for_the_next_connections(piko, authority, hidden, tmp_path):  # noqa: F811
    roots, good = tmp_path / "roots.pem", pathlib.Path(authority.roots).read_text()
    roots.write_text(good)
    node = piko.server()
    process = start_agent(piko, node, listener(tmp_path, f"https://localhost:{hidden.port}", root_cas=roots))
    assert fetch(node.proxy, "web").body == b"hello"
    for count, text, status in (1, pathlib.Path(Authority(tmp_path, "stranger").roots).read_text(), 502), (2, good, 200):
        roots.write_text(text)
        read_again(process, count)
        hidden.drop()
        eventually(lambda: fetch(node.proxy, "web").status == status)
    assert fetch(node.proxy, "web").body == b"hello"
