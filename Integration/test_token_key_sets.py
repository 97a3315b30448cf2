# SPDX-License-Identifier: MIT
# Key sets: from an issuer over HTTP and from a file, rotation, an issuer that is down, and how often it is asked.
# The issuer is the test's own; tokens are PyJWT's.

import contextlib
import json
import signal
import threading

import pytest

from harness.ports import free_port
from harness.tokens import SECRET, Issuer, bearer, ec_key, key_set, part, rsa_key, token
from harness.usage import eventually
from peer import wire as wires
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.service import reply
from peer.websocket import Refused

A, B, C = rsa_key(), ec_key(), rsa_key()


@pytest.fixture(autouse=True)
def no_token_of_the_suite(monkeypatch):
    monkeypatch.setattr(wires, "line_behind_endpoint", None)


@pytest.fixture
def site(piko, service):
    """Starts a node whose proxy port has its keys from a set; the function asks it for a page with a token."""
    piko.tokens = None

    def start(endpoint, *flags, **options):
        node = piko.server("--proxy.auth.jwks.endpoint", endpoint, *flags, **options)
        piko.agent("http", node, "web", service.addr)
        ask = lambda token: fetch(node.proxy, "web", headers=[bearer(token)], timeout=20)  # noqa: E731
        ask.node = node
        return ask

    return start


def signed(key, kid, **claims):
    return token(claims, key, "RS256" if key in (A, C) else "ES256", kid)


