# SPDX-License-Identifier: MIT
# What of a head reaches the other side: everything byte for byte, but for the fields that protocol.md and design.md name.
# Also how the endpoint of a request is chosen, and the answers that are the node's own.

import json

import pytest

from harness.ports import free_port
from harness.tokens import bearer
from peer import http1
from peer.client import fetch
from peer.service import reply, script

ADDED = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-piko-forward"}
# Hop by hop: each hop writes its own.
OWN = {b"connection"}


def sent_and_seen(web, fields, target="/"):
    """The fields that the service saw, but for those that are added."""
    with web.client() as client:
        client.send(http1.head_bytes(f"GET {target} HTTP/1.1", fields))
        client.response()
    head = web.service.request().head
    return head, [(name, value) for name, value in head.fields if name.lower() not in ADDED | OWN]


def pairs(fields):
    return [(http1.encode(name), http1.encode(value)) for name, value in fields]


@pytest.mark.parametrize("target", [
    "/", "/?", "/?a=b&a=c", "//", "//a//b/", "/a/../b/./c", "/%2e%2e/%2F/%zz/%", "/a;b=c,d/(e)!*'$&+=:@", "/?q=%20+%26", "/a#b", "/?[]{}|^`", "/?\"<>\\",
    "/" + "long/" * 1500, "/~user/-_.html",
])
def test_the_target_arrives_as_sent(web, target):
    if set('#"<>\\{}|^`[]') & set(target):  # not in a target by RFC 3986: refused or passed on, never changed
        with web.client() as client:
            client.request(web.endpoint, target)
            if client.response().status == 400:
                return
    else:
        assert web.fetch(target).status == 200
    assert web.service.request().head.target == target.encode()


def test_options_star_arrives(web):
    assert web.fetch("*", "OPTIONS").status == 200
    assert web.service.request().head.start == b"OPTIONS * HTTP/1.1"


def test_fields_arrive_in_their_order_and_spelling(web):
    fields = [("hOsT", "Some.Host.Example:8080"), ("X-Piko-Endpoint", web.endpoint), ("aCCept", "*/*;q=0.5, a/b"), ("X-Twice", "1"),
              ("x-other", "a  b\tc"), ("X-Twice", "2"), ("Empty", ""), ("Cookie", "a=b; c=\"d\""), ("!#$%&'*+-.^_`|~1", "odd name"),
              ("X-Bytes", b"caf\xc3\xa9 \xff\x80"), ("X-Long", "v" * 8000), ("If-None-Match", 'W/"x", "y"'), ("Range", "bytes=0-1")]
    _, seen = sent_and_seen(web, fields)
    assert seen == pairs(fields)


def test_no_field_is_invented(web):
    fields = [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint)]
    head, seen = sent_and_seen(web, fields)
    assert seen == pairs(fields)
    for name in ("accept-encoding", "user-agent", "accept", "te", "via", "content-length", "transfer-encoding"):
        assert head.get(name) is None


@pytest.mark.parametrize("encoding", ["gzip", "br, gzip;q=0.5", "identity", ""])
def test_accept_encoding_and_a_compressed_body_are_left_alone(web, encoding):
    data = b"\x1f\x8b\x08\x00 not really gzip \x00\xff"
    web.serve(reply(body=data, headers=[("Content-Encoding", "gzip")]))
    message = web.fetch(headers=[("Accept-Encoding", encoding)])
    assert message.body == data and message.get("content-encoding") == b"gzip" and message.get("content-length") == str(len(data)).encode()
    assert web.service.request().get("accept-encoding") == encoding.encode()


def test_forwarded_fields_are_added(web, armour):
    with web.client() as client:
        client.request(web.endpoint, host="app.example.com:1234").response()
    head = web.service.request().head
    assert head.get("x-forwarded-for") == b"127.0.0.1"
    assert head.get("x-forwarded-proto") == (b"https" if armour else b"http")
    assert head.get("x-forwarded-host") == b"app.example.com:1234"
    assert head.get("host") == b"app.example.com:1234"
    assert head.get("x-piko-forward") == b"true"


@pytest.mark.parametrize("before", [["1.2.3.4"], ["1.2.3.4, 5.6.7.8"], ["1.2.3.4", "5.6.7.8"]])
def test_the_client_is_appended_to_forwarded_for(web, before):
    web.fetch(headers=[("X-Forwarded-For", value) for value in before])
    values = b", ".join(web.service.request().head.all("x-forwarded-for"))
    assert [part.strip() for part in values.split(b",")] == [part.strip().encode() for value in before for part in value.split(",")] + [b"127.0.0.1"]


@pytest.mark.parametrize("value", ["true", "TRUE", "false", "", "x"])
def test_a_clients_own_forward_field_is_dropped(web, value):
    assert web.fetch(headers=[("x-piko-forward", value)], source="127.0.0.3").status == 200
    assert web.service.request().head.all("x-piko-forward") == [b"true"]


