# SPDX-License-Identifier: MIT
# Methods, framings of bodies in both directions, interim responses, trailers, truncation: each through both kinds of agent.
# Real processes on loopback; the client and the service are the test's own, so that each byte can be chosen.

import email.utils
import os
import time

import pytest

from harness.ports import free_port
from peer import http1
from peer.client import fetch
from peer.http1 import Malformed, chunked
from peer.service import echo, reply, script
from peer.wire import Ended

EMPTY_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BIG = os.urandom(3 << 20)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "x", "M-SEARCH", "!#$%&'*+-.^_`|~09az"])
def test_any_token_is_a_method(web, method):
    assert web.fetch("/m", method).body == b"hello"
    assert web.service.request().head.start == f"{method} /m HTTP/1.1".encode()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("body", [b"", b"x", b"hello" * 1000, [b"a"], [b"one", b"two" * 5000, b"3"], []], ids=lambda b: f"{type(b).__name__}-{len(b)}")
def test_a_body_in_either_framing_arrives_whole(web, method, body):
    whole = b"".join(body) if isinstance(body, list) else body
    assert web.serve(echo).fetch("/", method, body=body).body == whole
    request = web.service.request()
    assert request.body == whole
    assert (request.get("transfer-encoding") == b"chunked") == isinstance(body, list)
    assert request.get("content-length") == (None if isinstance(body, list) else str(len(body)).encode())


def test_a_request_without_a_body_gets_no_framing_added(web):
    web.fetch()
    request = web.service.request()
    assert request.get("content-length") is None and request.get("transfer-encoding") is None


def test_three_mebibytes_go_up_and_come_back(web):
    assert web.serve(echo).fetch("/", "POST", body=BIG, timeout=30).body == BIG
    assert web.serve(echo).fetch("/", "POST", body=[BIG[i : i + 100_000] for i in range(0, len(BIG), 100_000)], timeout=30).body == BIG


def test_a_chunked_response_stays_chunked_and_whole(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"a", b"b" * 70000, b"c")))
    message = web.fetch()
    assert message.get("transfer-encoding") == b"chunked" and message.get("content-length") is None
    assert message.body == b"a" + b"b" * 70000 + b"c"


def test_chunk_extensions_do_no_harm(web):
    web.serve(script(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c="d"\r\nabc\r\n0;x\r\n\r\n'))
    assert web.fetch().body == b"abc"


def test_each_chunk_is_passed_on_when_it_comes(web):
    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for word in (b"one", b"two", b"three"):
            conn.send(b"%x\r\n%s\r\n" % (len(word), word))
            assert conn.service.requests.get(timeout=10) == word  # the client has it before the next leaves
        conn.send(b"0\r\n\r\n")

    web.serve(handler)
    with web.client() as client:
        client.request(web.endpoint).head()
        for word in (b"one", b"two", b"three"):
            assert http1.read_chunk(client.wire) == word
            web.service.requests.put(word)
        assert http1.read_chunk(client.wire) == b""


def test_head_has_the_length_and_no_body(web):
    with web.serve(reply(200, b"x" * 1234)).client() as client:
        for _ in range(2):
            message = client.request(web.endpoint, method="HEAD").response("HEAD")
            assert message.get("content-length") == b"1234"
        assert client.request(web.endpoint).response().body == b"x" * 1234


def test_head_of_a_chunked_resource(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", close=False))
    with web.client() as client:
        assert client.request(web.endpoint, method="HEAD").response("HEAD").status == 200
        web.service.fresh(reply())
        assert client.request(web.endpoint).response().body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_leaves_the_connection_usable(web, status):
    with web.serve(reply(status, headers=[("ETag", '"e"')])).client() as client:
        for _ in range(3):
            message = client.request(web.endpoint).response()
            assert message.status == status and message.get("etag") == b'"e"'
            assert message.get("transfer-encoding") is None


def test_304_may_name_the_length_it_does_not_send(web):
    with web.serve(script(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", close=False)).client() as client:
        assert client.request(web.endpoint).response().get("content-length") == b"99"
        web.service.fresh(reply())
        assert client.request(web.endpoint).response().body == b"hello"


@pytest.mark.parametrize("status", [200, 201, 299, 301, 404, 418, 500, 503, 599, 999])
def test_a_status_and_its_reason_arrive_as_sent(web, status):
    web.serve(script(b"HTTP/1.1 %d Some  odd (reason)\r\nContent-Length: 2\r\n\r\nok" % status))
    message = web.fetch()
    assert message.head.start == b"HTTP/1.1 %d Some  odd (reason)" % status and message.body == b"ok"


def test_100_continue_comes_from_the_service_before_the_body_is_sent(web):
    def handler(conn, head):
        assert head.get("expect").lower() == b"100-continue"
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.reply(200, conn.read_body(head).body)

    with web.serve(handler).client() as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [
            ("Host", f"{web.endpoint}.x.y"), ("X-Piko-Endpoint", web.endpoint), ("Content-Length", "4"), ("Expect", "100-continue")]))
        assert client.head().status == 100
        client.send(b"body")
        assert client.response().body == b"body"


def test_a_refused_expectation_is_answered_without_the_body(web):
    def handler(conn, head):
        conn.reply(417, b"no", [("Connection", "close")])
        conn.close()

    with web.serve(handler).client() as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [
            ("Host", f"{web.endpoint}.x.y"), ("X-Piko-Endpoint", web.endpoint), ("Content-Length", "4"), ("Expect", "100-continue")]))
        message = client.response()
        assert (message.status, message.body, message.interim) == (417, b"no", [])


def test_interim_responses_are_passed_on_in_order(web):
    web.serve(script(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.js>\r\n\r\n"
                     b"HTTP/1.1 199 Other\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    message = web.fetch()
    assert [head.status for head in message.interim] == [102, 103, 199]
    assert message.interim[1].all("link") == [b"</a.css>", b"</b.js>"] and message.body == b"ok"


def test_103_is_seen_before_the_final_response_is_written(web):
    def handler(conn, head):
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        conn.service.requests.get(timeout=10)
        conn.reply()

    with web.serve(handler).client() as client:
        assert client.request(web.endpoint).head().status == 103
        web.service.requests.put("go on")
        assert client.response().status == 200


def test_trailers_of_a_request_arrive(web):
    web.serve(echo)
    with web.client() as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [
            ("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum, X-More")]))
        client.send(chunked(b"body", trailers=[("X-Sum", "abc"), ("X-More", "")]))
        assert client.response().body == b"body"
    assert web.service.request().trailers == [(b"X-Sum", b"abc"), (b"X-More", b"")]


def test_trailers_of_a_response_arrive(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunked(b"ab", trailers=[("X-Sum", "9")])))
    message = web.fetch(headers=[("TE", "trailers")])
    assert (message.body, message.trailers) == (b"ab", [(b"X-Sum", b"9")])


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_until_close_arrives_whole_and_ends_cleanly(web, version):
    data = os.urandom(300_000)
    web.serve(script(b"HTTP/" + version + b" 200 OK\r\nX: y\r\n\r\n" + data))
    assert web.fetch().body == data


