# SPDX-License-Identifier: MIT
# Agents and forwards that reach their server through an HTTP proxy: real ones (tinyproxy, squid), what the environment says, what a proxy that
# refuses, is silent or broken makes of it. How a proxy is chosen by names and addresses is in Tests/PikoCoreTests/Outbound.

import socket
import threading
import time

import pytest

from harness.certificates import Armour
from harness.piko import Piko
from harness.proxies import PASSWORD, USER, Squid, Tinyproxy
from harness.usage import eventually
from peer.client import fetch
from peer.service import reply

NONE = {name: "" for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")}


def env(**variables):
    """Nothing of the machine's own."""
    return {**NONE, **variables}


@pytest.fixture
def made():
    """Processes of one test that are not ours."""
    made = []
    yield made
    for process in made:
        process.kill()


@pytest.fixture
def tinyproxy(tmp_path, made):
    def start(**options):
        made.append(Tinyproxy(tmp_path, **options))
        return made[-1]
    return start


@pytest.fixture(scope="module")
def squid(tmp_path_factory):
    squid = Squid(tmp_path_factory.mktemp("squid"))
    yield squid
    squid.kill()


def named(url):
    """The same place by the name that only squid knows."""
    return url.replace("127.0.0.1", "piko.test")


def talks(forward, text=b"through the proxy"):
    with socket.create_connection(("127.0.0.1", int(forward.addr.rpartition(":")[2])), 10) as connection:
        connection.settimeout(10)
        connection.sendall(text)
        got = b""
        while len(got) < len(text) and (piece := connection.recv(100)):
            got += piece
    return got == text


@pytest.fixture
def echo():
    """A service that sends back what comes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            while piece := connection.recv(65536):
                connection.sendall(piece)

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_agent_and_forward_through_tinyproxy_with_a_password(piko, tinyproxy, service, echo):
    service.handler = reply()
    proxy, node = tinyproxy(auth=True), piko.server()
    login = ["--connect.proxy-url", f"http://{USER}:secret@{proxy.addr}"]
    piko.agent("http", node, "web", service.addr, *login, env=env())
    piko.agent("tcp", node, "echo", echo, *login, env=env())
    forward = piko.forward(node, "echo", *login, env=env())
    assert fetch(node.proxy, "web", "/").body == b"hello"
    assert talks(forward)
    assert proxy.seen.count(node.upstream) >= 2 and node.proxy in proxy.seen


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_agent_and_forward_through_squid_which_alone_knows_the_name(piko, squid, echo, secure):
    node = piko.server()
    login = ["--connect.proxy-url", squid.secure_login if secure else squid.login]
    variables = env(SSL_CERT_FILE=str(squid.cert))
    piko.agent("tcp", named(node.upstream_url), "echo", echo, *login, env=variables)
    eventually(lambda: node.listeners("echo") == 1)
    forward = piko.forward(named(node.proxy_url), "echo", *login, env=variables)
    assert talks(forward)


@pytest.fixture
def armoured(tmp_path, loops, authority):
    """Starts nodes that speak TLS on every port, with a certificate for the name that only squid knows, too."""
    armour = Armour.__new__(Armour)
    armour.authority = authority
    armour.identity = authority.identity(names="DNS:piko.test,IP:127.0.0.1")
    piko = Piko(tmp_path, loops, armour)
    yield piko
    piko.stop()


@pytest.mark.parametrize("kind", ["tinyproxy", "squid", "squid by TLS"])
def test_tls_with_the_server_runs_inside_what_the_proxy_connects(armoured, tinyproxy, squid, service, echo, kind):
    """The proxy passes on what it cannot read; spoken to by TLS itself, there is TLS inside TLS."""
    service.handler = reply(body=b"x" * 3_000_000)
    node = armoured.server()
    proxy = tinyproxy() if kind == "tinyproxy" else squid
    login = ["--connect.proxy-url", {"tinyproxy": proxy.url, "squid": squid.login, "squid by TLS": squid.secure_login}[kind]]
    name = named if proxy is squid else str
    # The roots of the server's certificate are configured, those of the proxy's are the system's.
    variables = env(SSL_CERT_FILE=str(squid.cert))
    armoured.agent("http", name(node.upstream_url), "web", service.addr, *login, env=variables)
    armoured.agent("tcp", name(node.upstream_url), "echo", echo, *login, env=variables)
    eventually(lambda: node.listeners("web") == node.listeners("echo") == 1)
    forward = armoured.forward(name(node.proxy_url), "echo", *login, env=variables)
    for _ in range(3):
        assert fetch(node.proxy, "web", "/", "POST", body=b"y" * 300_000).body == b"x" * 3_000_000
        assert talks(forward, b"z" * 500_000)
    if proxy is not squid:
        assert proxy.seen.count(node.upstream) >= 2 and node.proxy in proxy.seen


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_server_behind_the_proxy_is_trusted_for_its_own_certificate_only(armoured, authority, squid, service, secure):
    armoured.armour.identity = authority.identity()   # not for the name that squid knows
    node = armoured.server()
    login = ["--connect.proxy-url", squid.secure_login if secure else squid.login]
    agent = armoured.agent("http", named(node.upstream_url), "web", service.addr, *login, wait=False, env=env(SSL_CERT_FILE=str(squid.cert)))
    line = agent.wait_line(lambda line: line["msg"] == "not connected to server")
    assert line["error"] == "the peer's certificate: hostname mismatch" and node.listeners("web") == 0


def test_a_proxy_whose_certificate_is_nobodys_is_not_trusted(piko, squid):
    run = piko.run("agent", "http", "web", "1", "--connect.proxy-url", squid.secure_login, "--connect.timeout", "1s", env=env())
    assert run.child.returncode == 1
    assert failure(run).startswith(f"proxy localhost:{squid.secure}: ") and "certificate" in failure(run)


def test_the_environment_names_the_proxy(piko, squid, echo):
    node = piko.server()
    variables = env(**{f"{piko.scheme.upper()}_PROXY": squid.login}, NO_PROXY="elsewhere.test,10.0.0.0/8")
    piko.agent("tcp", named(node.upstream_url), "echo", echo, env=variables)
    eventually(lambda: node.listeners("echo") == 1)
    assert talks(piko.forward(named(node.proxy_url), "echo", env=env(**{f"{piko.scheme}_proxy": squid.login})))


def test_the_environment_exempts_and_configuration_wins(piko, tinyproxy, squid, service):
    node, proxy = piko.server(), tinyproxy()
    broken = "http://127.0.0.1:1"
    # This machine itself is reached directly, whatever HTTP_PROXY says, but not past a proxy that was configured.
    piko.agent("http", node, "one", service.addr, env=env(HTTP_PROXY=broken))
    piko.agent("http", node, "two", service.addr, "--connect.proxy-url", proxy.url, env=env(HTTP_PROXY=broken, NO_PROXY="*"))
    assert set(proxy.seen) == {node.upstream}
    run = piko.run("agent", "http", "web", "1", "--connect.url", named(node.upstream_url), "--connect.timeout", "1s",
                   env=env(HTTP_PROXY=squid.login, NO_PROXY=".test"))
    assert run.child.returncode == 1 and "proxy" not in failure(run), "it was looked up here"


def test_a_variable_that_names_no_proxy_is_one_line(piko):
    run = piko.run("agent", "http", "web", "1", "--connect.url", "http://piko.test:1", env=env(HTTP_PROXY="socks5://me:secret@h:1"))
    assert run.child.returncode == 1 and run.log.count("\n") == 1
    assert "HTTP_PROXY: expected an http or https URL" in run.log and "secret" not in run.log


def failure(process):
    """The error of the one line that says why it ended."""
    lines = [line for line in process.lines() if line["level"] == "error" and line["msg"] == "server not reached"]
    assert len(lines) == 1, process.log
    return lines[0]["error"]


WANTED = "status 407: it wants a user and a password, or other ones"
UNAUTHORIZED = "refused with status 401: Unauthorized"


@pytest.mark.parametrize("login, by_tinyproxy", [("", WANTED), ("me:wrong@", UNAUTHORIZED), ("nobody@", UNAUTHORIZED)], ids=["none", "wrong", "unknown"])
def test_a_proxy_that_wants_a_password_is_said_clearly(piko, tinyproxy, squid, login, by_tinyproxy):
    """tinyproxy answers to a wrong one as if it were the server, by 401."""
    for place, said in (tinyproxy(auth=True).addr, by_tinyproxy), (f"127.0.0.1:{squid.port}", WANTED):
        run = piko.run("agent", "http", "web", "1", "--connect.proxy-url", f"http://{login}{place}", env=env())
        assert run.child.returncode == 1
        assert failure(run) == f"proxy {place}: {said}"
        assert "wrong" not in run.log


def test_a_refusal_is_said_with_the_proxys_words(piko, tinyproxy):
    proxy = tinyproxy(ports=[443])
    run = piko.run("agent", "http", "web", "1", "--connect.proxy-url", proxy.url, env=env())
    assert run.child.returncode == 1 and failure(run).startswith(f"proxy {proxy.addr}: refused with status 403: ")


def test_a_forward_says_what_the_proxy_said_and_lets_the_client_go(piko, tinyproxy):
    proxy, node = tinyproxy(auth=True), piko.server()
    forward = piko.forward(node, "echo", "--connect.proxy-url", proxy.url, env=env())
    with socket.create_connection(("127.0.0.1", int(forward.addr.rpartition(":")[2])), 10) as client:
        client.settimeout(10)
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
    line = forward.wait_line(lambda line: line["msg"] == "server not reached")
    assert line["error"].startswith(f"proxy {proxy.addr}: ") and line["level"] == "warn"


def test_an_agent_waits_for_its_proxy_and_comes_back_with_it(piko, tinyproxy, made, service):
    service.handler = reply()
    node, proxy = piko.server(), tinyproxy()
    proxy.kill()
    agent = piko.agent("http", node, "web", service.addr, "--connect.proxy-url", proxy.url, env=env(), wait=False)
    agent.wait_line(lambda line: line.get("error") == f"proxy {proxy.addr}: connection refused")
    again = tinyproxy(port=proxy.port)
    eventually(lambda: node.listeners("web") == 1)
    assert fetch(node.proxy, "web", "/").status == 200
    again.kill()
    eventually(lambda: node.listeners("web") == 0)
    tinyproxy(port=proxy.port)
    eventually(lambda: node.listeners("web") == 1, 15)
    assert fetch(node.proxy, "web", "/").status == 200


class FakeProxy:
    """Reads the head of a CONNECT and sends these bytes, byte by byte where asked; keeps the connection open."""

    def __init__(self, answer, slowly=False, close=False):
        self.answer, self.slowly, self.close_after = answer, slowly, close
        self.heads = []
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(4096)):
                    head += piece
                self.heads.append(head)
                self.open.append(connection)
                pieces = [self.answer[i:i + 1] for i in range(len(self.answer))] if self.slowly else [self.answer]
                for piece in pieces:
                    connection.sendall(piece)
                if self.close_after:
                    connection.close()
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.open:
            connection.close()


@pytest.mark.parametrize("answer, close, said", [
    (b"", False, "timed out"),
    (b"", True, "ended before the end of the message"),
    (b"HTTP/1.1 200 OK\r\n", False, "timed out"),
    (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 4000, False, "unexpected answer: head too long"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", False, "unexpected answer: no HTTP"),
    (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", False, "refused with status 502: Bad Gateway"),
], ids=["silent", "closes", "half a head", "endless head", "other protocol", "502"])
def test_a_broken_proxy_has_a_deadline_a_bound_and_a_line(piko, answer, close, said):
    with FakeProxy(answer, close=close) as proxy:
        start = time.monotonic()
        run = piko.run("agent", "http", "web", "1", "--connect.url", "http://somewhere.test:81", "--connect.proxy-url", f"http://{proxy.addr}",
                       "--connect.timeout", "1s", env=env(), timeout=15)
        assert run.child.returncode == 1 and time.monotonic() - start < 10
        assert failure(run) == f"proxy {proxy.addr}: {said}"
        assert proxy.heads[0].startswith(b"CONNECT somewhere.test:81 HTTP/1.1\r\nHost: somewhere.test:81\r\n") and b"Authorization" not in proxy.heads[0]


def test_an_answer_in_single_bytes_is_understood_and_what_follows_is_the_servers(piko):
    refusal = b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 24\r\n\r\n{"error":"who are you?"}'
    with FakeProxy(b"HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n" + refusal, slowly=True) as proxy:
        run = piko.run("agent", "http", "web", "1", "--connect.url", "http://somewhere.test", "--connect.proxy-url", f"http://a:b@{proxy.addr}", env=env())
        assert run.child.returncode == 1 and failure(run) == "status 401: who are you?"
        assert b"Proxy-Authorization: Basic YTpi\r\n" in proxy.heads[0] and proxy.heads[0].startswith(b"CONNECT somewhere.test:80 ")


def test_a_benchmark_goes_the_same_way(piko, squid):
    piko.tokens = None  # it has none to send
    node = piko.server()
    urls = ["--connect.proxy-url", named(node.proxy_url), "--connect.upstream-url", named(node.upstream_url)]
    run = piko.run("bench", "http", "--requests", "200", "--clients", "4", "--endpoints", "2", "--upstreams", "2", *urls, *piko.dialling,
                   env=env(**{f"{piko.scheme.upper()}_PROXY": squid.login}), timeout=30)
    assert run.child.returncode == 0, run.log
    assert PASSWORD not in run.log + run.out


def test_the_password_is_in_no_line(piko, tinyproxy, service):
    proxy, node = tinyproxy(auth=True), piko.server()
    agent = piko.agent("http", node, "web", service.addr, "--connect.proxy-url", f"http://{USER}:secret@{proxy.addr}", "--log.level", "debug", env=env())
    agent.wait_line(lambda line: line["msg"] == "configuration")
    agent.stop()
    assert "secret" not in agent.log and "bWU6c2VjcmV0" not in agent.log
