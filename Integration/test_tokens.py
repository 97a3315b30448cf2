# SPDX-License-Identifier: MIT
# Tokens on the proxy port: which are good, what a bad one is told, what of them reaches the service, and how a connection goes on with others.
# Good tokens are PyJWT's, bad ones made by hand; forged ones, on all ports, are in test_hostile_tokens.py.

import json
import queue
import signal
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.piko import Piko
from harness.tokens import SECRET, bearer, ec_key, endpoints, key_set, pem, rsa_key, soon, token
from harness.usage import eventually
from peer import http1, wire as wires
from peer.client import Client, fetch
from peer.service import Service, echo, reply
from peer.wire import Ended

KEYS = {"rsa": rsa_key(), "ec": ec_key()}
PORTS = {"proxy": "/", "upstream": "/piko/v1/upstream/web", "admin": "/status/cluster/nodes"}
UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "9qPDXJzgHA4asPyjQP5fxA==")]


class Guarded:
    """A node that asks for tokens on its proxy port only, before an agent and its service."""

    def __init__(self, directory, loops, *flags):
        self.piko = Piko(directory, loops, tokens=False)
        self.service = Service()
        self.node = self.piko.server(*flags)
        self.piko.agent("http", self.node, "web", self.service.addr)

    def fetch(self, *fields, endpoint="web", **options):
        return fetch(self.node.proxy, endpoint, headers=fields, **options)

    def client(self):
        return Client(self.node.proxy)

    def refused(self, reason, port="proxy"):
        return self.node.metric(f'piko_auth_rejected_total{{port="{port}",reason="{reason}"}}')

    def close(self):
        self.service.close()
        self.piko.stop()


@pytest.fixture(autouse=True)
def no_token_of_the_suite(monkeypatch):
    monkeypatch.setattr(wires, "line_behind_endpoint", None)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, loops):
    flags = ["--proxy.auth.hmac-secret-key", SECRET, "--proxy.auth.rsa-public-key", pem(KEYS["rsa"]), "--proxy.auth.ecdsa-public-key", pem(KEYS["ec"])]
    guarded = Guarded(tmp_path_factory.mktemp("tokens"), loops, *flags)
    try:
        yield guarded
    finally:
        guarded.close()


@pytest.fixture
def guarded(shared):
    shared.service.fresh(reply())
    yield shared
    assert not shared.service.errors


@pytest.fixture
def strict(tmp_path, loops):
    """A guarded node with further flags."""
    made = []

    def make(*flags):
        made.append(Guarded(tmp_path, loops, "--proxy.auth.hmac-secret-key", SECRET, *flags))
        return made[-1]

    yield make
    for one in made:
        one.close()


def told(message):
    assert message.get("content-type") == b"application/json"
    assert (message.get("www-authenticate") == b"Bearer") == (message.status == 401)
    return message.status, json.loads(message.body)["error"]


def key_for(algorithm):
    return {"H": SECRET, "R": KEYS["rsa"], "E": KEYS["ec"]}[algorithm[0]]


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256"])
def test_a_token_of_each_algorithm_opens_the_port_again_and_again(guarded, algorithm):
    with guarded.client() as client:
        for _ in range(3):
            field = bearer(token({"iss": algorithm}, key_for(algorithm), algorithm))
            assert client.request("web", headers=[field]).response().body == b"hello"


@pytest.mark.parametrize("algorithm, curve", [("ES384", ec.SECP384R1()), ("ES512", ec.SECP521R1())], ids=["ES384", "ES512"])
def test_a_key_of_a_larger_curve_verifies_its_own_algorithm(piko, tmp_path, algorithm, curve):
    """Configured as PEM, and in key sets."""
    piko.tokens = None
    key, file = ec_key(curve), tmp_path / "keys.json"
    file.write_bytes(key_set(large=key))
    sets = [word for port in ("upstream", "admin") for word in (f"--{port}.auth.jwks.endpoint", f"file://{file}")]
    node = piko.server("--proxy.auth.ecdsa-public-key", pem(key), *sets)

    def statuses(token):
        upgrades = {"upstream": UPGRADE}
        return [fetch(getattr(node, port), "web", path, headers=[*upgrades.get(port, []), bearer(token)]).status for port, path in PORTS.items()]

    assert statuses(token({}, key, algorithm, "large")) == [502, 101, 200]  # no agent is there
    assert statuses(token({}, ec_key(curve), algorithm, "large")) == [401, 401, 401]
    assert statuses(token({}, KEYS["ec"], "ES256", "large")) == [401, 401, 401]


