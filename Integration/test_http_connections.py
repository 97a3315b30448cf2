# SPDX-License-Identifier: MIT
# What happens on one client connection over time: keep-alive, pipelining, early answers, leaving; and on the
# connections between agent and service.

import threading
import time

import pytest

from peer import http1
from peer.service import echo, reply
from peer.wire import Ended, dressed


def test_one_connection_serves_different_endpoints_in_turn(http):
    with http.client() as client:
        for round in range(3):
            for endpoint in ("web", "raw", "none"):
                message = client.request(endpoint, f"/{round}").response()
                assert message.status == (502 if endpoint == "none" else 200)


def test_pipelined_requests_to_different_endpoints_are_answered_in_order(http):
    def handler(conn, head):
        conn.reply(200, head.target + b" " + head.get("x-piko-endpoint"))

    http.serve(handler)
    names = ["web", "raw"] * 10
    with http.client() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: %s\r\n\r\n" % (i, name.encode()) for i, name in enumerate(names)))
        assert [client.response().body for _ in names] == [f"/{i} {name}".encode() for i, name in enumerate(names)]


def test_pipelined_requests_before_a_half_close_are_all_answered(http):
    """Also where the connection moves between loops for them."""
    gate = threading.Event()
    http.serve(lambda conn, head: gate.wait(10) and conn.reply(200, head.target))
    names = [b"web", b"raw"] * 3
    with http.client() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: %s\r\n\r\n" % item for item in enumerate(names)))
        client.wire.shut()
        gate.set()
        assert [client.response().body for _ in names] == [b"/%d" % i for i in range(len(names))]
        assert client.ends() == "end"


def test_pipelined_bodies_of_both_framings_do_not_mix(web):
    part = b"POST / HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: ENDPOINT\r\n"
    one = part + b"Content-Length: 5\r\n\r\nfirst"
    two = part + b"Transfer-Encoding: chunked\r\n\r\n" + http1.chunked(b"sec", b"ond")
    three = part + b"Content-Length: 0\r\n\r\n"
    with web.serve(echo).raw(one + two + three + one) as client:
        assert [client.response().body for _ in range(4)] == [b"first", b"second", b"", b"first"]


def test_a_pipelined_request_waits_for_a_slow_one(web):
    def handler(conn, head):
        if head.target == b"/slow":
            conn.service.requests.get(timeout=10)
        conn.reply(200, head.target)

    web.serve(handler)
    with web.client() as client:
        client.request(web.endpoint, "/slow").request(web.endpoint, "/fast")
        web.service.requests.put("go on")
        assert [client.response().body for _ in range(2)] == [b"/slow", b"/fast"]


