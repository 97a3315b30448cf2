# SPDX-License-Identifier: MIT
# Fixtures of the whole-process tests. `--loops N` (or PIKO_LOOPS) runs everything with that many event loops;
# `--tokens` with tokens on all ports; `--nodes 2` (or PIKO_NODES) what has a shared tunnel over two nodes. PIKO_BIN names the program. Every process is ended by its id and must leave with 0.

import os
import signal
import sys
import threading

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from harness.certificates import Armour, Authority  # noqa: E402
from harness.piko import Piko  # noqa: E402
from harness.tokens import Everywhere  # noqa: E402
from harness.tunnel import Tunnel, Web  # noqa: E402
from peer import wire  # noqa: E402
from peer.service import Service, reply  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--loops", type=int, default=int(os.environ.get("PIKO_LOOPS", "1")), help="event loops of each process")
    parser.addoption("--nodes", type=int, default=int(os.environ.get("PIKO_NODES", "1")), help="2: shared tunnels lead over two nodes")
    parser.addoption("--tokens", action="store_true", help="all ports of servers ask for tokens, and everybody has one")
    parser.addoption("--tls", action="store_true", default=bool(os.environ.get("PIKO_TLS")), help="TLS on every port of what tests share")
    parser.addoption("--long", action="store_true", help="run the long tests too")
    parser.addoption("--repeat", type=int, default=1, help="runs of each fault of cluster/, a seed each")
    parser.addoption("--seed", type=int, default=1, help="the first run's seed")


def pytest_configure(config):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a run under nohup is not to pass that on to the programs it tests
    if config.getoption("tokens"):
        Piko.tokens_everywhere = Everywhere()
        wire.line_behind_endpoint = Piko.tokens_everywhere.line


def pytest_report_header(config):
    kinds = "".join(f", {name}" for name in ("tokens", "tls") if config.getoption(name))
    return f"engine loops: {config.getoption('loops')}, nodes: {config.getoption('nodes')}{kinds}"


def pytest_collection_modifyitems(config, items):
    unwanted = set()
    if not config.getoption("long") and "long" not in config.getoption("markexpr"):
        unwanted.add("long")
    if config.getoption("tls"):
        unwanted.add("plain")
    if config.getoption("tokens"):
        unwanted.add("tokenless")
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unwanted)]
    for mark in (mark for item in items for name in ("plain", "tokenless") for mark in item.iter_markers(name)):
        assert mark.args, f"{mark.name}: expected a reason"
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def loops(request):
    return request.config.getoption("loops")


@pytest.fixture(scope="session")
def nodes(request):
    return request.config.getoption("nodes")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Signs certificates for the whole run."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def armour(request, tmp_path_factory):
    """TLS for what tests share; None without --tls."""
    return Armour(tmp_path_factory.mktemp("armour")) if request.config.getoption("tls") else None


@pytest.fixture
def piko(tmp_path, loops, armour):
    """Starts processes for one test."""
    piko = Piko(tmp_path, loops, armour)
    try:
        yield piko
    finally:
        piko.stop()


@pytest.fixture(scope="module")
def tunnel(tmp_path_factory, loops, nodes, armour):
    """A server with both kinds of agent before one scripted service, for a module."""
    tunnel = Tunnel(tmp_path_factory.mktemp("tunnel"), loops, nodes=nodes, armour=armour)
    try:
        yield tunnel
    finally:
        tunnel.close()


def view(tunnel, kind):
    if not tunnel.running:
        tunnel.restart()
    return Web(tunnel, kind).serve(reply())


@pytest.fixture(params=["http", "tcp"])
def web(request, tunnel):
    """The shared tunnel through each kind of agent; the service answers "hello" until told otherwise."""
    web = view(tunnel, request.param)
    yield web
    web.check()


@pytest.fixture
def http(tunnel):
    """The shared tunnel through the HTTP agent."""
    web = view(tunnel, "http")
    yield web
    web.check()


@pytest.fixture
def service():
    """A scripted service of this test's own."""
    with Service() as service:
        yield service
        assert not service.errors, service.errors


@pytest.fixture
def held():
    """A service whose answer to /held waits for the gate."""
    gate = threading.Event()

    def handler(conn, head):
        if head.target == b"/held":
            conn.service.requests.put("came")
            gate.wait(20)
        conn.reply(200, b"finished")

    with Service(handler) as service:
        service.gate = gate
        yield service
        gate.set()
