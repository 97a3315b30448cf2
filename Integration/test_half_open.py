# SPDX-License-Identifier: MIT
# Peers that vanish without a word, as when a network is cut: clients in every state, agents with requests under way; and TCP handshakes that stay half
# open. Others are served as fast as before, memory is bounded, and what was held is let go in time. Runs alone, since it measures memory and time.

import asyncio
import contextlib
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from cluster.place import Namespaces, run
from harness.attacked import KIBI, MEBI, Scene
from harness.process import PikoProcess
from harness.real import Nginx
from harness.usage import descriptors, eventually
from peer.client import Client, fetch
from peer.websocket import WebSocket

pytestmark = [pytest.mark.alone, pytest.mark.namespaces]

HALF = 64 * KIBI  # of an answer
LARGE = 4 * MEBI


class Late:
    """Answers when the gate opens; at /half, one half of it before that; at /large, with much. One thread, however many ask."""

    def __init__(self, host):
        self.asked = 0
        self.loop = asyncio.new_event_loop()
        self.gate = asyncio.Event()
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, host, 0, backlog=1024))
        self.addr = f"{host}:{server.sockets[0].getsockname()[1]}"
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            size = LARGE if b"/large" in head else 2 * HALF
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"l" * size
            early = answer[:HALF] if b"/half" in head else b""
            writer.write(early)
            self.asked += 1
            await self.gate.wait()
            writer.write(answer[len(early):])
            await reader.read()
        writer.close()

    def open(self):
        self.loop.call_soon_threadsafe(self.gate.set)

    async def cancel(self):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.cancel())
        self.loop.close()


@pytest.fixture
def place():
    place = Namespaces(1)
    try:
        yield place
    finally:
        place.close()


@pytest.fixture
def nginx(place, tmp_path):
    nginx = Nginx(tmp_path)
    try:
        yield nginx
    finally:
        nginx.kill()


@pytest.fixture
def late(place):
    with contextlib.closing(Late(place.HUB)) as late:
        yield late


def idle(addr):
    client = Client(addr)
    assert client.request("web", "/echo").response().status == 200
    return client


def uploading(addr):
    client = Client(addr)
    client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nX-Piko-Endpoint: web\r\nContent-Length: 8192\r\n\r\n" + b"u" * 4096)
    return client


def downloading(addr):
    client = Client(addr)
    assert client.request("late", "/half").head().status == 200
    return client


def waiting(addr):
    return Client(addr).request("late", "/whole")


def tunnelled(addr):
    socket = WebSocket.dial(addr, "/_piko/v1/tcp/raw")
    socket.send(b"GET /whole HTTP/1.1\r\n\r\n")
    return socket


