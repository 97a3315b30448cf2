# SPDX-License-Identifier: MIT
# The service's answers are held to the same rules: what is doubtful is a 502 to the client, and the service's
# connection is not used again.

import json
import threading

import pytest

from peer.client import Client
from peer.http1 import Malformed, chunked
from peer.service import Service, reply, script
from peer.wire import Ended

CHUNKS = chunked(b"hello")
OK = b"HTTP/1.1 200 OK\r\n"

BAD = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunked": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "plus": OK + b"Content-Length: +5\r\n\r\nhello",
    "minus": OK + b"Content-Length: -5\r\n\r\nhello",
    "hex": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "list": OK + b"Content-Length: 5, 6\r\n\r\nhello",
    "empty length": OK + b"Content-Length:\r\n\r\nhello",
    "too large": OK + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "chunked not last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS,
    "unknown coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "chunked in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "space before colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "folded": OK + b"X-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    "nul": OK + b"X-A: \x00\r\nContent-Length: 5\r\n\r\nhello",
    "bare cr": OK + b"X-A: b\rc\r\nContent-Length: 5\r\n\r\nhello",
    "bare lf": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "no colon": OK + b"X-A b\r\nContent-Length: 5\r\n\r\nhello",
    "empty name": OK + b": b\r\nContent-Length: 5\r\n\r\nhello",
    "bad name": OK + b"X A: b\r\nContent-Length: 5\r\n\r\nhello",
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "noise": bytes(range(1, 200)) + b"\r\n\r\n",
    "version": b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "status word": b"HTTP/1.1 two OK\r\nContent-Length: 5\r\n\r\nhello",
    "status short": b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    "status long": b"HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
    "status zero": b"HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello",
    "no status": b"HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "nul in reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 5\r\n\r\nhello",
    "head too long": OK + b"X: " + b"v" * (2 << 20) + b"\r\n\r\n",
    "bad interim": b"HTTP/1.1 103 E\r\nX A: b\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    "interim with length": b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("name", BAD)
def test_a_doubtful_answer_is_a_502(web, name):
    web.serve(script(BAD[name], close=False))
    with web.client() as client:
        message = client.request(web.endpoint).response()
        assert message.status == 502 and "error" in json.loads(message.body), message.head.raw
        web.service.ended.get(timeout=5)  # its connection is let go
        web.serve(reply())
        assert client.request(web.endpoint).response().body == b"hello"


BROKEN = {
    "not hex": b"g\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "too large": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "short": b"4\r\nhello\r\n0\r\n\r\n",
    "bare lf": b"5\nhello\n0\n\n",
    "bad trailer": b"5\r\nhello\r\n0\r\nX A: b\r\n\r\n",
    "long extension": b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_chunks_of_an_answer_end_the_clients_connection(web, name):
    web.serve(script(OK + b"Transfer-Encoding: chunked\r\n\r\n" + BROKEN[name], close=False))
    with web.client() as client:
        client.request(web.endpoint)
        with pytest.raises((Ended, Malformed, ValueError)):
            message = client.response()
            assert message.status == 502
            raise Malformed("refused before a byte was passed on")
    assert web.serve(reply()).fetch().body == b"hello"


@pytest.mark.parametrize("extra", [b"more", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond", b"\r\n" * 50])
@pytest.mark.parametrize("answer", [OK + b"Content-Length: 5\r\n\r\nhello", OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 304 N\r\n\r\n"],
                         ids=["length", "chunked", "204", "304"])
def test_bytes_behind_an_answer_are_never_anothers_answer(web, answer, extra):
    web.serve(script(answer + extra, close=False))
    for _ in range(3):
        with web.client() as client:
            message = client.request(web.endpoint).response()
            assert message.status in (200, 204, 304) and message.body in (b"", b"hello")
            web.service.fresh(reply(body=b"right"))
            assert client.request(web.endpoint).response().body == b"right"
            web.serve(script(answer + extra, close=False))


def test_a_body_behind_an_answer_to_head_is_never_anothers_answer(web):
    web.serve(script(OK + b"Content-Length: 5\r\n\r\nhello", close=False))
    with web.client() as client:
        assert client.request(web.endpoint, method="HEAD").response("HEAD").status == 200
        web.service.fresh(reply(body=b"right"))
        assert client.request(web.endpoint).response().body == b"right"


def test_an_answer_nobody_asked_for_ends_the_services_connection(http):
    """It comes while the connection waits for its next request."""
    gate = threading.Event()

    def early(conn, head):
        conn.reply(body=b"asked")
        gate.wait(10)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked")

    for _ in range(5):
        http.serve(early)
        gate.clear()
        assert http.fetch().body == b"asked"
        gate.set()
        http.service.ended.get(timeout=5)


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_endless_interim_responses_are_not_endless(piko, kind):
    def handler(conn, head):
        while True:
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)

    with Service(handler) as service:
        node = piko.server("--proxy.timeout", "500ms")
        piko.agent(kind, node, "web", service.addr)
        with Client(node.proxy) as client:
            client.request("web")
            try:
                assert client.response().status in (502, 504)
            except (Ended, Malformed):
                pass
        service.ended.get(timeout=5)
