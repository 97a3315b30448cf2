# SPDX-License-Identifier: MIT
# What a user sees: JSON logs, an access log line for each request, `piko forward PORT ENDPOINT`, the admin port.
# The command line itself (help, errors, files) is tested in cli/.

import json
import re
import subprocess

import pytest

from harness.piko import Forward, listening
from harness.ports import free_port
from harness.process import PikoProcess
from harness.usage import eventually
from peer import wire
from peer.client import Client, fetch
from peer.service import Service
from peer.wire import Wire, connect


def access(process, path):
    """The access log line of the request for the path."""
    return process.wait_line(lambda line: line.get("msg") == "request" and line["request"]["path"] == path)


def test_log_lines_are_json_with_their_four_fields(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    fetch(node.proxy, "web")
    for process in (node, agent):
        lines = process.lines()
        assert lines
        for line in lines:
            assert list(line)[:4] == ["level", "ts", "subsystem", "msg"], line
            assert line["level"] in ("debug", "info", "warn", "error")
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:?\d\d)", line["ts"]), line["ts"]
        assert process.out == ""


def test_each_request_has_its_line_on_both_sides(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as client:
        for number in range(5):
            client.request("web", f"/line{number}?secret=1", "POST", body=b"12345").response()
    for process in (node, agent):
        for number in range(5):
            line = access(process, f"/line{number}")
            request = line["request"]
            assert (request["method"], request["status"], request["proto"]) == ("POST", 200, "HTTP/1.1")
            assert request["request_size"] == 5 and request["response_size"] == 5
            assert line["level"] == "info" and line["subsystem"].endswith(".access")
        assert "secret" not in process.log


@pytest.mark.parametrize("target, endpoint, status", [("/none", "nobody", 502), ("/gone", "gone", 502)])
def test_a_failure_has_its_line_too(piko, target, endpoint, status):
    node = piko.server()
    piko.agent("http", node, "gone", f"127.0.0.1:{free_port()}")
    assert fetch(node.proxy, endpoint, target).status == status
    line = access(node, target)
    assert line["request"]["status"] == status and line["level"] == "warn"


REFUSED = [
    (b"PATCH /two?key=hunter2 HTTP/1.1\r\nHost: a.b\r\nHost: a.b\r\nAuthorization: Basic hunter2\r\n\r\n", 400, "PATCH", "/two"),
    (b"GET /old HTTP/1.1\r\nAuthorization : Basic hunter2\r\nHost: a.b\r\n\r\n", 400, "GET", "/old"),
    (b"Authorization: Basic hunter2\r\n\r\n", 400, "", ""),
    (b"GET http://user:hunter2@a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n", 400, "", ""),
    (b"GET /long HTTP/1.1\r\nHost: a.b\r\nA: " + b"a" * 5000 + b"\r\n\r\n", 431, "GET", "/long"),
    (b"GET /late HTTP/1.1\r\nHost:", 408, "", ""),
]


@pytest.mark.parametrize("head, status, method, path", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_a_refused_head_has_its_line_and_its_count(piko, head, status, method, path):
    node = piko.server("--proxy.http.max-header-bytes", "4096", "--proxy.http.read-header-timeout", "300ms")
    with Wire(connect(node.proxy)) as wire:
        wire.send(head)
        assert wire.read_to_end().startswith(b"HTTP/1.1 %d " % status)
    request = node.wait_line(lambda line: line.get("msg") == "request")["request"]
    assert (request["status"], request["method"], request["path"]) == (status, method, path)
    assert request["error"] and request["request_headers"] == {} and "hunter2" not in node.log
    node.counts(f'piko_proxy_requests_total{{status="{status}",method="{method or "OTHER"}"}}')


ANSWERED = [
    (b"GET /_piko/v1/tcp/web HTTP/1.1\r\nHost: a.b\r\n\r\n", 426, "GET"),
    (b"GET /_piko/v1/else HTTP/1.1\r\nHost: a.b\r\n\r\n", 404, "GET"),
    (b"CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n", 501, "CONNECT"),
    (b"POST / HTTP/1.1\r\nHost: web.a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "POST"),
    (b"POST / HTTP/1.1\r\nHost: web.a\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", 400, "POST"),
    (b"GET / HTTP/2.0\r\nHost: a.b\r\n\r\n", 505, "OTHER"),
    (b"GET / HTTP/1.1\r\nHost: nobody.x\r\n\r\n", 502, "GET"),
]


@pytest.mark.parametrize("bytes, status, method", ANSWERED, ids=[str(item[1]) for item in ANSWERED])
def test_what_a_node_answers_itself_has_its_line_and_its_count(piko, service, bytes, status, method):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as client:
        client.send(bytes)
        assert client.response().status == status
    assert node.wait_line(lambda line: line.get("msg") == "request")["request"]["status"] == status
    node.counts(f'piko_proxy_requests_total{{status="{status}",method="{method}"}}')


def test_a_client_that_left_has_its_line(piko):
    def silent(conn, head):
        conn.service.requests.put("came")
        conn.read_to_end()
        conn.close()

    with Service(silent) as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr)
        client = Client(node.proxy).request("web", "/left")
        service.request()
        client.wire.reset()
        assert access(node, "/left")["request"]["error"]


def test_credentials_are_not_in_the_log(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    fetch(node.proxy, "web", "/c", headers=[("Authorization", "Basic c2VjcmV0"), ("Cookie", "id=hunter2"), ("X-Shown", "visible")])
    for process in (node, agent):
        access(process, "/c")
        assert "c2VjcmV0" not in process.log and "hunter2" not in process.log and "visible" in process.log


SECRETS = {"Authorization": "Basic c2VjcmV0", "X-Piko-Authorization": "Bearer t0k3n", "Cookie": "id=hunter2", "Proxy-Authorization": "Basic cHJveHk="}


@pytest.mark.parametrize("name", [*SECRETS, "Set-Cookie"])
def test_a_credential_is_logged_where_the_allow_list_names_it_and_nowhere_else(piko, name, monkeypatch):
    monkeypatch.setattr(wire, "line_behind_endpoint", None)  # the field is one of those looked at
    piko.tokens = None

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=0wned\r\nContent-Length: 0\r\n\r\n")

    side, secret = ("response", "sid=0wned") if name == "Set-Cookie" else ("request", SECRETS[name])
    allowing = (f"--proxy.access-log.{side}-headers.allow-list", name.lower())
    with Service(handler) as service:
        for flags, count in ((), 0), (allowing, 1):
            node = piko.server(*flags)
            agent = piko.agent("http", node, "web", service.addr)
            fetch(node.proxy, "web", "/c", headers=list(SECRETS.items()))
            access(node, "/c"), access(agent, "/c")
            assert (node.log.count(secret), agent.log.count(secret)) == (count, 0)
            shown = access(node, "/c")["request"][f"{side}_headers"]
            assert shown[name] == [secret if count else "[redacted]"]
            others = [value for key, value in SECRETS.items() if key != name]
            assert not any(value in node.log for value in others)


def test_control_characters_of_a_request_and_an_answer_are_escaped(piko):
    """Nothing that a client or a service sends moves the cursor of whoever reads the log."""
    wild = b"a\xc2\x9b31mb\xc2\x85c\x80\x9b\xff\td"

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nX-Wild: " + wild + b"\r\nContent-Length: 0\r\n\r\n")

    with Service(handler) as service:
        node = piko.server()
        agent = piko.agent("http", node, "web", service.addr)
        with Client(node.proxy) as client:
            client.send(b"GET /wild?x HTTP/1.1\r\nHost: web.x\r\nX-Wild: " + wild + b"\r\n\r\n")
            client.response()
            # What is no token, no target, no host is refused, and logged all the same.
        for head in (b"G\x1bT /esc HTTP/1.1\r\nHost: a.b\r\n\r\n", b"GET /\x1b[2J HTTP/1.1\r\nHost: a.b\r\n\r\n",
                     b"GET /host HTTP/1.1\r\nHost: a\x07.b\r\n\r\n", b"GET /\x7f\xc2\x9b HTTP/1.1\r\nHost: a.b\r\n\r\n"):
            with Client(node.proxy) as client:
                client.send(head)
                assert client.response().status in (400, 502)
        for process in (node, agent):
            line = access(process, "/wild")["request"]
            assert line["request_headers"]["X-Wild"][0].startswith("a\x9b31mb\x85c")
            text = process.log_path.read_bytes().decode()
            assert not [char for char in text if char != "\n" and (ord(char) < 0x20 or 0x7f <= ord(char) < 0xa0)]
            process.lines()


def test_the_access_log_can_be_turned_off(piko, service):
    node = piko.server("--proxy.access-log.disable")
    agent = piko.agent("http", node, "web", service.addr, "--access-log.disable")
    fetch(node.proxy, "web", "/quiet")
    node.stop(), agent.stop()
    assert not any(line["msg"] == "request" for process in (node, agent) for line in process.lines())


def test_a_log_level_is_obeyed(piko, service):
    node = piko.server("--log.level", "error")
    piko.agent("http", node, "web", service.addr)
    fetch(node.proxy, "web")
    assert node.log == ""
    node.checked = True
    node.signal(15)
    assert node.wait() == 0 and node.log == ""


def test_hostile_bytes_in_a_request_make_a_valid_line(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    fetch(node.proxy, "web", "/h", headers=[("X-Odd", b"\xff\xfe\"\\\t end"), ("User-Agent", "a\"b")])
    access(node, "/h")
    node.lines()


@pytest.mark.parametrize("words", [["forward"], ["forward", "tcp"]], ids=" ".join)
def test_forward_takes_a_port_and_an_endpoint(piko, words):
    with Service(raw=True, handler=lambda conn: conn.send(b"welcome") or conn.close()) as service:
        node = piko.server()
        piko.agent("tcp", node, "my-endpoint", str(service.port))
        port = free_port()
        piko.start(Forward, "forward", [*words, str(port), "my-endpoint", "--connect.url", node.proxy_url, *piko.dialling])
        for host in ("127.0.0.1", "[::1]") if listening_on_both(port) else ("127.0.0.1",):
            with Wire(connect(f"{host}:{port}")) as wire:
                assert wire.read_to_end() == b"welcome"


def listening_on_both(port):
    eventually(lambda: listening(f"127.0.0.1:{port}"))
    return listening(f"[::1]:{port}")


@pytest.mark.parametrize("spelling", ["{port}", "localhost:{port}", "127.0.0.1:{port}", "http://127.0.0.1:{port}", "http://localhost:{port}/"])
def test_an_http_agent_takes_its_service_in_every_spelling(piko, service, spelling):
    node = piko.server()
    piko.agent("http", node, "web", spelling.format(port=service.port))
    assert fetch(node.proxy, "web").body == b"hello"


@pytest.mark.parametrize("target, arrives", [("/", "/base/"), ("/a%2F?b=c", "/base/a%2F?b=c"), ("/base/x", "/base/base/x")])
def test_the_path_of_a_services_url_stands_in_front(piko, service, target, arrives):
    node = piko.server()
    piko.agent("http", node, "web", f"http://{service.addr}/base/")
    fetch(node.proxy, "web", target)
    assert service.request().head.target == arrives.encode()


@pytest.mark.parametrize("flags, most", [([], 30), (["--http-client.keep-alive-timeout", "20s"], 20)])
def test_connections_to_the_service_are_probed_as_configured(piko, service, flags, most):
    node = piko.server()
    piko.agent("http", node, "web", service.addr, *flags)
    fetch(node.proxy, "web")
    lines = subprocess.run(["ss", "-tnoH", "state", "established", "dst", service.addr], capture_output=True, text=True, check=True).stdout
    seconds = [float(found) for found in re.findall(r"timer:\(keepalive,([0-9.]+)sec", lines)]
    assert seconds and most - 3 < max(seconds) <= most, lines


def test_agent_start_serves_listeners_of_both_kinds(piko, service, tmp_path):
    node = piko.server()
    (tmp_path / "agent.yaml").write_text(f"""
connect:
  url: {node.upstream_url}
listeners:
  - endpoint_id: one
    addr: {service.addr}
  - endpoint_id: two
    addr: {service.addr}
    protocol: tcp
""")
    piko.start(PikoProcess, "agent-start", ["agent", "start", "--config.path", tmp_path / "agent.yaml", *piko.dialling])
    for endpoint in ("one", "two"):
        eventually(lambda: node.listeners(endpoint))
        assert fetch(node.proxy, endpoint).body == b"hello"


def test_a_port_in_use_is_one_line_and_exit_1(piko):
    node = piko.server()
    other = piko.run("server", "--proxy.bind-addr", node.admin, "--upstream.bind-addr", f"127.0.0.1:{free_port()}", "--admin.bind-addr", f"127.0.0.1:{free_port()}")
    assert other.child.returncode == 1 and node.admin in other.log


def test_the_admin_port_answers(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    fetch(node.proxy, "web")
    assert node.ask("/health").status == 200 and node.ask("/ready").status == 200 and node.ask("/other").status == 404
    assert json.loads(node.ask("/status/upstream/endpoints").body) == {"web": 1}


def test_metrics_count_what_happened(piko, service):
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    for _ in range(7):
        fetch(node.proxy, "web", method="PUT", body=b"x" * 300)
    fetch(node.proxy, "nobody")
    node.counts("piko_proxy_requests_in_flight", 0)
    text = node.ask("/metrics").body.decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))

    def value(name, **labels):
        found = [float(v) for key, v in values.items() if key.split("{")[0] == name and all(f'{k}="{w}"' in key for k, w in labels.items())]
        return sum(found)

    assert value("piko_proxy_response_size_bytes_sum") == 7 * len("hello") + len('{"error":"no available upstreams"}')
    assert value("piko_proxy_requests_total", status="200", method="PUT") == 7
    assert value("piko_proxy_requests_total", status="502", method="GET") == 1
    assert value("piko_proxy_request_latency_seconds_count", status="200") == 7
    assert value("piko_upstreams_connected_upstreams") == 1 and value("piko_upstreams_registered_endpoints") == 1
    assert value("piko_upstreams_upstream_requests_total") == 7
    assert value("piko_proxy_requests_in_flight") == 0
