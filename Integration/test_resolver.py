# SPDX-License-Identifier: MIT
# A resolver that hangs: what waits for it has its timeout, and no process waits for it at its end.
# Real processes with a getaddrinfo that never answers for some names, put before the system's.

import pathlib
import subprocess
import time

import pytest

from peer.client import fetch
from peer.wire import Wire, connect

SOURCE = pathlib.Path(__file__).parent / "harness" / "hung_resolver.c"


@pytest.fixture(scope="module")
def hung(tmp_path_factory):
    """The environment of a process whose resolver hangs for names that end in ".hung"."""
    library = tmp_path_factory.mktemp("resolver") / "hung_resolver.so"
    subprocess.run(["clang", "-shared", "-fPIC", "-O1", SOURCE, "-o", library, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}


def ends_soon(process):
    start = time.monotonic()
    process.stop()
    assert time.monotonic() - start < 2


def test_an_http_agents_service(piko, hung):
    node = piko.server()
    agent = piko.agent("http", node, "web", "a.hung:80", "--timeout", "500ms", env=hung)
    start = time.monotonic()
    assert fetch(node.proxy, "web").status == 504
    assert time.monotonic() - start < 3
    ends_soon(agent)


def test_a_tcp_agents_service(piko, hung):
    node = piko.server()
    agent = piko.agent("tcp", node, "db", "a.hung:80", "--timeout", "500ms", env=hung)
    forward = piko.forward(node, "db")
    with Wire(connect(forward.addr)) as wire:
        wire.settimeout(5)
        assert wire.read_to_end() == b""
    ends_soon(agent)


def test_more_names_than_threads(piko, hung):
    """Those that hang keep no other name waiting for longer than their own timeout."""
    node = piko.server()
    agent = piko.agent("tcp", node, "db", "a.hung:80", "--timeout", "500ms", env=hung)
    forward = piko.forward(node, "db")
    wires = [Wire(connect(forward.addr)) for _ in range(40)]
    for wire in wires:
        with wire:
            wire.settimeout(5)
            assert wire.read_to_end() == b""
    ends_soon(agent)


def test_an_agents_server(piko, hung):
    ended = piko.run("agent", "http", "web", "80", "--connect.url", "http://a.hung:8001", "--connect.timeout", "500ms", env=hung)
    assert ended.child.returncode == 1 and "timed out" in ended.log
    agent = piko.agent("http", "http://a.hung:8001", "web", "80", env=hung)
    time.sleep(0.3)
    ends_soon(agent)


def test_a_forwards_server(piko, hung):
    forward = piko.forward("http://a.hung:8000", "db", "--connect.timeout", "500ms", env=hung)
    with Wire(connect(forward.addr)) as wire:
        wire.settimeout(5)
        assert wire.read_to_end() == b""
    ends_soon(forward)