def test_the_tokens_field_stays_here(web):
    tokens = web.tunnel.piko.tokens  # where there are, each request has one already
    secret = tokens.token if tokens else "secret"
    web.fetch(headers=[*([] if tokens else [bearer(secret, "X-Piko-Authorization")]), ("Authorization", "Basic dTpw")])
    head = web.service.request().head
    assert head.get("x-piko-authorization") is None and secret.encode() not in head.raw
    assert head.get("authorization") == b"Basic dTpw"


HOP = [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "gzip"), ("X-Named", "1"), ("Upgrade", "h2c")]


def test_hop_by_hop_fields_of_a_request_are_removed(web):
    web.fetch(headers=[("Connection", "X-Named , keep-alive"), *HOP])
    head = web.service.request().head
    for name, _ in HOP:
        assert head.get(name) is None, head.raw
    assert b"x-named" not in (head.get("connection") or b"").lower()


def test_hop_by_hop_fields_of_a_response_are_removed(web):
    web.serve(reply(headers=[("Connection", "X-Named"), ("X-Named", "1"), ("Keep-Alive", "timeout=9"), ("X-Stays", "2")]))
    message = web.fetch()
    assert message.get("x-named") is None and message.get("keep-alive") is None and message.get("x-stays") == b"2"


def test_a_connection_field_cannot_remove_what_matters(web):
    with web.client() as client:
        client.request(web.endpoint, method="POST", headers=[("Connection", "Host, Content-Length, X-Forwarded-For, X-Piko-Forward")], body=b"body").response()
    request = web.service.request()
    assert request.body == b"body" and request.get("host") and request.get("x-forwarded-for") and request.get("x-piko-forward")


def test_fields_of_a_response_arrive_in_their_order_and_spelling(web):
    fields = [("sErVer", "odd/1"), ("Set-Cookie", "a=1"), ("X-One", "1  2"), ("Set-Cookie", "b=2; Path=/"), ("Date", "whenever"), ("Empty", ""),
              ("X-Bytes", b"caf\xc3\xa9 \xff"), ("content-LENGTH", "2"), ("Location", "//a/../%zz"), ("X-Long", "v" * 8000)]
    web.serve(script(http1.head_bytes("HTTP/1.1 200 Fine", fields) + b"ok"))
    message = web.fetch()
    assert [(n, v) for n, v in message.head.fields if n.lower() not in OWN] == pairs(fields)


def test_no_field_is_invented_in_a_response(web):
    web.serve(script(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", close=False))
    assert [n.lower() for n, _ in web.fetch().head.fields if n.lower() not in OWN] == [b"content-length"]


@pytest.mark.parametrize("host", ["ENDPOINT.example.com", "ENDPOINT.example.com:8000", "ENDPOINT.a", "UPPER.Example.Com"])
def test_the_host_chooses_where_no_field_does(web, host):
    host = host.replace("ENDPOINT", web.endpoint).replace("UPPER", web.endpoint.upper())
    with web.client() as client:
        client.send(b"GET /h HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
        assert client.response().status == 200
    assert web.service.request().get("host") == host.encode()


def test_the_field_wins_over_the_host_unless_it_is_empty(web):
    assert web.fetch(headers=[]).status == 200
    with web.client() as client:
        client.send(f"GET / HTTP/1.1\r\nHost: other.x\r\nx-PIKO-endpoint: {web.endpoint}\r\n\r\n".encode())
        assert client.response().status == 200
        client.send(f"GET / HTTP/1.1\r\nHost: {web.endpoint}.x\r\nx-piko-endpoint:\r\n\r\n".encode())
        assert client.response().status == 200


def own_answer(message, status, error):
    assert message.status == status and json.loads(message.body) == {"error": error}, (message.head.raw, message.body)
    assert message.get("content-type") == b"application/json" and message.get("x-content-type-options") == b"nosniff"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8000", "10.1.2.3"])
def test_a_host_that_names_no_endpoint_is_400(http, host):
    with http.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
        own_answer(client.response(), 400, "missing endpoint id")
    assert http.service.requests.empty()


def test_an_endpoint_without_an_agent_is_502(http):
    with http.client() as client:
        own_answer(client.request("nobody").response(), 502, "no available upstreams")
        assert client.request("web").response().status == 200  # the connection goes on


def test_a_service_that_refuses_connections_is_502(piko):
    node = piko.server()
    for kind in ("http", "tcp"):
        piko.agent(kind, node, kind, f"127.0.0.1:{free_port()}")
        own_answer(fetch(node.proxy, kind), 502, "upstream unreachable")
        assert fetch(node.proxy, kind, "/", "HEAD").status == 502


def test_reserved_paths_do_not_reach_the_service(http):
    for path in ("/_piko", "/_piko/", "/_piko/v1/tcp/web", "/_piko/v1/other"):
        assert http.fetch(path).status in (400, 404, 426)
    assert http.fetch("/_pikoo").status == 200
    assert http.service.request().head.target == b"/_pikoo"
