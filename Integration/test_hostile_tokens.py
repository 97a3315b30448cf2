# SPDX-License-Identifier: MIT
# Tokens that somebody forged, on each of a node's three ports: they open none, each is counted, and a good one opens the port behind them.
# Made by hand, or by PyJWT with the wrong key.

import json
import time

import pytest

from harness.piko import Piko
from harness.tokens import SECRET, bearer, ec_key, forged, part, pem, rsa_key, token
from harness.usage import eventually
from peer.client import Client
from test_tokens import KEYS, PORTS, UPGRADE, no_token_of_the_suite  # noqa: F401

OTHERS = {"rsa": rsa_key(), "ec": ec_key()}
OPEN = {"proxy": 502, "upstream": 101, "admin": 200}  # the proxy port has no agent to send a request to
LONGEST = {"proxy": 1 << 20, "upstream": 64 << 10, "admin": 16 << 10}  # bytes of a head


@pytest.fixture(scope="module")
def node(tmp_path_factory, loops):
    """All its ports have keys of all kinds."""
    piko = Piko(tmp_path_factory.mktemp("tokens"), loops, tokens=False)
    keys = [("hmac-secret-key", SECRET), ("rsa-public-key", pem(KEYS["rsa"])), ("ecdsa-public-key", pem(KEYS["ec"]))]
    yield piko.server(*[word for port in PORTS for name, key in keys for word in (f"--{port}.auth.{name}", key)])
    piko.stop()


class Port:
    """One of the ports; `refused` is how often it has answered with 401."""

    def __init__(self, node, name):
        self.node, self.name, self.refused = node, name, 0

    def ask(self, *fields, query=""):
        """The status of the answer, and the error in it."""
        upgrade = UPGRADE if self.name == "upstream" else []
        with Client(getattr(self.node, self.name)) as client:
            try:
                client.request("web", PORTS[self.name] + query, headers=[*upgrade, *fields])
            except ConnectionError:
                pass  # a head that is too long is answered before all of it was sent
            message = client.response()
        self.refused += message.status == 401
        return message.status, json.loads(message.body)["error"] if message.status >= 400 else None

    @property
    def counted(self):
        """How many the node has turned away here, for any reason."""
        page = self.node.ask("/metrics", [bearer(token())]).body.decode()
        return sum(int(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(f'piko_auth_rejected_total{{port="{self.name}"'))


@pytest.fixture(params=PORTS)
def port(request, node):
    port = Port(node, request.param)
    before = port.counted
    yield port
    eventually(lambda: port.counted - before == port.refused, what="each refusal counted")
    assert port.ask(bearer(token()))[0] == OPEN[port.name]


INVALID = (401, "invalid token")


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "None"}, {"alg": "NONE"}, {"alg": ""}, {}, {"alg": None}, {"typ": "JWT", "alg": "none"}], ids=str)
@pytest.mark.parametrize("key", [None, SECRET], ids=["unsigned", "signed"])
def test_alg_none_is_no_algorithm(port, header, key):
    assert port.ask(bearer(forged(header, {}, key))) == INVALID


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("algorithm, digest", [("HS256", "sha256"), ("HS512", "sha512"), ("RS256", "sha256"), ("ES256", "sha256")])
def test_a_public_key_is_no_secret(port, kind, algorithm, digest):
    for secret in (pem(KEYS[kind]), pem(KEYS[kind]).strip(), "".join(pem(KEYS[kind]).splitlines()[1:-1])):
        assert port.ask(bearer(forged({"alg": algorithm}, {}, secret, digest))) == INVALID


@pytest.mark.parametrize("algorithm, key", [
    ("RS256", OTHERS["rsa"]), ("ES256", OTHERS["ec"]), ("HS256", "another secret that is as long as ours is, or longer"), ("PS256", KEYS["rsa"]),
], ids=["rsa", "ec", "hmac", "pss"])
def test_what_another_key_or_algorithm_signed_is_refused(port, algorithm, key):
    assert port.ask(bearer(token(key=key, algorithm=algorithm))) == INVALID


@pytest.mark.parametrize("claims", [
    {"exp": "2999999999"}, {"exp": [2999999999]}, {"exp": {}}, {"exp": True}, {"nbf": "0"}, {"piko": []}, {"piko": "x"}, {"piko": {"endpoints": "web"}},
    {"piko": {"endpoints": [1]}}, {"piko": {"endpoints": {"web": 1}}}, {"iss": 7}, {"aud": 7}, [], 7, None, "text", b"", b"\xff\xfe", b'{"exp":1e999}', b"{",
], ids=str)
def test_claims_of_a_wrong_type_are_refused(port, claims):
    assert port.ask(bearer(forged({"alg": "HS256"}, claims))) == INVALID


@pytest.mark.parametrize("claims", [
    {"Piko": {"endpoints": ["other"]}}, {"PIKO": {"Endpoints": ["other"]}}, {"piko": {"Endpoints": ["other"]}}, {"piko": {"endpoints": ["web"]}, "Piko": {}},
    {"pi\u212ao": {"endpoints": ["other"]}}, {"Exp": 1},
], ids=str)
def test_claims_whose_names_have_another_case_are_refused(port, claims):
    """Piko 0.9 reads them: a token that is restricted there must not be one for everything here."""
    assert port.ask(bearer(forged({"alg": "HS256"}, claims))) == INVALID


@pytest.mark.parametrize("header", [[], 7, b"", b"{", {"alg": 1}, {"alg": ["HS256"]}, {"alg": "HS256", "kid": 1}, {"alg": "HS256", "crit": ["exp"]}], ids=str)
def test_headers_of_a_wrong_type_are_refused(port, header):
    assert port.ask(bearer(forged(header, {}))) == INVALID


GIANTS = {
    "giant": token({"x": "a" * 20_000}),
    "deep": forged({"alg": "HS256"}, b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "nested": forged({"alg": "HS256", "cty": "JWT"}, token()),
    "many parts": ".".join([part({"alg": "HS256"})] * 5),
    "dots": "." * 10_000,
    "long": "a" * 500_000,
    "longer than any head": "a" * 2_000_000,
}


@pytest.mark.parametrize("name", GIANTS)
def test_giant_deep_and_nested_tokens_are_refused_and_cost_little(port, name):
    began = time.monotonic()
    status, _ = port.ask(bearer(GIANTS[name]))
    assert status == (431 if len(GIANTS[name]) > LONGEST[port.name] else 401)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("query", ["access_token", "token", "authorization", "x-piko-authorization", "jwt"])
def test_a_token_in_the_query_is_none(port, query):
    assert port.ask(query=f"?{query}={token()}") == (401, "missing authorization")


@pytest.mark.parametrize("name, answer", [("authorization", (401, "invalid authorization")), ("x-piko-authorization", (400, "repeated x-piko header"))])
def test_two_fields_with_good_tokens_are_one_too_many(port, name, answer):
    assert port.ask(bearer(token(), name), bearer(token(), name)) == answer


def test_of_two_kinds_of_field_the_nodes_own_decides(port):
    assert port.ask(bearer("abc"), bearer(token(), "authorization")) == INVALID
    assert port.ask(bearer(token()), bearer("abc", "authorization"))[0] == OPEN[port.name]
