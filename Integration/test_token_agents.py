# SPDX-License-Identifier: MIT
# Tokens of those that dial: agents and forwards, their token files, tenants, the disconnect at expiry; and the admin port.
# Fake agents show statuses and ends; real ones show that they live on.

import json
import signal
import time

import pytest

from harness.tokens import SECRET, bearer, endpoints, soon, token
from harness.usage import eventually
from peer import wire as wires
from peer.agent import FakeAgent
from peer.client import fetch
from peer.service import reply
from peer.websocket import Refused
from peer.wire import Wire, connect

UPSTREAM = ["--upstream.auth.hmac-secret-key", SECRET]


@pytest.fixture(autouse=True)
def no_token_of_the_suite(monkeypatch):
    monkeypatch.setattr(wires, "line_behind_endpoint", None)


@pytest.fixture
def bare(piko):
    """Processes without the suite's own tokens."""
    piko.tokens = None
    return piko


def refusal(node, *fields, endpoint="web"):
    with pytest.raises(Refused) as refused:
        FakeAgent(node.upstream, endpoint, reply(), headers=fields)
    message = refused.value.message
    return message.status, json.loads(message.body)["error"]


def through(forward):
    """What comes back through a forward for a ping; one that has no token resets at once."""
    try:
        with Wire(connect(forward.addr)) as wire:
            wire.send(b"ping")
            return wire.read_some()
    except OSError:
        return b""


def test_an_agent_is_let_in_by_its_token_only(bare):
    node = bare.server(*UPSTREAM)
    assert refusal(node) == (401, "missing authorization")
    assert refusal(node, bearer("abc")) == (401, "invalid token")
    assert refusal(node, ("Authorization", "Basic x")) == (401, "unsupported auth type")
    assert refusal(node, bearer(token(exp=soon(-60)))) == (401, "expired token")
    assert refusal(node, bearer(endpoints("other"))) == (401, "endpoint not permitted")
    assert refusal(node, bearer(token()), ("x-piko-tenant-id", "t")) == (401, "unknown tenant")
    for field in (bearer(token(), "Authorization"), bearer(endpoints("web", "x"))):
        with FakeAgent(node.upstream, "web", reply(), headers=[field]):
            eventually(lambda: node.listeners("web") == 1)
        eventually(lambda: node.listeners("web") == 0)
    for reason in ("missing", "invalid", "unsupported_type", "expired", "not_permitted", "unknown_tenant"):
        node.counts(f'piko_auth_rejected_total{{port="upstream",reason="{reason}"}}')
    node.counts('piko_upstreams_refused_total{status="401"}', 6)


def test_an_agent_without_a_good_token_ends_and_says_why(bare, service):
    node = bare.server(*UPSTREAM)
    for flags, text in (([], "missing authorization"), (["--connect.token", endpoints("other")], "endpoint not permitted")):
        agent = bare.agent("http", node, "web", service.addr, *flags, wait=False)
        assert agent.wait() == 1
        agent.checked = True
        assert f"status 401: {text}" in agent.log


def test_agent_and_forward_send_their_tokens(bare, service):
    node = bare.server(*UPSTREAM, "--proxy.auth.hmac-secret-key", SECRET)
    service.raw, service.handler = True, lambda conn: conn.send(conn.read_some())
    bare.agent("tcp", node, "db", service.addr, "--connect.token", endpoints("db"))
    forward = bare.forward(node, "db", "--connect.token", endpoints("db"))
    with Wire(connect(forward.addr)) as wire:
        wire.send(b"ping")
        assert wire.read_exact(4) == b"ping"
    stranger = bare.forward(node, "db")
    assert through(stranger) == b""
    stranger.wait_line(lambda line: "missing authorization" in line.get("error", ""))


def test_a_fake_agent_is_disconnected_when_its_token_expires(bare):
    node = bare.server(*UPSTREAM)
    end = soon(1)
    with FakeAgent(node.upstream, "web", reply(), headers=[bearer(token(exp=end))]):
        eventually(lambda: node.listeners("web") == 1)
        eventually(lambda: node.listeners("web") == 0, 6)
        assert time.time() >= end - 0.05
    node.wait_line(lambda line: line["msg"] == "upstream token expired")