def test_an_empty_body_until_close(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"))
    assert web.fetch().body == b""


def truncated(web, method="GET"):
    with pytest.raises((Ended, Malformed, ConnectionResetError)):
        message = web.fetch(method=method)
        # A reset may overtake the head between two nodes: then nothing of the response was seen.
        if web.tunnel.nodes > 1 and message.status == 502:
            raise Ended(message.body, "502")
        raise AssertionError(f"a whole response: {message}")


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 99999,
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
], ids=["length", "length-none", "chunk-missing", "chunk-short", "no-last-crlf", "chunks-none"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_truncated_response_is_seen_as_truncated(web, answer, how):
    def handler(conn, head):
        conn.send(answer)
        conn.reset() if how == "reset" else conn.close()

    web.serve(handler)
    truncated(web)


def test_a_body_until_close_that_is_reset_does_not_end_cleanly(web):
    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        conn.service.requests.get(timeout=10)  # the client has "half"
        conn.reset()

    web.serve(handler)
    with web.client() as client:
        head = client.request(web.endpoint).head()
        assert client.wire.read_until(b"half")
        web.service.requests.put("go on")
        if head.get("transfer-encoding") == b"chunked":
            assert b"\r\n0\r\n" not in client.wire.read_to_end()
        else:
            client.wire.read_to_end()
            assert client.wire.how == "reset"


@pytest.mark.parametrize("start", [b"Content-Length: 10\r\n\r\n12345", b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"], ids=["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_truncated_request_never_looks_whole_to_the_service(web, start, how):
    seen = []

    def handler(conn, head):
        conn.service.requests.put("started")
        try:
            seen.append(conn.read_body(head))
        except (Ended, OSError) as error:
            seen.append(error)
        conn.service.requests.put("done")
        conn.close()

    client = web.serve(handler).raw(b"POST / HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: ENDPOINT\r\n" + start)
    web.service.request()
    {"close": client.close, "reset": client.wire.reset, "half": client.wire.shut}[how]()
    web.service.request()
    assert isinstance(seen[0], (Ended, OSError)), seen
    client.close()


def test_the_service_closing_without_an_answer_is_a_502(web):
    web.serve(lambda conn, head: conn.close())
    message = web.fetch("/", "POST", body=b"not to be sent twice")
    assert message.status == 502 and message.get("content-type") == b"application/json"


def test_the_service_closing_in_the_head_is_a_502(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nContent-Le"))
    assert web.fetch("/", "POST", body=b"x").status == 502


def test_a_service_that_only_half_closes_after_its_answer(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\n\r\nall of it", half=True))
    assert web.fetch().body == b"all of it"


# The time


@pytest.mark.parametrize("who", ["node", "node to an agent", "agent", "admin"])
def test_answers_of_our_own_say_when(piko, who):
    node = piko.server()
    if who == "node":
        answer = fetch(node.proxy, "nobody")
    elif who == "node to an agent":
        answer = fetch(node.upstream, "x", "/nothing")
    elif who == "admin":
        answer = node.ask("/health")
    else:
        piko.agent("http", node, "web", f"127.0.0.1:{free_port()}")
        answer = fetch(node.proxy, "web")
        assert answer.status == 502
    said = email.utils.parsedate_to_datetime(answer.get("date").decode())
    assert abs(said.timestamp() - time.time()) < 3 and answer.get("date").endswith(b" GMT")
