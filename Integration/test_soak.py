# SPDX-License-Identifier: MIT
# Mixed traffic for a long time: nothing fails, memory and descriptors stay flat. PIKO_SOAK_SECONDS, 1200 by default,
# sets how long; the short sibling runs for some seconds.

import os
import random
import threading
import time

import pytest

from harness.usage import descriptors, eventually, rss
from peer.client import Client, fetch
from peer.service import Service
from peer.wire import Wire, connect

MEBI = 1 << 20
pytestmark = pytest.mark.alone


def handler(conn, head):
    if head.get("upgrade"):
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := conn.read_some():
            conn.send(data)
        return conn.close()
    message = conn.read_body(head)
    if head.target == b"/chunks":
        return conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"c" * 1024 + b"\r\n" + b"0\r\n\r\n")
    if head.target == b"/close":
        conn.reply(200, b"bye", [("Connection", "close")])
        return conn.close()
    conn.reply(200, message.body or b"hello")


class Mix:
    """Every kind of traffic, each with a check of what comes back."""

    def __init__(self, node, forward):
        self.node = node
        self.forward = forward
        self.stop = threading.Event()
        self.done = 0
        self.longest = 0.0
        self.began = time.monotonic()
        self.failures = []

    def small(self, rng):
        with Client(self.node.proxy) as client:
            for _ in range(rng.randrange(1, 30)):
                assert client.request(rng.choice(["web", "raw"])).response().body == b"hello"

    def bodies(self, rng):
        body = os.urandom(rng.choice([10, 5000, 300_000]))
        assert fetch(self.node.proxy, rng.choice(["web", "raw"]), "/", "POST", body=rng.choice([body, [body[:7], body[7:]]])).body == body

    def chunks(self, rng):
        assert fetch(self.node.proxy, "web", "/chunks").body == b"c" * 1024

    def closes(self, rng):
        assert fetch(self.node.proxy, rng.choice(["web", "raw"]), "/close").body == b"bye"

    def bad(self, rng):
        with Client(self.node.proxy) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert client.response().status == 400

    def leaves(self, rng):
        client = Client(self.node.proxy)
        client.request("web", "/", "POST", headers=[("Content-Length", "100000")])
        rng.choice([client.close, client.wire.reset])()

    def upgrade(self, rng):
        with Client(self.node.proxy) as client:
            client.request(rng.choice(["web", "raw"]), headers=[("Connection", "upgrade"), ("Upgrade", "echo")])
            assert client.head().status == 101
            client.send(b"words")
            assert client.wire.read_exact(5) == b"words"

    def tunnel(self, rng):
        with Wire(connect(self.forward.addr)) as wire:
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            assert wire.read_until(b"hello").startswith(b"HTTP/1.1 200")
            rng.choice([wire.shut, wire.reset])()

    def nobody(self, rng):
        assert fetch(self.node.proxy, "nobody").status == 502

    def run(self, seed):
        rng = random.Random(seed)
        kinds = [self.small, self.small, self.bodies, self.chunks, self.closes, self.bad, self.leaves, self.upgrade, self.tunnel, self.nobody]
        while not self.stop.is_set():
            kind = rng.choice(kinds)
            began = time.monotonic()
            try:
                kind(rng)
                self.done += 1
            except Exception as error:
                self.failures.append((kind.__name__, repr(error), round(began - self.began, 1)))
            self.longest = max(self.longest, time.monotonic() - began)


def soak(piko, seconds):
    with Service(handler, record=False) as service:
        node = piko.server("--proxy.access-log.disable")
        agents = [piko.agent("http", node, "web", service.addr, "--access-log.disable"), piko.agent("tcp", node, "raw", service.addr)]
        forward = piko.forward(node, "raw")
        processes = [node, *agents, forward]
        mix = Mix(node, forward)
        threads = [threading.Thread(target=mix.run, args=(seed,), daemon=True) for seed in range(8)]
        [thread.start() for thread in threads]
        time.sleep(seconds / 4)  # pools and windows have their size after this
        sizes = [rss(process.pid) for process in processes]
        time.sleep(seconds * 3 / 4)
        mix.stop.set()
        [thread.join(20) for thread in threads]
        assert not mix.failures, (len(mix.failures), mix.done, mix.failures[:5])
        grown = [rss(process.pid) - size for process, size in zip(processes, sizes)]
        assert max(grown) < 4 * MEBI, grown
        service.drop()
        eventually(lambda: all(descriptors(process.pid) < 60 for process in processes), what="descriptors given back")
        print(f"soak: {mix.done} rounds in {seconds} s, the longest {mix.longest:.2f} s, grown by {[g // 1024 for g in grown]} KiB")


def test_mixed_traffic_for_some_seconds(piko):
    soak(piko, 8)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_mixed_traffic_for_twenty_minutes(piko):
    soak(piko, int(os.environ.get("PIKO_SOAK_SECONDS", "1200")))