def error(message):
    return message.status, json.loads(message.body)["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_keys_of_an_issuer_verify_its_tokens(site, chunked):
    with Issuer(key_set(a=A, b=B), chunked=chunked) as issuer:
        ask = site(issuer.url)
        assert ask(signed(A, "a")).body == b"hello" and ask(signed(B, "b")).body == b"hello"
        assert error(ask(signed(B, "a"))) == (401, "invalid token")
        assert error(ask(signed(C, "a"))) == (401, "invalid token")
        assert error(ask(token({}, SECRET, "HS256", "a"))) == (401, "invalid token")
        assert error(ask(token({}, A, "RS256"))) == (401, "invalid token")  # no key id, and a choice of keys
        assert issuer.reads == 1


def failed_reads(node):
    return node.metric('piko_auth_key_set_failures_total{port="proxy"}')


def test_an_issuer_of_https_is_believed_where_its_authority_is_the_systems(site, authority):
    with Issuer(key_set(a=A), tls=authority.server_context(authority.identity())) as issuer:
        ask = site(issuer.url, env={"SSL_CERT_FILE": authority.roots})
        assert ask(signed(A, "a")).body == b"hello" and issuer.reads == 1
        assert error(ask(signed(C, "a"))) == (401, "invalid token")
        assert failed_reads(ask.node) == 0


@pytest.mark.parametrize("names, trusted", [("DNS:elsewhere.example.com", True), ("IP:127.0.0.1", False)], ids=["another's", "nobody's"])
def test_an_issuer_whose_certificate_does_not_fit_is_refused_said_and_counted(site, authority, names, trusted):
    with Issuer(key_set(a=A), tls=authority.server_context(authority.identity(names=names))) as issuer:
        ask = site(issuer.url, env={"SSL_CERT_FILE": authority.roots} if trusted else {"SSL_CERT_FILE": "/dev/null"})
        line = ask.node.wait_line(lambda line: line["msg"] == "key set not read")
        assert line["level"] == "warn" and line["section"] == "proxy.auth" and "the peer's certificate" in line["error"]
        assert error(ask(signed(A, "a"))) == (503, "token keys unavailable")
        ask.node.counts('piko_auth_rejected_total{port="proxy",reason="keys_unavailable"}')
        eventually(lambda: failed_reads(ask.node) >= 1)
        assert issuer.reads == 0


def test_a_new_key_is_found_by_its_first_token_and_strangers_cannot_hammer_the_issuer(site):
    with Issuer(key_set(a=A)) as issuer:
        ask = site(issuer.url)
        assert ask(signed(A, "a")).status == 200
        issuer.answer = key_set(a=A, b=B)
        assert ask(signed(B, "b")).status == 200
        assert issuer.reads == 2
        for number in range(50):
            assert error(ask(signed(C, f"unknown-{number}"))) == (401, "invalid token")
        assert issuer.reads == 2


def test_an_only_key_that_was_replaced_is_found_by_tokens_that_name_none(site):
    with Issuer(key_set(a=A)) as issuer:
        ask = site(issuer.url)
        assert ask(signed(A, None)).status == 200
        issuer.answer = key_set(b=B)
        assert ask(signed(B, None)).status == 200
        assert error(ask(signed(A, None))) == (401, "invalid token")
        assert issuer.reads == 2


def test_a_key_that_is_gone_verifies_nothing_any_more(site):
    with Issuer(key_set(a=A, b=B)) as issuer:
        ask = site(issuer.url, "--proxy.auth.jwks.cache-ttl", "1s")
        known = signed(A, "a")
        assert ask(known).status == 200
        issuer.answer = key_set(b=B)
        eventually(lambda: ask(known).status == 401, 10)
        assert ask(signed(B, "b")).status == 200


def test_a_hangup_has_the_set_read_again_and_the_old_keys_serve_until_then(site):
    with Issuer(key_set(a=A, b=B)) as issuer:
        ask = site(issuer.url)
        known = signed(A, "a")
        assert ask(known).status == 200
        issuer.answer, issuer.gate = key_set(b=B), threading.Event()
        ask.node.signal(signal.SIGHUP)
        eventually(lambda: issuer.reads == 2)
        assert ask(signed(A, "a", iss="meanwhile")).status == 200
        issuer.gate.set()
        eventually(lambda: ask(known).status == 401, 10)
        assert ask(signed(B, "b")).status == 200
        issuer.status = 500
        ask.node.signal(signal.SIGHUP)
        ask.node.wait_line(lambda line: line["msg"] == "key set not read" and line["error"] == "status 500", 10)
        assert ask(signed(B, "b", iss="kept")).status == 200


def test_a_hangup_keeps_the_keys_of_an_issuer_that_is_down(site, tmp_path):
    """Whether another section changes or the rules of this one, as long as the set is in the same place."""
    file = tmp_path / "server.yaml"
    file.write_text("{}")
    with Issuer(key_set(a=A)) as issuer:
        ask = site(issuer.url, "--config.path", file)
        assert ask(signed(A, "a")).status == 200
    file.write_text("admin: {auth: {hmac_secret_key: another}}")
    ask.node.signal(signal.SIGHUP)
    eventually(lambda: fetch(ask.node.admin, "admin", "/metrics").status == 401, 10)
    assert ask(signed(A, "a", iss="new to the node")).status == 200
    file.write_text("proxy: {auth: {require_endpoints: true}}")
    ask.node.signal(signal.SIGHUP)
    eventually(lambda: fetch(ask.node.admin, "admin", "/metrics").status == 200, 10)
    assert error(ask(signed(A, "a"))) == (401, "endpoint not permitted")
    assert ask(signed(A, "a", piko={"endpoints": ["web"]})).status == 200


@pytest.mark.parametrize("content, expected", [(None, "a file that can be read, got"), (b"<html>", "a JSON Web Key Set in"), (b'{"keys":[]}', "a key of RSA")])
def test_a_hangup_that_names_a_file_without_keys_changes_nothing(piko, service, tmp_path, content, expected):
    """As at the start: it is refused by its key, and the tokens of before stay good."""
    piko.tokens = None
    file, keys = tmp_path / "server.yaml", tmp_path / "keys.json"
    file.write_text(f"proxy: {{auth: {{hmac_secret_key: '{SECRET}'}}}}")
    node = piko.server("--config.path", file)
    piko.agent("http", node, "web", service.addr)
    old = bearer(token())
    assert fetch(node.proxy, "web", headers=[old]).status == 200
    if content is not None:
        keys.write_bytes(content)
    file.write_text(f"proxy: {{auth: {{jwks: {{endpoint: 'file://{keys}'}}}}, timeout: 7s}}")
    node.signal(signal.SIGHUP)
    line = node.wait_line(lambda line: line["msg"] == "configuration not changed")
    assert line["level"] == "error" and line["error"].startswith(f"proxy.auth.jwks.endpoint: expected {expected}")
    assert fetch(node.proxy, "web", headers=[old]).status == 200
    assert fetch(node.proxy, "web", headers=[bearer(token({"iss": "new to the node"}))]).status == 200
    keys.write_bytes(key_set(a=A))
    node.signal(signal.SIGHUP)
    applied = node.wait_line(lambda line: line["msg"] == "configuration read again")["applied"]
    assert "proxy.auth.jwks.endpoint" in applied and "proxy.timeout" in applied
    eventually(lambda: fetch(node.proxy, "web", headers=[bearer(signed(A, "a"))]).status == 200)  # each loop takes it in its turn
    eventually(lambda: error(fetch(node.proxy, "web", headers=[old])) == (401, "invalid token"))


def test_a_hangup_looks_at_a_tenants_key_set_too(piko, tmp_path):
    file = tmp_path / "server.yaml"
    file.write_text("{}")
    node = piko.server("--config.path", file)
    file.write_text("upstream: {tenants: [{id: a, auth: {jwks: {endpoint: 'file:///nowhere'}}}]}")
    node.signal(signal.SIGHUP)
    line = node.wait_line(lambda line: line["msg"] == "configuration not changed")
    assert line["error"] == 'upstream.tenants[0].auth.jwks.endpoint: expected a file that can be read, got "/nowhere"'


def test_keys_stay_while_the_issuer_is_down(site):
    with Issuer(key_set(a=A)) as issuer:
        ask = site(issuer.url, "--proxy.auth.jwks.cache-ttl", "1s")
        assert ask(signed(A, "a")).status == 200
        issuer.status = 500
        ask.node.wait_line(lambda line: line["msg"] == "key set not read" and line["error"] == "status 500", 10)
        issuer.status, issuer.answer = 200, b"<html>"
        ask.node.wait_line(lambda line: line["msg"] == "key set not read" and "JSON Web Key Set" in line["error"], 20)
        assert ask(signed(A, "a", iss="later")).status == 200
    assert ask(signed(A, "a", iss="gone")).status == 200


def test_an_issuer_that_comes_late_is_waited_for(site, piko):
    """Until the set was read, a request is told to come again; the issuer's first answer lets it in."""
    port = free_port()
    ask = site(f"http://127.0.0.1:{port}/keys/")
    assert error(ask(signed(A, "a"))) == (503, "token keys unavailable")
    assert error(ask("a.b.c")) == (401, "invalid token")
    with Issuer(key_set(a=A), port=port):
        eventually(lambda: ask(signed(A, "a")).status == 200, 20)


def test_requests_wait_for_a_set_that_is_being_read(site):
    with Issuer(key_set(a=A)) as issuer:
        issuer.gate = threading.Event()
        ask = site(issuer.url)
        waiting = [Client(ask.node.proxy, 20).request("web", headers=[bearer(signed(A, "a", iss=str(number)))]) for number in range(20)]
        eventually(lambda: issuer.reads == 1)
        issuer.gate.set()
        assert [client.response().body for client in waiting] == [b"hello"] * 20
        assert issuer.reads == 1
        for client in waiting:
            client.close()


@pytest.mark.plain("its four thousand handshakes would take longer than the set may")
def test_more_tokens_than_may_wait_for_a_set_are_told_to_come_again(site):
    """4,096 may, and each has its answer by the set; those beyond had theirs before."""
    most, more = 4096, 20
    with Issuer(key_set(b=B)) as issuer, contextlib.ExitStack() as stack:
        issuer.gate = threading.Event()
        ask = site(issuer.url, "--proxy.auth.jwks.timeout", "60s")
        fields = [bearer(signed(B, "b", iss=str(number))) for number in range(most + more)]
        clients = [stack.enter_context(Client(ask.node.proxy, 30)).request("nobody", headers=[field]) for field in fields]
        ask.node.counts('piko_auth_rejected_total{port="proxy",reason="overloaded"}', more)
        issuer.gate.set()
        answers = [client.response() for client in clients]
        assert [answer.status for answer in answers].count(502) == most  # nobody serves it
        told = [(*error(answer), answer.get("retry-after")) for answer in answers if answer.status != 502]
        assert told == [(503, "too many tokens at once", b"1")] * more
        assert ask(signed(B, "b", iss="behind them")).status == 200


def test_a_slow_issuer_is_given_up_after_its_timeout(site):
    with Issuer(key_set(a=A)) as issuer:
        issuer.gate = threading.Event()
        ask = site(issuer.url, "--proxy.auth.jwks.timeout", "500ms")
        assert error(ask(signed(A, "a"))) == (503, "token keys unavailable")
        ask.node.wait_line(lambda line: line["msg"] == "key set not read")
        issuer.gate.set()


def test_a_file_is_read_again_when_it_changes(site, tmp_path):
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(a=A))
    ask = site(f"file://{file}")
    assert ask(signed(A, "a")).status == 200
    (tmp_path / "new.json").write_bytes(key_set(b=B))
    (tmp_path / "new.json").rename(file)
    eventually(lambda: ask(signed(A, "a")).status == 401, 10)
    assert ask(signed(B, "b")).status == 200
    file.write_bytes(b"{")
    ask.node.wait_line(lambda line: line["msg"] == "key set not read", 10)
    assert ask(signed(B, "b", iss="kept")).status == 200
    file.write_bytes(key_set(c=C))
    eventually(lambda: ask(signed(C, "c")).status == 200, 10)


def test_keys_of_odd_kinds_are_passed_over(site, tmp_path):
    file = tmp_path / "keys.json"
    keys = json.loads(key_set(a=A))["keys"]
    odd = [{"kty": "OKP", "crv": "Ed448", "kid": "o", "x": "AA"}, {"kty": "RSA", "kid": "small", "n": part(b"\x80" * 64), "e": "AQAB"}, 7, None, {}]
    file.write_text(json.dumps({"keys": odd + keys, "more": 1}))
    assert site(f"file://{file}")(signed(A, "a")).status == 200


def test_agents_and_operators_are_verified_by_sets_too(piko):
    piko.tokens = None
    with Issuer(key_set(a=A)) as issuer:
        node = piko.server("--upstream.auth.jwks.endpoint", issuer.url, "--admin.auth.jwks.endpoint", issuer.url)
        with FakeAgent(node.upstream, "web", reply(), headers=[bearer(signed(A, "a"))]):
            assert fetch(node.admin, "admin", "/metrics", headers=[bearer(signed(A, "a"))]).status == 200
        with pytest.raises(Refused):
            FakeAgent(node.upstream, "web", reply(), headers=[bearer(signed(C, "a"))])