@pytest.mark.parametrize("fields, text", [
    ([], "missing authorization"),
    ([("authorization", "")], "missing authorization"),
    ([("authorization", "abc")], "invalid authorization"),
    ([("x-piko-authorization", "Bearer")], "invalid authorization"),
    ([("authorization", "Basic YTpi")], "unsupported auth type"),
    ([("authorization", "bearer abc")], "unsupported auth type"),
    ([("authorization", "Bearer abc")], "invalid token"),
    ([("authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token()}")], "invalid authorization"),
    ([("x-piko-authorization", "Bearer abc"), ("authorization", f"Bearer {token()}")], "invalid token"),
    ([bearer(token(exp=soon(-60)))], "expired token"),
    ([bearer(token(exp=soon(-60), key="somebody else's secret, as long as ours"))], "invalid token"),
    ([bearer(token(nbf=soon(86400)))], "invalid token"),
    ([bearer(token()), ("x-piko-tenant-id", "t")], "unknown tenant"),
    ([bearer(endpoints("other"))], "endpoint not permitted"),
    ([bearer(endpoints("WEB"))], "endpoint not permitted"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_request_without_a_good_token_is_told_why(guarded, fields, text):
    assert told(guarded.fetch(*fields)) == (401, text)
    assert guarded.service.requests.empty()


@pytest.mark.parametrize("name", ["authorization", "x-piko-authorization"])
def test_the_token_that_was_consumed_reaches_no_service(guarded, name):
    guarded.fetch(bearer(token(), name))
    head = guarded.service.request().head
    assert head.get("authorization") is None and head.get("x-piko-authorization") is None


def test_authorization_that_was_not_the_token_reaches_the_service(guarded):
    guarded.fetch(bearer(token()), ("Authorization", "Basic YTpi"))
    assert guarded.service.request().head.get("authorization") == b"Basic YTpi"


def test_a_port_that_asks_for_no_token_leaves_authorization_alone(piko, service):
    piko.tokens = None
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    fetch(node.proxy, "web", headers=[bearer("x", "Authorization"), bearer("y")])
    head = service.request().head
    assert head.get("authorization") == b"Bearer x" and head.get("x-piko-authorization") is None


def test_a_token_of_a_long_head_is_verified_too(guarded):
    long = [(f"x-{number}", "a" * 1000) for number in range(60)]
    assert guarded.fetch(bearer(token({"iss": "long"})), *long).body == b"hello"
    assert told(guarded.fetch(bearer("abc"), *long)) == (401, "invalid token")


def test_a_connection_lives_through_good_and_bad_tokens(guarded):
    with guarded.client() as client:
        for number in range(5):
            assert client.request("web", headers=[bearer(token({"iss": f"on-{number}"}))]).response().body == b"hello"
            assert told(client.request("web", headers=[bearer("abc")]).response()) == (401, "invalid token")
            assert told(client.request("web").response()) == (401, "missing authorization")


def test_requests_sent_together_are_each_judged_by_their_own_token(guarded):
    good, other = bearer(token({"iss": "together"})), bearer(endpoints("other", iss="together"))
    with guarded.client() as client:
        for field in (good, other, good, bearer("abc")):
            client.request("web", headers=[field])
        assert [client.response().status for _ in range(4)] == [200, 401, 200, 401]


@pytest.mark.parametrize("size", [10, 200_000, 3_000_000])
def test_a_body_waits_for_the_verdict(guarded, size):
    guarded.service.fresh(echo)
    body = b"b" * size
    assert guarded.fetch(bearer(token({"iss": f"body-{size}"})), method="POST", body=body, timeout=30).body == body
    assert guarded.fetch(bearer(token({"iss": f"chunks-{size}"})), method="POST", body=[body], timeout=30).body == body


def stands_still(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def test_a_client_that_half_closes_is_answered_after_the_verdict(guarded):
    with guarded.client() as client:
        guarded.node.signal(signal.SIGSTOP)  # so that its end is there before the verdict can be
        try:
            eventually(lambda: stands_still(guarded.node.pid))
            client.request("web", headers=[bearer(token({"iss": "half"}))])
            client.wire.shut()
        finally:
            guarded.node.signal(signal.SIGCONT)
        assert client.response().body == b"hello"


def test_clients_that_leave_before_their_verdict_leave_nothing(guarded):
    for number in range(200):
        client = guarded.client()
        client.request("web", headers=[bearer(token({"iss": f"leaves-{number}"}, KEYS["rsa"], "RS256"))])
        client.wire.reset() if number % 2 else client.close()
    assert guarded.fetch(bearer(token())).body == b"hello"


def test_a_token_that_expires_closes_the_port_to_the_same_connection(guarded):
    field = bearer(token(exp=soon(1)))
    with guarded.client() as client:
        assert client.request("web", headers=[field]).response().status == 200
        eventually(lambda: client.request("web", headers=[field]).response().status == 401, 5)
    assert told(guarded.fetch(field)) == (401, "expired token")


def test_leeway_lets_in_what_is_just_early_or_late(strict):
    lenient = strict("--proxy.auth.leeway", "30s")
    assert lenient.fetch(bearer(token(exp=soon(-20)))).status == 200
    assert lenient.fetch(bearer(token(nbf=soon(20)))).status == 200
    assert told(lenient.fetch(bearer(token(exp=soon(-40))))) == (401, "expired token")
    assert told(lenient.fetch(bearer(token(nbf=soon(40))))) == (401, "invalid token")


def test_audience_and_issuer_are_checked_where_they_are_configured(strict):
    picky = strict("--proxy.auth.audience", "piko", "--proxy.auth.issuer", "idp")
    assert picky.fetch(bearer(token(aud="piko", iss="idp"))).status == 200
    assert picky.fetch(bearer(token(aud=["a", "piko"], iss="idp"))).status == 200
    for claims in ({"aud": "other", "iss": "idp"}, {"aud": "piko", "iss": "other"}, {"iss": "idp"}, {"aud": "piko"}, {"aud": [], "iss": "idp"}):
        assert told(picky.fetch(bearer(token(claims)))) == (401, "invalid token")


def test_endpoints_are_permitted_by_header_and_by_host(guarded):
    field = bearer(endpoints("a", "web"))
    assert guarded.fetch(field).status == 200
    for host in ("web.example.com", "WEB.example.com:8000"):
        with guarded.client() as client:
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n{field[0]}: {field[1]}\r\n\r\n".encode())
            assert client.response().status == 200
    assert told(guarded.fetch(field, endpoint="b")) == (401, "endpoint not permitted")
    assert guarded.fetch(bearer(endpoints())).status == 200


def test_a_token_without_endpoints_permits_none_where_they_are_required(strict):
    closed = strict("--proxy.auth.require-endpoints")
    assert told(closed.fetch(bearer(token()))) == (401, "endpoint not permitted")
    assert told(closed.fetch(bearer(endpoints()))) == (401, "endpoint not permitted")
    assert closed.fetch(bearer(endpoints("web"))).status == 200


def test_reserved_paths_ask_for_the_token_too(guarded):
    assert told(guarded.fetch(target="/_piko/v1/tcp/web")) == (401, "missing authorization")
    assert told(guarded.fetch(bearer(endpoints("other")), target="/_piko/v1/tcp/web")) == (401, "endpoint not permitted")
    assert guarded.fetch(bearer(endpoints("web")), target="/_piko/v1/tcp/web").status == 426
    assert told(guarded.fetch(target="/_piko/else")) == (401, "missing authorization")


def test_every_refusal_is_counted_by_its_reason(guarded):
    for reason, fields in {"missing": [], "unsupported_type": [("authorization", "Basic x")], "malformed": [("authorization", "x")],
                           "invalid": [bearer("x")], "expired": [bearer(token(exp=soon(-60)))], "not_permitted": [bearer(endpoints("other"))],
                           "unknown_tenant": [bearer(token()), ("x-piko-tenant-id", "x")]}.items():
        before = guarded.refused(reason)
        guarded.fetch(*fields)
        eventually(lambda: guarded.refused(reason) == before + 1, what=reason)


def consumed_by(near, service):
    """The token is for the node, whichever field it came in; what else the client says is for the service."""
    eventually(lambda: fetch(near.proxy, "web", headers=[bearer(token())]).status == 200)
    for name in ("authorization", "x-piko-authorization"):
        service.fresh(reply())
        assert fetch(near.proxy, "web", headers=[bearer(token(), name), ("x-other", "kept")]).body == b"hello"
        head = service.request().head
        assert head.get("authorization") is None and head.get("x-piko-authorization") is None and head.get("x-other") == b"kept"
    service.fresh(reply())
    fetch(near.proxy, "web", headers=[bearer(token()), ("Authorization", "Basic YTpi")])
    assert service.request().head.get("authorization") == b"Basic YTpi"


def test_a_token_passes_to_the_next_node_and_ends_there(piko, service):
    piko.tokens = None
    near, far = piko.servers(2, ["--proxy.auth.hmac-secret-key", SECRET])
    piko.agent("http", far, "web", service.addr)
    consumed_by(near, service)


def test_a_token_that_the_near_node_consumed_reaches_no_service_of_a_far_node_that_asks_for_none(piko, service):
    piko.tokens = None
    near = piko.server("--proxy.auth.hmac-secret-key", SECRET)
    far = piko.server("--cluster.join", near.gossip)
    piko.agent("http", far, "web", service.addr)
    consumed_by(near, service)


def test_a_node_that_asks_for_no_token_passes_one_on_to_a_node_that_does(piko, service):
    piko.tokens = None
    near = piko.server()
    far = piko.server("--cluster.join", near.gossip, "--proxy.auth.hmac-secret-key", SECRET)
    piko.agent("http", far, "web", service.addr)
    eventually(lambda: near.active == 2)
    eventually(lambda: fetch(near.proxy, "web", headers=[bearer(token())]).status == 200)
    assert told(fetch(near.proxy, "web")) == (401, "missing authorization")


def test_a_member_is_asked_for_a_token_like_anybody(guarded):
    assert told(guarded.fetch(("x-piko-forward", "true"))) == (401, "missing authorization")


@pytest.mark.parametrize("level", ["info", "debug"])
def test_no_token_is_in_any_log(piko, service, level):
    """Of clients, agents and forwards, taken or refused; on the node that was asked, on the next one, and with those who dial."""
    piko.tokens = None
    logging, secrets = ["--log.level", level], {who: token({"iss": who}) for who in ("client", "agent", "forward")}
    near, far = piko.servers(2, ["--proxy.auth.hmac-secret-key", SECRET, "--upstream.auth.hmac-secret-key", SECRET, *logging])
    dialling = ["--connect.token", secrets["agent"], *logging]
    agent, other = piko.agent("http", far, "web", service.addr, *dialling), piko.agent("tcp", far, "db", service.addr, *dialling)
    forward = piko.forward(near, "db", "--connect.token", secrets["forward"], *logging)
    mine = secrets["client"]
    eventually(lambda: fetch(near.proxy, "web", headers=[bearer(mine)]).status == 200)
    assert fetch(near.proxy, "web", headers=[bearer(mine, "authorization")]).status == 200
    eventually(lambda: answered(forward))
    for addr in (near.proxy, far.proxy):
        assert told(fetch(addr, "web", headers=[bearer(mine + "x")])) == (401, "invalid token")
        assert told(fetch(addr, "web", headers=[("authorization", mine)])) == (401, "invalid authorization")
    assert fetch(near.upstream, "web", "/piko/v1/upstream/web", headers=[bearer(mine + "x")]).status == 401
    assert near.ask("/status/cluster/nodes", [bearer(mine)]).status == 200
    assert fetch(near.proxy, "web", "/last", headers=[bearer(mine)]).status == 200
    for process in (near, far, agent):
        process.wait_line(lambda line: line["msg"] == "request" and line["request"]["path"] == "/last")
    for process in (near, far, agent, other, forward):
        assert any(line["level"] == "debug" for line in process.lines()) == (level == "debug"), process.name
        for part in (part for secret in secrets.values() for part in secret.split(".")):
            assert part not in process.log, process.name


def answered(forward):
    try:
        return fetch(forward.addr, "any").body == b"hello"
    except (Ended, OSError):
        return False
