# SPDX-License-Identifier: MIT
# Raw bytes through forward, server and TCP agent: half close, resets, failed dials, many and idle connections.
# Real processes on loopback; the client and the service are the test's own.

import os
import socket
import threading
import time

import pytest

from harness.piko import Piko, listening
from harness.ports import free_port
from harness.process import PikoProcess
from harness.usage import cpu, descriptors, eventually
from peer.service import Service
from peer.wire import Wire, connect


class Path:
    """forward, server and agent before one raw service, shared by the module."""

    def __init__(self, directory, loops, nodes):
        self.piko = Piko(directory, loops)
        self.service = Service(raw=True, handler=lambda conn: None)
        self.node, home = self.piko.servers(nodes)
        self.agent = self.piko.agent("tcp", home, "db", self.service.addr)
        self.piko.until(self.node, lambda: sum(item["endpoints"] for item in self.node.nodes) == 1)
        self.forward = self.piko.forward(self.node, "db")

    def serve(self, handler):
        self.service.fresh(handler)
        return self

    def wire(self, timeout=10.0):
        return Wire(connect(self.forward.addr, timeout))

    def close(self):
        self.service.close()
        self.piko.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, loops, nodes):
    path = Path(tmp_path_factory.mktemp("tcp"), loops, nodes)
    try:
        yield path
    finally:
        path.close()


@pytest.fixture
def path(shared):
    yield shared.serve(echo)
    assert not shared.service.errors, shared.service.errors
    assert all(process.running for process in shared.piko.processes)


def echo(conn):
    while data := conn.read_some():
        conn.send(data)
    conn.close()


def test_bytes_pass_both_ways(path):
    with path.wire() as wire:
        for size in (1, 2, 100, 70_000, 1 << 20):
            data = os.urandom(size)
            threading.Thread(target=wire.send, args=(data,), daemon=True).start()
            assert wire.read_exact(size) == data


def test_the_service_may_speak_first(path):
    path.serve(lambda conn: (conn.send(b"220 ready\r\n"), conn.read_to_end()))
    with path.wire() as wire:
        assert wire.read_until(b"\n") == b"220 ready\r\n"


def test_large_transfers_in_both_directions_at_once(path):
    total = 24 << 20
    block = os.urandom(1 << 20)

    def handler(conn):
        conn.keep = False
        threading.Thread(target=lambda: [conn.send(block) for _ in range(24)], daemon=True).start()
        left = total
        while left:
            left -= len(conn.read_some())
        conn.service.requests.put("all came")
        conn.read_to_end()

    with path.serve(handler).wire(30) as wire:
        wire.keep = False
        threading.Thread(target=lambda: [wire.send(block) for _ in range(24)], daemon=True).start()
        left = total
        while left:
            left -= len(wire.read_some())
        assert path.service.request(30) == "all came"


def test_a_clients_half_close_reaches_the_service_which_can_still_answer(path):
    def handler(conn):
        data = conn.read_to_end()
        assert conn.how == "end"
        conn.send(b"got %d" % len(data))
        conn.close()

    with path.serve(handler).wire() as wire:
        wire.send(b"x" * 200_000)
        wire.shut()
        assert wire.read_to_end() == b"got 200000" and wire.how == "end"


def test_a_services_half_close_reaches_the_client_which_can_still_send(path):
    def handler(conn):
        conn.send(b"that is all")
        conn.shut()
        conn.service.requests.put(conn.read_to_end())

    with path.serve(handler).wire() as wire:
        assert wire.read_to_end() == b"that is all" and wire.how == "end"
        wire.send(b"y" * 200_000)
        wire.shut()
        assert path.service.request() == b"y" * 200_000


def test_a_half_closed_connection_stays_as_long_as_it_is_used(path):
    def handler(conn):
        word = conn.read_to_end()
        for _ in range(10):
            time.sleep(0.1)  # lasting is what is tested
            conn.send(word)
        conn.close()

    with path.serve(handler).wire() as wire:
        wire.send(b"abc")
        wire.shut()
        assert wire.read_to_end() == b"abc" * 10


def test_a_close_is_passed_on_both_ways(path):
    wire = path.wire()
    wire.send(b"a")
    assert wire.read_exact(1) == b"a"
    wire.close()
    path.service.ended.get(timeout=5)
    path.serve(lambda conn: conn.close())
    with path.wire() as wire:
        assert wire.read_to_end() == b""


def test_a_clients_reset_ends_the_services_connection(path):
    path.serve(lambda conn: conn.service.requests.put((conn.read_to_end(), conn.how)))
    wire = path.wire()
    wire.send(b"abc")
    path.service.accepted.get(timeout=10)
    wire.reset()
    assert path.service.request()[1] in ("reset", "end")


def test_a_services_reset_ends_the_clients_connection(path):
    path.serve(lambda conn: (conn.read_exact(1), conn.reset()))
    with path.wire() as wire:
        wire.send(b"x")
        assert wire.read_to_end() == b"" and wire.how in ("reset", "end")