def test_head_and_interim_in_a_pipeline_keep_the_order(web):
    def handler(conn, head):
        if head.target == b"/hints":
            conn.send(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n")
        conn.reply(204 if head.target == b"/none" else 200, head.target)

    with web.serve(handler).client() as client:
        client.request(web.endpoint, "/h", "HEAD").request(web.endpoint, "/none").request(web.endpoint, "/hints").request(web.endpoint, "/last")
        assert client.response("HEAD").status == 200
        assert client.response().status == 204
        message = client.response()
        assert (message.body, len(message.interim)) == (b"/hints", 1)
        assert client.response().body == b"/last"


def test_a_request_that_arrives_byte_by_byte(web):
    data = b"POST /slow HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: ENDPOINT\r\nTransfer-Encoding: chunked\r\n\r\n".replace(b"ENDPOINT", web.endpoint.encode())
    with web.serve(echo).client() as client:
        for byte in dressed(data) + http1.chunked(b"abc", b"defg"):
            client.send(bytes([byte]))
        assert client.response().body == b"abcdefg"


def test_a_response_that_is_written_byte_by_byte(web):
    def handler(conn, head):
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + http1.chunked(b"abc", b"defg"):
            conn.send(bytes([byte]))

    assert web.serve(handler).fetch().body == b"abcdefg"


def test_connection_close_is_obeyed_and_said(web):
    with web.client() as client:
        message = client.request(web.endpoint, headers=[("Connection", "close")]).response()
        assert message.body == b"hello" and message.get("connection").lower() == b"close"
        assert client.ends() == "end"


def test_empty_lines_before_a_request_are_skipped(web):
    with web.raw(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: ENDPOINT\r\n\r\n") as client:
        assert client.response().body == b"hello"


def test_a_service_that_closes_after_each_answer_is_no_matter(web):
    with web.serve(reply(headers=[("Connection", "close")])).client() as client:
        for _ in range(5):
            message = client.request(web.endpoint).response()
            assert message.status == 200


def test_an_idle_service_connection_that_died_is_replaced(web):
    with web.client() as client:
        for _ in range(10):
            assert client.request(web.endpoint).response().body == b"hello"
            web.service.drop()


def test_an_agent_reuses_its_connections_to_the_service(http):
    with http.client() as client:
        client.request("web").response()
        before = http.service.count
        for _ in range(20):
            client.request("web").response()
    assert http.service.count - before <= 1


def test_an_early_answer_reaches_a_client_that_still_sends(web):
    def handler(conn, head):
        conn.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        try:
            conn.read_body(head)  # drains, as a careful service does
        except (Ended, OSError):
            pass
        conn.close()

    with web.serve(handler).client() as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Content-Length", "100000")]))
        client.send(b"x" * 1000)
        message = client.response()
        assert (message.status, message.body) == (413, b"big")


def test_an_early_answer_does_not_cut_the_upload(web):
    total = 2 << 20

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
        body = conn.read_body(head).body
        conn.send(b"%x\r\n%d\r\n0\r\n\r\n" % (len(b"%d" % len(body)), len(body)))

    with web.serve(handler).client() as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Content-Length", str(total))]))
        client.head()
        assert http1.read_chunk(client.wire) == b"early"
        client.send(b"x" * total)
        assert http1.read_chunk(client.wire) == b"%d" % total
        assert http1.read_chunk(client.wire) == b""


def test_an_early_answer_of_a_service_that_leaves_is_not_lost(web):
    def handler(conn, head):
        conn.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        conn.shut()
        conn.read_to_end()

    with web.serve(handler).client() as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Transfer-Encoding", "chunked")]))
        message = client.response()
        assert (message.status, message.body) == (403, b"no")


def test_bodies_in_both_directions_at_once(web):
    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while data := http1.read_chunk(conn):
            conn.send(b"%x\r\n%s\r\n" % (len(data), data.upper()))
        http1.read_trailers(conn)
        conn.send(b"0\r\n\r\n")

    with web.serve(handler).client() as client:
        client.send(http1.head_bytes("POST / HTTP/1.1", [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Transfer-Encoding", "chunked")]))
        client.send(b"3\r\nabc\r\n")
        client.head()
        for word in (b"abc", b"def", b"ghi"):
            assert http1.read_chunk(client.wire) == word.upper()
            client.send(b"0\r\n\r\n" if word == b"ghi" else b"3\r\ndef\r\n" if word == b"abc" else b"3\r\nghi\r\n")
        assert http1.read_chunk(client.wire) == b""


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stage", ["before the head", "in the body", "in the upload"])
def test_a_client_that_leaves_closes_the_service_connection_within_a_second(web, stage, how):
    started, ended = threading.Event(), []

    def handler(conn, head):
        if stage == "in the body":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome")
        started.set()
        try:
            conn.read_to_end()
        finally:
            ended.append(time.monotonic())
            conn.service.requests.put("ended")
            conn.close()

    client = web.serve(handler).client()
    client.request(web.endpoint)
    if stage == "in the upload":
        assert started.wait(10)
        client.close()
        web.service.request()
        started.clear(), ended.clear()
        client = web.client()
        client.send(http1.head_bytes("POST / HTTP/1.1", [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Content-Length", "100")]) + b"part")
    assert started.wait(10)
    if stage == "in the body":
        client.head()
        client.wire.read_until(b"some")
    left = time.monotonic()
    client.close() if how == "close" else client.wire.reset()
    web.service.request()
    assert ended[0] - left < 1.0


def test_one_client_that_leaves_does_not_disturb_another(web):
    gate = threading.Event()

    def handler(conn, head):
        if head.target == b"/held":
            gate.wait(10)
        conn.reply(200, head.target)

    web.serve(handler)
    with web.client() as stays:
        stays.request(web.endpoint, "/held")
        for _ in range(20):
            leaver = web.client().request(web.endpoint, "/held")
            leaver.wire.reset()
        gate.set()
        assert stays.response().body == b"/held"
