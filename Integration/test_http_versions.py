# SPDX-License-Identifier: MIT
# HTTP/1.0 clients and HTTP/1.0 services.
# Real processes on loopback; the client and the service are the test's own, so that each byte can be chosen.

import pytest

from peer import http1
from peer.service import echo, reply, script


def ask_old(web, fields=b"", body=b"", line=b"GET /old HTTP/1.0\r\n"):
    return web.raw(line + b"X-Piko-Endpoint: ENDPOINT\r\n" + fields + b"\r\n" + body)


def test_an_old_client_without_a_host_is_served_and_closed(web):
    with ask_old(web) as client:
        assert client.response().body == b"hello"
        assert client.ends() == "end"
    head = web.service.request().head
    assert head.target == b"/old"


def test_an_old_client_never_gets_chunks(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + http1.chunked(b"one", b"two", trailers=[("T", "v")])))
    with ask_old(web) as client:
        message = client.response()
        assert message.get("transfer-encoding") is None and message.body == b"onetwo"
        assert client.ends() == "end"


def test_an_old_client_never_gets_interim_responses(web):
    web.serve(script(b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    with ask_old(web) as client:
        message = client.response()
        assert (message.interim, message.body) == ([], b"ok")


def test_an_old_client_may_ask_to_keep_the_connection(web):
    with ask_old(web, b"Connection: keep-alive\r\n") as client:
        message = client.response()
        assert message.body == b"hello"
        if (message.get("connection") or b"").lower() == b"keep-alive":
            client.send(b"GET /again HTTP/1.0\r\nX-Piko-Endpoint: %s\r\n\r\n" % web.endpoint.encode())
            assert client.response().body == b"hello"
        assert client.ends() == "end"


def test_an_old_client_sends_a_body(web):
    with ask_old(web.serve(echo), b"Content-Length: 4\r\n", b"body", b"POST / HTTP/1.0\r\n") as client:
        assert client.response().body == b"body"


def test_an_old_client_sees_a_truncated_response_as_reset_or_short(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"))
    with ask_old(web) as client:
        client.wire.read_to_end()
        assert client.wire.how == "reset"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold",
    b"HTTP/1.0 200 OK\r\n\r\nold",
    b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nold",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold",
    b"HTTP/1.0 200\r\nContent-Length: 3\r\n\r\nold",
], ids=["length", "until-close", "says-close", "keep-alive", "no-reason"])
def test_an_old_service_is_served_to_a_new_client(web, answer):
    web.serve(script(answer, close=b"keep-alive" not in answer))
    with web.client() as client:
        message = client.request(web.endpoint).response()
        assert message.body == b"old" and message.head.start.startswith(b"HTTP/1.1 200")
    with web.client() as client:
        client.request(web.endpoint, method="HEAD")
        assert client.response("HEAD").status == 200


def test_an_old_services_answers_do_not_end_the_clients_connection(web):
    web.serve(script(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"))
    with web.client() as client:
        for _ in range(3):
            assert client.request(web.endpoint).response().body == b"old"


def test_an_old_service_that_keeps_silent_about_it_is_not_reused(http):
    http.serve(script(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", close=False))
    before = http.service.count
    for _ in range(3):
        assert http.fetch().body == b"old"
    assert http.service.count - before >= 2


def test_a_service_sees_http_1_1_from_a_new_client(web):
    web.serve(reply()).fetch()
    assert web.service.request().head.start.endswith(b"HTTP/1.1")


def test_old_and_new_requests_alternate_on_one_agent(web):
    web.serve(echo)
    for i in range(6):
        with web.client() as client:
            client.request(web.endpoint, method="POST", body=b"%d" % i, version="1.0" if i % 2 else "1.1")
            assert client.response().body == b"%d" % i