def test_leeway_puts_the_disconnect_off_and_a_flag_turns_it_off(bare):
    late = bare.server(*UPSTREAM, "--upstream.auth.leeway", "2s")
    never = bare.server(*UPSTREAM, "--upstream.auth.disable-disconnect-on-expiry")
    end = soon(1)
    with FakeAgent(late.upstream, "web", reply(), headers=[bearer(token(exp=end))]), \
            FakeAgent(never.upstream, "web", reply(), headers=[bearer(token(exp=end))]):
        eventually(lambda: late.listeners("web") == 0 and time.time() > end, 8)
        assert time.time() >= end + 1.95
        assert never.listeners("web") == 1
    assert refusal(never, bearer(token(exp=end))) == (401, "expired token")


def test_a_token_file_is_read_again_on_every_dial(bare, service, tmp_path):
    """The token expires, its successor comes late: 401 is met for a while, and the agent lives on."""
    node = bare.server(*UPSTREAM)
    file = tmp_path / "token"
    file.write_text(f"\n  {token(exp=soon(4))} \n")
    agent = bare.agent("http", node, "web", service.addr, "--connect.token-file", file)
    agent.wait_line(lambda line: "expired token" in line.get("error", ""), 15)
    assert agent.running
    file.unlink()
    agent.wait_line(lambda line: "connect.token_file: expected a file that can be read" in line.get("error", ""), 20)
    file.write_text(token())
    eventually(lambda: node.listeners("web") == 1, 20)
    assert fetch(node.proxy, "web").body == b"hello"


def test_a_forward_reads_its_token_file_for_every_connection(bare, service, tmp_path):
    node = bare.server("--proxy.auth.hmac-secret-key", SECRET)
    service.raw, service.handler = True, lambda conn: conn.send(conn.read_some())
    bare.agent("tcp", node, "db", service.addr)
    file = tmp_path / "token"
    file.write_text("abc")
    forward = bare.forward(node, "db", "--connect.token-file", file)
    for text, answer in (("abc", b""), (token(), b"ping"), ("", b""), (token({"iss": "again"}), b"ping")):
        file.write_text(text)
        assert through(forward) == answer
    forward.wait_line(lambda line: "expected a token of visible ASCII characters" in line.get("error", ""))


@pytest.mark.parametrize("content", [None, "", "two words", "caf\u00e9"])
def test_a_token_file_that_is_none_at_the_start_ends_the_agent(bare, service, tmp_path, content):
    node = bare.server()
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    agent = bare.agent("http", node, "web", service.addr, "--connect.token-file", file, wait=False)
    assert agent.wait() == 1
    agent.checked = True
    assert "connect.token_file: expected a" in agent.log


def test_tenants_have_their_own_keys(bare, service, tmp_path):
    file = tmp_path / "server.yaml"
    file.write_text("""
upstream:
  tenants:
    - id: red
      auth: {hmac_secret_key: red secret, issuer: idp}
    - id: blue
      auth: {hmac_secret_key: blue secret, require_endpoints: true}
""")
    node = bare.server("--config.path", file)
    red, blue = token({"iss": "idp"}, "red secret"), token({"piko": {"endpoints": ["web"]}}, "blue secret")
    assert refusal(node, bearer(red)) == (401, "unknown tenant")
    assert refusal(node, bearer(red), ("x-piko-tenant-id", "green")) == (401, "unknown tenant")
    assert refusal(node, bearer(red), ("x-piko-tenant-id", "blue")) == (401, "invalid token")
    assert refusal(node, bearer(token({}, "red secret")), ("x-piko-tenant-id", "red")) == (401, "invalid token")
    assert refusal(node, bearer(token({}, "blue secret")), ("x-piko-tenant-id", "blue")) == (401, "endpoint not permitted")
    bare.agent("http", node, "web", service.addr, "--connect.token", red, "--connect.tenant-id", "red")
    bare.agent("http", node, "web", service.addr, "--connect.token", blue, "--connect.tenant-id", "blue")
    assert node.listeners("web") == 2
    assert fetch(node.proxy, "web", headers=[("x-piko-tenant-id", "any")]).body == b"hello"  # tenants are the upstream port's only


