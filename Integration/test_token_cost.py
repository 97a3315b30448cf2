# SPDX-License-Identifier: MIT
# What a token costs a request once it was verified: CPU of server and agent beside that of the same chain without tokens, under the same load, in
# turn. The bound is for one loop on a quiet machine, and asserted with --long; medians move by 0.1 beside other work, so a normal run asserts
# what even then would be a token verified anew. Start and memory are measured by the benchmarks.

import statistics

import pytest

from harness.cost import microseconds
from harness.real import Nginx
from harness.tokens import ec_key, pem, rsa_key, token
from peer import wire

pytestmark = pytest.mark.alone

BOUND, BUSY_BOUND = 1.1, 1.4
ROUNDS = 11
LONG_ROUNDS = 31  # the median of fewer swings across the bound
QUIET = "--proxy.access-log.disable"
SECRET = "a secret of this test"
CLAIMS = {"iss": "https://issuer.example.com/", "aud": ["piko", "other"], "sub": "a client", "exp": 4_000_000_000, "piko": {"endpoints": ["web", "other"]}}


def key(kind):
    """What signs, what the server is told, and the algorithm."""
    if kind == "hmac":
        return SECRET, ["hmac-secret-key", SECRET], "HS256"
    private = rsa_key() if kind == "rsa" else ec_key()
    return private, [f"{'rsa' if kind == 'rsa' else 'ecdsa'}-public-key", pem(private)], "RS256" if kind == "rsa" else "ES256"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "service").mkdir()
    service = Nginx(tmp_path / "service")
    (service.www / "hello").write_text("Hello World!")
    yield service
    service.kill()


@pytest.mark.plain("the figure is that of tokens, not of TLS; a share of more is smaller")
@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["hmac", "rsa", "ecdsa"])
def test_a_verified_token_costs_next_to_nothing_the_second_time(piko, files, loops, capsys, monkeypatch, pytestconfig, kind):
    monkeypatch.setattr(wire, "line_behind_endpoint", None)
    piko.tokens = None
    private, auth, algorithm = key(kind)
    good = token(CLAIMS, private, algorithm)
    flags = [word for port in ("proxy", "upstream") for word in (f"--{port}.auth.{auth[0]}", auth[1], f"--{port}.auth.audience", "piko")]
    chains = []
    for more, login in (([], []), (flags, ["--connect.token", good])):
        node = piko.server(QUIET, *more)
        chains.append((node, [node, piko.agent("http", node, "web", files.addr, "--access-log.disable", *login)]))
    (plain, plain_chain), (guarded, guarded_chain) = chains
    field = ["-H", f"x-piko-authorization: Bearer {good}"]
    microseconds(plain_chain, plain.proxy)  # warm
    microseconds(guarded_chain, guarded.proxy, *field)
    rounds = LONG_ROUNDS if pytestconfig.getoption("long") else ROUNDS
    pairs = [(microseconds(plain_chain, plain.proxy), microseconds(guarded_chain, guarded.proxy, *field)) for _ in range(rounds)]
    ratio = statistics.median(with_ / without for without, with_ in pairs)
    with capsys.disabled():
        print(f"\n{kind}: without, with a token (us a request): {', '.join(f'{one:.1f} {two:.1f}' for one, two in pairs)}; median ratio {ratio:.2f}")
    if loops == 1:
        assert ratio <= (BOUND if pytestconfig.getoption("long") else BUSY_BOUND), pairs
