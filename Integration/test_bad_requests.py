# SPDX-License-Identifier: MIT
# Heads on which two parsers could disagree: 400, the connection closes, and nothing reaches the service. Each of them
# comes with a whole second request behind it, which must not be served either.

import json
import random

import pytest

from harness.usage import eventually
from peer.client import Client
from peer.service import Service, echo, reply
from peer.wire import Ended

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: ENDPOINT\r\n\r\n"
HOST = b"Host: a.b\r\nX-Piko-Endpoint: ENDPOINT\r\n"


def post(fields, body=b"hello", start=b"POST / HTTP/1.1\r\n"):
    return start + HOST + fields + b"\r\n" + body


def get(start=b"GET / HTTP/1.1", fields=b""):
    return start + b"\r\n" + HOST + fields + b"\r\n"


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

BAD = {
    # two lengths, length with chunked
    "two lengths": post(b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    "two equal lengths": post(b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    "length and chunked": post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    "chunked and length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKS),
    # signs, hex or lists in a length
    "plus": post(b"Content-Length: +5\r\n"),
    "minus": post(b"Content-Length: -5\r\n"),
    "hex": post(b"Content-Length: 0x5\r\n"),
    "list": post(b"Content-Length: 5, 5\r\n"),
    "list of two": post(b"Content-Length: 5, 6\r\n"),
    "empty length": post(b"Content-Length:\r\n"),
    "word": post(b"Content-Length: five\r\n"),
    "fraction": post(b"Content-Length: 5.0\r\n"),
    "underscore": post(b"Content-Length: 1_0\r\n"),
    "inner space": post(b"Content-Length: 5 5\r\n"),
    "too large": post(b"Content-Length: 99999999999999999999999999\r\n"),
    "2^64": post(b"Content-Length: 18446744073709551616\r\n"),
    "2^64+5": post(b"Content-Length: 18446744073709551621\r\n"),
    "quoted": post(b'Content-Length: "5"\r\n'),
    "wide digits": post("Content-Length: ５\r\n".encode()),
    # chunked not last or twice, other codings
    "chunked not last": post(b"Transfer-Encoding: chunked, gzip\r\n", CHUNKS),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
    "chunked in two fields": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    "identity": post(b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n"),
    "unknown coding": post(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "quoted coding": post(b'Transfer-Encoding: "chunked"\r\n', CHUNKS),
    "coding with tab": post(b"Transfer-Encoding: chunked\x0b\r\n", CHUNKS),
    "parameter": post(b"Transfer-Encoding: chunked;a=b\r\n", CHUNKS),
    "empty coding": post(b"Transfer-Encoding:\r\n", CHUNKS),
    "identity then chunked": post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    "chunked in 1.0": post(b"Transfer-Encoding: chunked\r\n", CHUNKS, b"POST / HTTP/1.0\r\n"),
    # spaces, folds, control bytes, line ends
    "space before colon": get(fields=b"X-A : b\r\n"),
    "tab before colon": get(fields=b"X-A\t: b\r\n"),
    "length with space": post(b"Content-Length : 5\r\n"),
    "coding with space": post(b"Transfer-Encoding : chunked\r\n", CHUNKS),
    "space before name": get(fields=b" X-A: b\r\n"),
    "folded": get(fields=b"X-A: b\r\n c\r\n"),
    "folded tab": get(fields=b"X-A: b\r\n\tc\r\n"),
    "folded length": post(b"Content-Length:\r\n 5\r\n"),
    "first line folded": b"GET / HTTP/1.1\r\n " + HOST + b"\r\n",
    "nul in value": get(fields=b"X-A: b\x00c\r\n"),
    "nul in name": get(fields=b"X-\x00A: b\r\n"),
    "nul in target": get(b"GET /\x00 HTTP/1.1"),
    "bare cr in value": get(fields=b"X-A: b\rc\r\n"),
    "bare cr in name": get(fields=b"X-\rA: b\r\n"),
    "bare cr at end": get(fields=b"X-A: b\r\r\n"),
    "bare cr ends the head": b"GET / HTTP/1.1\r\n" + HOST + b"\r\r\n",
    "bare lf": get().replace(b"\r\n", b"\n"),
    "bare lf in one field": get(fields=b"X-A: b\nX-C: d\r\n"),
    "bare lf behind the first line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "bare lf ends the head": b"GET / HTTP/1.1\r\n" + HOST + b"\n",
    "control in value": get(fields=b"X-A: b\x01c\r\n"),
    "delete in value": get(fields=b"X-A: b\x7fc\r\n"),
    # Host
    "no host": b"GET / HTTP/1.1\r\nX-Piko-Endpoint: ENDPOINT\r\n\r\n",
    "two hosts": get(fields=b"Host: c.d\r\n"),
    "two equal hosts": get(fields=b"Host: a.b\r\n"),
    "host list": b"GET / HTTP/1.1\r\nHost: a.b, c.d\r\nX-Piko-Endpoint: ENDPOINT\r\n\r\n",
    "host with path": b"GET / HTTP/1.1\r\nHost: a.b/c\r\nX-Piko-Endpoint: ENDPOINT\r\n\r\n",
    "host with user": b"GET / HTTP/1.1\r\nHost: u@a.b\r\nX-Piko-Endpoint: ENDPOINT\r\n\r\n",
    "host with space": b"GET / HTTP/1.1\r\nHost: a b\r\nX-Piko-Endpoint: ENDPOINT\r\n\r\n",
    # names, methods, targets, versions
    "no colon": get(fields=b"X-A b\r\n"),
    "empty name": get(fields=b": b\r\n"),
    "name with space": get(fields=b"X A: b\r\n"),
    "name with bracket": get(fields=b"X(A): b\r\n"),
    "name with bytes": get(fields=b"X-\xc3\xa9: b\r\n"),
    "name with quote": get(fields=b'X"A: b\r\n'),
    "method with colon": get(b"GE:T / HTTP/1.1"),
    "method with bytes": get(b"G\xc3\xa9T / HTTP/1.1"),
    "no method": get(b" / HTTP/1.1"),
    "two spaces": get(b"GET  / HTTP/1.1"),
    "tab for space": get(b"GET\t/\tHTTP/1.1"),
    "space in target": get(b"GET /a b HTTP/1.1"),
    "no target": get(b"GET HTTP/1.1"),
    "target without slash": get(b"GET a/b HTTP/1.1"),
    "control in target": get(b"GET /\x01 HTTP/1.1"),
    "star with get": get(b"GET * HTTP/1.1"),
    "space behind version": get(b"GET / HTTP/1.1 "),
    "version 0.9": b"GET /\r\n\r\n",
    "version 1.2": get(b"GET / HTTP/1.2"),
    "version 2.0": get(b"GET / HTTP/2.0"),
    "version 1.10": get(b"GET / HTTP/1.10"),
    "version 11": get(b"GET / HTTP/11"),
    "version lower": get(b"GET / http/1.1"),
    "version odd": get(b"GET / HTTQ/1.1"),
    "version sign": get(b"GET / HTTP/+1.1"),
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(60)) + b"\r\n\r\n",
}


def answered(node, status):
    """How many requests were, whatever their method."""
    lines = node.ask("/metrics").body.decode().splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith(f'piko_proxy_requests_total{{status="{status}"'))


def refused(web, data, statuses=(400,)):
    before = {status: answered(web.node, status) for status in statuses}
    with web.raw(data) as client:
        message = client.response()
        assert message.status in statuses, message.head.raw
        eventually(lambda: answered(web.node, message.status) == before[message.status] + 1, what="the refusal counted")
        assert message.get("content-type") == b"application/json" and "error" in json.loads(message.body)
        assert (message.get("connection") or b"").lower() == b"close"
        assert client.wire.read_to_end() == b""
    assert web.service.requests.empty()
    with web.client() as client:  # and the service hears of this one first
        client.request(web.endpoint, "/marker").response()
    assert web.service.request().head.target == b"/marker"


@pytest.mark.parametrize("name", BAD)
def test_a_doubtful_head_is_a_400_and_reaches_nobody(web, name):
    statuses = {"version 1.2": (400, 505), "version 2.0": (400, 505), "http/2 preface": (400, 505), "identity": (400, 501), "identity then chunked": (400, 501), "unknown coding": (400, 501), "parameter": (400, 501)}
    refused(web, BAD[name] + SMUGGLED, statuses.get(name, (400,)))


@pytest.mark.parametrize("name", ["two lengths", "nul in value", "bare lf", "no host", "folded"])
def test_a_doubtful_head_behind_a_good_request_closes_after_its_answer(web, name):
    web.serve(reply())
    with web.raw(get() + BAD[name] + SMUGGLED) as client:
        assert client.response().body == b"hello"
        assert client.response().status == 400
        assert client.wire.read_to_end() == b""
    assert web.service.request().head.target == b"/"
    assert web.service.requests.empty()


BROKEN = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "not hex": b"g\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "too large": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "2^64": b"10000000000000000\r\nhello\r\n0\r\n\r\n",
    "short": b"4\r\nhello\r\n0\r\n\r\n",
    "bare lf behind size": b"5\nhello\r\n0\r\n\r\n",
    "bare lf behind data": b"5\r\nhello\n0\r\n\r\n",
    "no crlf behind data": b"5\r\nhello0\r\n\r\n",
    "long extension": b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "lf in extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "cr in extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "bad trailer": b"5\r\nhello\r\n0\r\nX A: b\r\n\r\n",
    "nul trailer": b"5\r\nhello\r\n0\r\nX-A: \x00\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n",
    "trailer space": b"5\r\nhello\r\n0\r\nX-A : b\r\n\r\n",
    "long trailers": b"5\r\nhello\r\n0\r\nX-A: " + b"x" * (2 << 20) + b"\r\n\r\n",
    "length in the trailer": b"5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n",
    "coding in the trailer": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "host in the trailer": b"5\r\nhello\r\n0\r\nHOST: other\r\n\r\n",
    "forwarded in the trailer": b"5\r\nhello\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n",
    "underscore": b"1_0\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_chunk_ends_the_connection_and_the_request_is_not_whole(web, name):
    outcome = []

    def handler(conn, head):
        try:
            outcome.append(conn.read_body(head).head.target)
            conn.reply()
        except (Ended, OSError):
            outcome.append(None)
            conn.close()

    web.serve(handler)
    before = {status: answered(web.node, status) for status in (0, 400, 431)}
    client = web.client()
    try:
        client.send((post(b"Transfer-Encoding: chunked\r\n", b"") + BROKEN[name] + SMUGGLED).replace(b"ENDPOINT", web.endpoint.encode()))
    except ConnectionError:
        pass  # closed while a long one was on its way
    data = client.wire.read_to_end()
    assert data == b"" or data.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")), data[:200]
    assert b"200 " not in data and data.count(b"HTTP/1.1 ") <= 1
    # Of an answer that a reset has overtaken nothing is read.
    statuses = [int(data[9:12])] if data else list(before)
    eventually(lambda: any(answered(web.node, status) > before[status] for status in statuses), what=f"one of {statuses} counted")
    client.close()
    web.serve(echo).fetch()
    assert outcome in ([], [None]), "the service saw a whole request"


@pytest.mark.parametrize("shape", ["one field", "many fields", "target", "name", "no end"])
def test_a_head_over_the_limit_is_a_431(piko, shape):
    with Service() as service:
        node = piko.server("--proxy.http.max-header-bytes", "8192")
        piko.agent("http", node, "web", service.addr)
        head = {
            "one field": b"GET / HTTP/1.1\r\nHost: web.a\r\nX: " + b"v" * 9000 + b"\r\n\r\n",
            "many fields": b"GET / HTTP/1.1\r\nHost: web.a\r\n" + b"X-Some: value\r\n" * 700 + b"\r\n",
            "target": b"GET /" + b"t" * 9000 + b" HTTP/1.1\r\nHost: web.a\r\n\r\n",
            "name": b"GET / HTTP/1.1\r\nHost: web.a\r\n" + b"n" * 9000 + b": v\r\n\r\n",
            "no end": b"GET / HTTP/1.1\r\nHost: web.a\r\nX: " + b"v" * 30000,
        }[shape]
        with Client(node.proxy) as client:
            client.send(head)
            message = client.response()
            assert message.status in ((431, 414) if shape == "target" else (431,))
            assert client.wire.read_to_end() == b""
        assert service.requests.empty()
        with Client(node.proxy) as client:
            client.request("web", headers=[("X", "v" * 7000)])
            assert client.response().status == 200


def test_the_default_limit_takes_a_large_head_and_refuses_a_mebibyte(web):
    with web.client(20) as client:
        client.request(web.endpoint, headers=[(f"X-{n}", "v" * 1000) for n in range(60)])
        assert client.response().status == 200
    with web.client(20) as client:
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: a.b\r\nX: " + b"v" * (1200 << 10) + b"\r\n\r\n")
        except ConnectionError:
            pass
        assert client.response().status == 431


def test_noise_of_any_kind_does_not_end_the_node(web):
    noise = random.Random(2)
    for _ in range(100):
        with web.client() as client:
            try:
                client.send(noise.randbytes(noise.randrange(1, 3000)))
                client.wire.shut()
                client.wire.read_to_end()
            except ConnectionError:
                pass
    assert web.fetch().body == b"hello"


def test_good_heads_that_look_odd_are_served(web):
    for head in (get(b"GET http://a.b/abs HTTP/1.1"), get(fields=b"X-A:b\r\n"), get(fields=b"X-A:\t b \t\r\n"), get(fields=b"X-A:\r\n"),
                 post(b"Content-Length: 0005\r\n"), post(b"Transfer-Encoding: CHUNKED\r\n", CHUNKS), post(b"Transfer-Encoding:  chunked \r\n", b"05\r\nhello\r\n000\r\n\r\n")):
        with web.raw(head) as client:
            assert client.response().status == 200, head


def test_every_bad_head_is_refused_at_any_split(http):
    """The same heads in two pieces: the answer must not depend on where they were cut."""
    for name in ("length and chunked", "bare lf in one field", "space before colon", "two hosts", "nul in value", "folded"):
        data = BAD[name]
        for at in range(1, len(data), 7):
            with http.client() as client:
                client.send(data[:at].replace(b"ENDPOINT", b"web"))
                client.send(data[at:].replace(b"ENDPOINT", b"web"))
                assert client.response().status == 400, (name, at)
    assert http.service.requests.empty()