# Into the first two nothing is sent after the cut: only probes can tell, or a limit of time.
STATES = [idle, uploading, downloading, waiting, tunnelled]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count, retries, flags, seconds", [
    # The system gives up sooner here than it does by default; and so does the node on what is idle.
    pytest.param(400, 5, ["--proxy.http.idle-timeout", "12s"], 60, id="400"),
    pytest.param(5000, 15, [], 180, id="5000", marks=pytest.mark.long),
])
def test_clients_that_vanish_slow_nobody_cost_little_and_are_let_go(place, piko, nginx, late, count, retries, flags, seconds):
    pathlib.Path("/proc/sys/net/ipv4/tcp_retries2").write_text(str(retries))  # of the test's own network
    scene = Scene(piko, nginx, "--proxy.timeout", "300s", *flags, host=place.HUB)
    scene.rest(*(piko.agent(kind, scene.node, name, late.addr, "--access-log.disable", *more)
                 for kind, name, *more in [("http", "late", "--timeout", "300s"), ("tcp", "raw")]))
    with Client(scene.node.proxy, 30) as slow, contextlib.ExitStack() as held:
        slow.request("late", "/large")
        for client in place.within(0, lambda: [STATES[number % len(STATES)](scene.node.proxy) for number in range(count)]):
            held.callback(client.close)
        eventually(lambda: late.asked == count * 3 // 5 + 1 and scene.open - scene.idle >= count, 30, "the connections")
        place.vanish(0)
        began = time.monotonic()
        late.open()
        scene.check(count, 128 * KIBI)
        scene.after(seconds)
        took = time.monotonic() - began
        print(f"all gone after {took:.0f} s")
        assert took < seconds
        # Who reads nothing, but answers, is still there.
        assert len(slow.response().body) == LARGE


def closed_windows(port):
    """Connections at this port whose peers take nothing, and are asked now and then."""
    command = ["ss", "-tnoH", "state", "established", f"sport = :{port}"]
    return subprocess.run(command, check=True, capture_output=True, timeout=20, text=True).stdout.count("timer:(persist")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("retries, seconds", [pytest.param(2, 45, id="few"), pytest.param(15, 200, id="default", marks=pytest.mark.long)])
def test_clients_that_vanish_behind_closed_windows_are_let_go(place, piko, late, retries, seconds):
    pathlib.Path("/proc/sys/net/ipv4/tcp_retries2").write_text(str(retries))
    node = piko.server(host=place.HUB)
    piko.agent("http", node, "late", late.addr)
    late.open()
    before = descriptors(node.pid)
    with contextlib.ExitStack() as held:
        for client in place.within(0, lambda: [Client(node.proxy).request("late", "/large") for _ in range(20)]):
            held.callback(client.close)
        eventually(lambda: closed_windows(node.proxy.split(":")[1]) == 20, 20, "clients that take nothing")
        place.vanish(0)
        began = time.monotonic()
        # Each was asked ever more rarely before, and is asked a few times more, at most 10 s apart. A loop keeps a descriptor or two to move connections.
        eventually(lambda: descriptors(node.pid) <= before + 5, seconds, "the connections' end")
        print(f"all gone after {time.monotonic() - began:.0f} s")


LISTENERS = 200
HEAD = "connect: { url: %s, tunnels: 1 }\nlisteners:\n"
LINE = '  - { endpoint_id: "e%d", addr: "%s", timeout: 60s, access_log: { disable: true } }\n'


@pytest.mark.timeout(300)
def test_agents_that_vanish_are_noticed_by_their_node_and_by_nobody_else(place, piko, nginx, late, tmp_path):
    scene = Scene(piko, nginx, host=place.HUB)
    config = tmp_path / "many.yaml"
    config.write_text(HEAD % scene.node.upstream_url + "".join(LINE % (number, late.addr) for number in range(LISTENERS)))
    piko.start(PikoProcess, "vanishing", piko.looped("agent", "start", "--config.path", config, *piko.dialling), prefix=place.prefix(0))
    tunnels = lambda: scene.node.metric("piko_upstreams_connected_upstreams")
    eventually(lambda: tunnels() == LISTENERS + 1, 30, "the tunnels")
    scene.rest()
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(Client(scene.node.proxy, 30)) for _ in range(LISTENERS)]
        for number, client in enumerate(clients):
            client.request(f"e{number}", "/whole")
        eventually(lambda: late.asked == LISTENERS, 20, "the requests")
        place.vanish(0)
        began = time.monotonic()
        # 2.4 s of silence, a ping, 2.4 s again; one more where the machine is late.
        eventually(lambda: tunnels() == 1, 10, "the end of the tunnels")
        assert time.monotonic() - began < 8
        assert {client.response().status for client in clients} == {502}
        scene.check(LISTENERS, 64 * KIBI)
    eventually(lambda: scene.open <= scene.idle - LISTENERS + 10, 10, "the connections' end")
    place.appear(0)
    late.open()
    eventually(lambda: tunnels() == LISTENERS + 1, 60, "the tunnels again")
    assert len(fetch(scene.node.proxy, "e0").body) == 2 * HALF


def cookies():
    """Handshakes that the system kept no state for."""
    lines = [line.split() for line in pathlib.Path("/proc/net/netstat").read_text().splitlines()]
    return next(int(dict(zip(names, values))["SyncookiesSent"]) for names, values in zip(lines, lines[1:]) if "SyncookiesSent" in names)


def half_open(port):
    lines = subprocess.run(["ss", "-tnH", "state", "syn-recv", f"sport = :{port}"], check=True, capture_output=True, timeout=20).stdout
    return len(lines.splitlines())


@pytest.mark.timeout(300)
def test_handshakes_that_stay_half_open_slow_nobody(place, piko, nginx):
    scene = Scene(piko, nginx, host=place.HUB)
    place.within(0, lambda: pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("0"))
    run("ip", "route", "add", "10.99.0.0/16", "via", "10.77.0.10")
    host, port = scene.node.proxy.split(":")
    program = pathlib.Path(__file__).parent / "harness" / "syns.py"
    flood = subprocess.Popen([*place.prefix(0), sys.executable, program, host, port, "5000"])
    try:
        eventually(lambda: half_open(port) >= 500, 30, "the flood")
        scene.check(5000, KIBI)
        assert flood.wait(30) == 0
    finally:
        flood.kill()
        flood.wait()
    print(f"{half_open(port)} handshakes half open, {cookies()} without state")
    assert half_open(port) > 100, "they were over before it was measured"