def test_what_was_written_before_a_close_is_not_lost(path):
    data = os.urandom(3 << 20)
    path.serve(lambda conn: (conn.send(data), conn.close()))
    for _ in range(3):
        with path.wire() as wire:
            assert wire.read_to_end() == data and wire.how == "end"


def test_a_dial_that_fails_ends_the_clients_connection_at_once(piko):
    node = piko.server()
    agent = piko.agent("tcp", node, "gone", f"127.0.0.1:{free_port()}")
    forward = piko.forward(node, "gone")
    start = time.monotonic()
    with Wire(connect(forward.addr)) as wire:
        assert wire.read_to_end() == b""
    assert time.monotonic() - start < 2 and agent.running


def test_an_endpoint_without_an_agent_ends_the_clients_connection_at_once(piko):
    node = piko.server()
    forward = piko.forward(node, "nobody")
    start = time.monotonic()
    with Wire(connect(forward.addr)) as wire:
        wire.send(b"hello")
        assert wire.read_to_end() == b""
    assert time.monotonic() - start < 2 and forward.running


def test_a_forward_without_a_server_ends_the_clients_connection_and_goes_on(piko):
    forward = piko.forward(f"http://127.0.0.1:{free_port()}", "db")
    for _ in range(3):
        try:
            with Wire(connect(forward.addr)) as wire:
                assert wire.read_to_end() == b""
        except ConnectionError:
            pass  # ended before we had it
    assert forward.running


def test_500_connections_at_once(path):
    wires = [path.wire(30) for _ in range(500)]
    try:
        for number, wire in enumerate(wires):
            wire.send(b"%04d" % number)
        for number, wire in enumerate(wires):
            assert wire.read_exact(4) == b"%04d" % number
        for number, wire in enumerate(reversed(wires)):
            wire.send(b"again")
        assert all(wire.read_exact(5) == b"again" for wire in wires)
    finally:
        for wire in wires:
            wire.close()


def test_descriptors_come_back_after_many_connections(path):
    def settled():
        return [descriptors(process.pid) for process in path.piko.processes]

    with path.wire() as wire:
        wire.send(b"x")
        wire.read_exact(1)
    before = [count + 4 for count in settled()]
    for _ in range(200):
        with path.wire() as wire:
            wire.send(b"x")
            assert wire.read_exact(1) == b"x"
    eventually(lambda: all(now <= then for now, then in zip(settled(), before)), what=f"descriptors back at {before}")


def idle(path, seconds):
    with path.wire() as wire:
        wire.send(b"before")
        assert wire.read_exact(6) == b"before"
        used = [cpu(process.pid) for process in path.piko.processes]
        time.sleep(seconds)  # being idle is what is tested
        assert all(cpu(process.pid) - was < 0.05 + seconds / 100 for process, was in zip(path.piko.processes, used))
        wire.send(b"after")
        assert wire.read_exact(5) == b"after"


def test_an_idle_connection_stays(path):
    idle(path, 2)


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_connection_that_is_idle_for_six_minutes_stays(path):
    idle(path, 360)


def test_a_reader_that_stops_does_not_stop_the_others(path):
    block = b"z" * (1 << 20)

    def handler(conn):
        kind = conn.read_exact(1)
        if kind == b"f":
            while True:
                conn.send(block)
        echo(conn)

    with path.serve(handler).wire() as stopped, path.wire() as other:
        stopped.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stopped.send(b"f")
        other.send(b"e")
        times = []
        for _ in range(300):
            start = time.monotonic()
            other.send(b"ping")
            assert other.read_exact(4) == b"ping"
            times.append(time.monotonic() - start)
        assert sorted(times)[297] < 0.25


def test_forward_start_and_agent_start_take_their_ports_from_files(piko, tmp_path):
    one, two = Service(raw=True, handler=lambda c: c.send(b"one")), Service(raw=True, handler=lambda c: c.send(b"two"))
    node = piko.server()
    (tmp_path / "agent.yaml").write_text(f"""
connect: {{url: "{node.upstream_url}"}}
listeners:
- {{endpoint_id: one, addr: "{one.addr}", protocol: tcp}}
- {{endpoint_id: two, addr: "{two.addr}", protocol: tcp}}
""")
    ports = [free_port(), free_port()]
    (tmp_path / "forward.yaml").write_text(f"""
connect: {{url: "{node.proxy_url}"}}
ports:
- {{addr: "127.0.0.1:{ports[0]}", endpoint_id: one}}
- {{addr: "127.0.0.1:{ports[1]}", endpoint_id: two}}
""")

    piko.start(PikoProcess, "agent-start", ["agent", "start", "--config.path", tmp_path / "agent.yaml", *piko.dialling])
    piko.start(PikoProcess, "forward-start", ["forward", "start", "--config.path", tmp_path / "forward.yaml", *piko.dialling])
    for port, word in zip(ports, (b"one", b"two")):
        eventually(lambda: listening(f"127.0.0.1:{port}") and node.listeners(word.decode()))
        with Wire(connect(f"127.0.0.1:{port}")) as wire:
            assert wire.read_to_end() == word
    one.close(), two.close()
