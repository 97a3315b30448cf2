# SPDX-License-Identifier: MIT
# Clients that stop reading: what each costs the server and the agent, and that requests beside them do not slow down.
# Real processes on loopback; runs alone, since it measures memory and time.

import socket
import threading
import time

import pytest

from harness.usage import rss
from peer.client import Client
from peer.wire import address

MEBI = 1 << 20
BLOCK = b"d" * MEBI

pytestmark = pytest.mark.alone


def endless(conn, head):
    if head.target != b"/large":
        return conn.reply()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 << 30))
    while True:
        conn.send(BLOCK)


def stopped(web):
    """A client that asks for 2 GiB and reads nothing, with a small receive buffer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.connect(address(web.proxy))
    sock.sendall(f"GET /large HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: {web.endpoint}\r\n\r\n".encode())
    return sock


def still(measure, gap=0.5, rounds=40):
    """The value once it stands still."""
    last = None
    for _ in range(rounds):
        value = measure()
        if last is not None and abs(value - last) <= 256 * 1024:
            return value
        last = value
        time.sleep(gap)
    return last


def p99(web, count=1500):
    times = []
    with Client(web.proxy) as client:
        for _ in range(count):
            start = time.perf_counter()
            client.request(web.endpoint, "/small").response()
            times.append(time.perf_counter() - start)
    return sorted(times)[int(count * 0.99)]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.long)])
def test_clients_that_stop_reading_cost_a_mebibyte_each_and_slow_nobody(web, count):
    web.serve(endless)
    calm = min(p99(web) for _ in range(2))
    before = {"server": rss(web.node.pid), "agent": rss(web.agent.pid)}
    socks = [stopped(web) for _ in range(count)]
    try:
        server, agent = still(lambda: rss(web.node.pid)), still(lambda: rss(web.agent.pid))
        beside = min(p99(web) for _ in range(5))
        assert server - before["server"] <= count * MEBI, (server - before["server"]) / count
        assert agent - before["agent"] <= count * MEBI, (agent - before["agent"]) / count
    finally:
        for sock in socks:
            sock.close()
    assert web.fetch("/small").status == 200
    after = min(p99(web) for _ in range(2))  # a machine that got busier meanwhile is not the tunnel's matter
    assert beside <= 2 * max(calm, after) + 0.001, (calm, beside, after)


def test_uploads_to_a_service_that_stops_reading_cost_little(web):
    gate = threading.Event()

    def handler(conn, head):
        if head.method == b"PUT":
            gate.wait(30)
            return conn.close()
        conn.reply()

    web.serve(handler)
    before = {"server": rss(web.node.pid), "agent": rss(web.agent.pid)}
    count, socks = 20, []
    try:
        for _ in range(count):
            client = web.client(1)
            client.send(f"PUT / HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: {web.endpoint}\r\nContent-Length: {2 << 30}\r\n\r\n".encode())
            client.wire.settimeout(0.2)
            try:
                for _ in range(64):
                    client.send(BLOCK)
            except TimeoutError:
                pass
            socks.append(client)
        assert still(lambda: rss(web.node.pid)) - before["server"] <= count * MEBI
        assert still(lambda: rss(web.agent.pid)) - before["agent"] <= count * MEBI
        assert web.fetch("/small").status == 200
    finally:
        gate.set()
        for client in socks:
            client.close()


def test_one_that_reads_slowly_gets_everything(web):
    size = 4 * MEBI

    def handler(conn, head):
        conn.reply(200, b"s" * size)

    web.serve(handler)
    with web.client(30) as client:
        client.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.request(web.endpoint).head()
        got = len(client.wire.buffer)
        client.wire.buffer.clear()
        while got < size:
            data = client.wire.sock.recv(4096 if got % 5 else 50_000)
            assert data
            got += len(data)
        assert got == size
