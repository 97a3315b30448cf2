# SPDX-License-Identifier: MIT
# Clients that hold connections and give nothing for them: slowhttptest in all its modes, connections that say nothing, connections that were half
# closed. Others are served as fast as before, memory is bounded, and what was held is let go. Runs alone, since it measures memory and time.

import contextlib
import socket
import subprocess
import threading
import time

import pytest

from harness.attacked import KIBI, MEBI, Scene
from harness.usage import eventually
from harness.real import Nginx
from peer.client import Client
from peer.wire import Ended, address, connect

pytestmark = pytest.mark.alone

# Each needs so many connections, and half of these many again for the service: `make test-long` has the number of the issue.
COUNTS = [pytest.param(400, id="400"), pytest.param(5000, id="5000", marks=pytest.mark.long)]

# slowhttptest's flags, what is asked for, and what a connection may cost the server and the agent in bytes. nginx takes fields up to 8 KiB, which
# 1000 ranges fit in.
MODES = {
    "slow-heads": (["-H", "-i", "2", "-x", "24"], "/large", 32 * KIBI),
    "slow-bodies": (["-B", "-i", "2", "-s", "8192", "-x", "10"], "/upload", 64 * KIBI),
    "ranges": (["-R", "-a", "5", "-b", "1000"], "/large", 64 * KIBI),
    "slow-readers": (["-X", "-n", "5", "-w", "10", "-y", "20", "-z", "32", "-k", "1"], "/large", 512 * KIBI),
}


@pytest.fixture
def nginx(tmp_path):
    # All share one machine's TCP memory: what a service of its own would hold of answers that nobody reads (2 to 3 MiB each) is no part of this.
    nginx = Nginx(tmp_path, "sndbuf=16k")
    (nginx.www / "large").write_bytes(b"l" * (4 * MEBI))
    try:
        yield nginx
    finally:
        nginx.kill()


@pytest.fixture
def scene(piko, nginx):
    return Scene(piko, nginx)


@contextlib.contextmanager
def attack(scene, count, flags, target):
    """slowhttptest at the node until the block ends, again where it ends by itself. It has no option for a field of ours: these stand behind the cookie."""
    fields = {"x-piko-endpoint": "web", **(scene.tokens.headers if scene.tokens else {})}
    cookie = "".join(["a=b", *(f"\r\n{name}: {value}" for name, value in fields.items())])
    command = ["slowhttptest", *flags, "-c", str(count), "-r", "1000", "-l", "600", "-p", "60", "-v", "0",
               "-j", cookie, "-u", f"{scene.node.scheme}://{scene.node.proxy}{target}"]
    over, runs = threading.Event(), []

    def repeat():
        while not over.is_set():
            runs.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL))
            runs[-1].wait()

    attacker = threading.Thread(target=repeat, daemon=True)
    attacker.start()
    try:
        yield
    finally:
        over.set()
        while attacker.is_alive():
            for process in runs[-1:]:
                process.terminate()
            attacker.join(0.1)


def ranges(scene):
    """How many requests for ranges the service has answered; nobody else says HEAD."""
    return scene.node.metric('piko_proxy_requests_total{status="200",method="HEAD"}')


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("mode", MODES)
def test_slow_clients_slow_nobody_and_cost_little(scene, mode, count):
    flags, target, each = MODES[mode]
    with attack(scene, count, flags, target):
        if mode == "ranges":   # answered at once: nothing is held for long
            eventually(lambda: ranges(scene) > 0, 20, "the first answer")
            scene.check(count, each, lambda: ranges(scene))
        else:
            held = count * 0.95
            eventually(lambda: scene.open - scene.idle >= held, 200, "the connections")
            scene.check(count, each)
            assert scene.open - scene.idle >= held, "they were held all the time"
    scene.after()


def open_idle(scene, count, first=b""):
    """Connections whose handshake, where there is TLS, is done if they have something to say."""
    socks = []
    for number in range(count):
        sock = connect(scene.node.proxy, 20) if first else socket.create_connection(address(scene.node.proxy), 20)
        if first:
            sock.sendall(first)
        socks.append(sock)
    return socks


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["silent", "half-closed", "half-a-head"])
def test_connections_that_say_nothing_slow_nobody_and_cost_little(scene, kind, count):
    socks = open_idle(scene, count, b"GET / HTTP/1.1\r\nHost: web" if kind == "half-a-head" else b"")
    try:
        if kind == "half-closed":
            for sock in socks:
                sock.shutdown(socket.SHUT_WR)
            # They said that they have no request: nothing of them is kept.
            eventually(lambda: scene.open <= scene.idle + 10, 20, "the connections' end")
        else:
            eventually(lambda: scene.open - scene.idle >= count * 0.95, 60, "the connections")
        scene.check(count, 16 * KIBI)
        assert kind == "half-closed" or scene.open - scene.idle >= count * 0.95, "they were held all the time"
    finally:
        for sock in socks:
            sock.close()
    scene.after()


@pytest.mark.timeout(120)
def test_a_head_that_does_not_come_is_let_go_of_in_time(piko, service):
    """However little by little it comes: the time is that of the whole head."""
    node = piko.server("--proxy.http.read-header-timeout", "2s")
    piko.agent("http", node, "web", service.addr)
    with Client(node.proxy) as silent, Client(node.proxy) as dripping:
        start = time.monotonic()
        dripping.send(b"GET / HTTP/1.1\r\nHost: web.x\r\n")
        try:
            while time.monotonic() - start < 10:
                dripping.send(b"a: b\r\n")
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - start < 9
        try:
            assert dripping.response().status == 408
        except (Ended, ConnectionError):
            pass  # it went on sending into an ended connection: a reset may overtake the answer
        assert silent.ends() in ("end", "reset")