def test_health_and_readiness_need_no_token_and_all_else_does(bare):
    node = bare.server("--admin.auth.hmac-secret-key", SECRET)

    def status(path, *fields):
        return fetch(node.admin, "admin", path, headers=fields).status

    assert [status(path) for path in ("/health", "/ready", "//health", "/health?x=y")] == [200] * 4
    for path in ("/metrics", "/status/cluster/nodes", "/status/upstream/endpoints", "/status/gossip/nodes", "/debug/pprof", "/", "/else", "/health/x"):
        answer = fetch(node.admin, "admin", path)
        assert (answer.status, json.loads(answer.body)["error"]) == (401, "missing authorization"), path
        assert answer.get("www-authenticate") == b"Bearer"
        assert status(path, bearer("abc")) == 401
    for field in (bearer(token()), bearer(token(), "authorization"), bearer(endpoints("web"))):
        assert status("/metrics", field) == 200 and status("/status/cluster/nodes", field) == 200 and status("/else", field) == 404
    for field in (bearer(token(exp=soon(-60))), ("authorization", "Basic x"), ("authorization", "x"), ("x-piko-tenant-id", "t")):
        assert status("/metrics", *([bearer(token()), field] if field[0] == "x-piko-tenant-id" else [field])) == 401
    for reason, count in {"missing": 8, "invalid": 8, "expired": 1, "unsupported_type": 1, "malformed": 1, "unknown_tenant": 1}.items():
        node.counts(f'piko_auth_rejected_total{{port="admin",reason="{reason}"}}', count, [bearer(token())])


def test_a_question_that_is_passed_on_takes_its_token_along(bare):
    first = bare.server("--admin.auth.hmac-secret-key", SECRET, "--cluster.node-id", "first")
    second = bare.server("--admin.auth.hmac-secret-key", SECRET, "--cluster.node-id", "second", "--cluster.join", first.gossip)

    def ask(*fields):
        return fetch(first.admin, "admin", "/status/cluster/nodes/local?forward=second", headers=fields)

    eventually(lambda: ask(bearer(token())).status == 200)
    for field in (bearer(token()), bearer(token(), "Authorization")):
        assert json.loads(ask(field).body)["id"] == "second"
    assert ask().status == 401 and second.ready


def test_a_hangup_changes_keys_and_tenants_at_once_and_a_broken_one_changes_nothing(bare, service, tmp_path):
    file = tmp_path / "server.yaml"

    def write(secret, tenants, more=""):
        file.write_text(f"proxy: {{auth: {{hmac_secret_key: {secret}{more}}}}}\nupstream: {{tenants: {tenants}}}\n")

    write("first", "[{id: red, auth: {hmac_secret_key: red}}]")
    node = bare.server("--config.path", file)
    bare.agent("http", node, "web", service.addr, "--connect.token", token({}, "red"), "--connect.tenant-id", "red")
    first, second = bearer(token({}, "first")), bearer(token({}, "second"))

    def status(field):
        return fetch(node.proxy, "web", headers=[field]).status

    assert (status(first), status(second)) == (200, 401)
    write("second", "[{id: red, auth: {hmac_secret_key: other}}, {id: blue, auth: {hmac_secret_key: blue}}]")
    node.signal(signal.SIGHUP)
    eventually(lambda: status(second) == 200)
    assert status(first) == 401
    assert refusal(node, bearer(token({}, "red")), ("x-piko-tenant-id", "red")) == (401, "invalid token")
    with FakeAgent(node.upstream, "x", reply(), headers=[bearer(token({}, "blue")), ("x-piko-tenant-id", "blue")]):
        assert node.listeners("web") == 1  # who is connected stays
    write("third", "[]", ", rsa_public_key: broken")
    node.signal(signal.SIGHUP)
    line = node.wait_line(lambda line: line["msg"] == "configuration not changed")
    assert "proxy.auth.rsa_public_key: expected a PEM" in line["error"] and "third" not in node.log
    assert status(second) == 200
