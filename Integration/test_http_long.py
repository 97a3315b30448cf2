# SPDX-License-Identifier: MIT
# What lasts: event streams, slow uploads, bodies larger than memory should hold.
# Each long test has a short sibling.

import hashlib
import os
import threading
import time

import pytest

from harness.usage import rss
from peer import http1
from peer.client import Client
from peer.wire import Ended

MEBI = 1 << 20
BLOCK = os.urandom(MEBI)


def events(web, seconds, gap):
    """Server-sent events, one each `gap` seconds; every one must come within half a second of its sending."""
    count = int(seconds / gap)
    sent = []

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(count):
            time.sleep(gap)  # the pace of the events is what is tested
            event = b"id: %d\ndata: x\n\n" % number
            sent.append(time.monotonic())
            conn.send(b"%x\r\n%s\r\n" % (len(event), event))
        conn.send(b"0\r\n\r\n")

    web.serve(handler)
    with web.client(timeout=gap + 10) as client:
        head = client.request(web.endpoint, "/events", headers=[("Accept", "text/event-stream")]).head()
        assert head.get("content-type") == b"text/event-stream"
        for number in range(count):
            assert http1.read_chunk(client.wire) == b"id: %d\ndata: x\n\n" % number
            assert time.monotonic() - sent[number] < 0.5
        assert http1.read_chunk(client.wire) == b""


def test_server_sent_events_flow(web):
    events(web, 1.0, 0.1)


@pytest.mark.long
@pytest.mark.timeout(150)
def test_server_sent_events_flow_for_90_seconds_with_default_settings(web):
    events(web, 95, 19)


def slow_upload(web, seconds, gap):
    count = int(seconds / gap)

    def handler(conn, head):
        conn.reply(200, conn.read_body(head).body)

    web.serve(handler)
    with web.client(timeout=30) as client:
        client.send(http1.head_bytes("PUT /slow HTTP/1.1", [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Content-Length", str(count))]))
        for _ in range(count):
            time.sleep(gap)  # a slow client is what is tested
            client.send(b"x")
        assert client.response().body == b"x" * count


def test_a_slow_upload_arrives(web):
    slow_upload(web, 2, 0.2)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_an_upload_of_60_seconds_arrives_with_default_settings(web):
    slow_upload(web, 63, 7)


def peaks(web, done, gap=0.02):
    """The largest resident size of server and agent until `done`, as growth over now."""
    pids = {"server": web.node.pid, "agent": web.agent.pid}
    before = {name: rss(pid) for name, pid in pids.items()}
    growth = dict.fromkeys(pids, 0)
    while not done.wait(gap):
        for name, pid in pids.items():
            growth[name] = max(growth[name], rss(pid) - before[name])
    return growth


def flat(web, transfer, limit=24 * MEBI):
    """The bound is a stream's largest window, 16 MiB on a way that seems long, and some buffers."""
    transfer(4)  # pools and windows have their size
    done, failures = threading.Event(), []

    def run(size):
        try:
            transfer(size)
        except Exception as error:
            failures.append(error)
        finally:
            done.set()

    def measure(size):
        threading.Thread(target=run, args=(size,), daemon=True).start()
        growth = peaks(web, done)
        assert not failures, failures
        assert max(growth.values()) < limit, growth

    return measure


def download(web):
    def handler(conn, head):
        size = int(head.target[1:])
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size * MEBI))
        for _ in range(size):
            conn.send(BLOCK)

    def transfer(size):
        with web.client(timeout=60) as client:
            client.request(web.endpoint, f"/{size}").head()
            digest, left = hashlib.blake2b(), size * MEBI
            while left:
                data = client.wire.read_some()
                assert data, "the download ended early"
                digest.update(data)
                left -= len(data)
            assert digest.digest() == expected(size)

    web.serve(handler)
    return transfer


def upload(web):
    def handler(conn, head):
        digest, left = hashlib.blake2b(), int(head.get("content-length"))
        conn.keep = False
        while left:
            data = conn.read_some()
            if not data:
                raise Ended(b"", conn.how)
            digest.update(data)
            left -= len(data)
        conn.reply(200, digest.hexdigest().encode())

    def transfer(size):
        with web.client(timeout=60) as client:
            client.send(http1.head_bytes("PUT / HTTP/1.1", [("Host", "a.b"), ("X-Piko-Endpoint", web.endpoint), ("Content-Length", str(size * MEBI))]))
            for _ in range(size):
                client.send(BLOCK)
            assert client.response().body == expected(size).hex().encode()

    web.serve(handler)
    return transfer


def expected(size):
    digest = hashlib.blake2b()
    for _ in range(size):
        digest.update(BLOCK)
    return digest.digest()


@pytest.mark.alone
@pytest.mark.parametrize("direction", [download, upload])
def test_a_large_body_passes_with_flat_memory(web, direction):
    flat(web, direction(web))(192)


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("direction", [download, upload])
def test_two_gibibytes_pass_with_flat_memory(web, direction):
    flat(web, direction(web))(2048)


@pytest.mark.alone
def test_a_slow_reader_slows_its_service_and_costs_no_memory(web):
    """Back-pressure reaches the service: it cannot write much more than the client has read."""
    written = []

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MEBI))
        for _ in range(64):
            conn.send(BLOCK)
            written.append(MEBI)

    web.serve(handler)
    before = rss(web.node.pid), rss(web.agent.pid)
    with Client(web.proxy, 30) as client:
        client.request(web.endpoint).head()
        size = -1
        while size != len(written):  # until it stands still
            size = len(written)
            time.sleep(0.3)
        assert size < 40
        assert rss(web.node.pid) - before[0] < 8 * MEBI and rss(web.agent.pid) - before[1] < 8 * MEBI
        left = 64 * MEBI
        while left:
            left -= len(client.wire.read_some())
    assert len(written) == 64
