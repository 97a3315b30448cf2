# SPDX-License-Identifier: MIT
# Connections to the upstream and the admin port that never ask for anything: each port has so many of them at most, for so long at most, and whoever
# has something to say is heard meanwhile.

import contextlib
import resource
import socket
import time

import pytest

from harness.usage import descriptors, eventually
from peer.client import Client, fetch
from peer.wire import address

DIALS, ADMINS, LEAVING = 1024, 256, 256  # what the node lets there be; `LEAVING`: of connections that a loop turns away
SOME = 100  # descriptors that come and go for other reasons

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def room():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Silent:
    """Connections that say nothing."""

    def __init__(self, addr, count):
        self.began = time.monotonic()
        self.socks = []
        for _ in range(count):
            with contextlib.suppress(ConnectionResetError):  # beyond what is turned away with a word
                self.socks.append(socket.create_connection(address(addr), 10))

    @property
    def told(self):
        """What they have been told so far."""
        told = []
        for sock in self.socks:
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                sock.setblocking(False)
                told.append(sock.recv(1000))
        return told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.socks:
            sock.close()


@pytest.mark.timeout(120)
def test_silent_connections_to_the_upstream_port_keep_no_agent_out(piko, service):
    turned = lambda: sum(node.metric(f'piko_upstreams_refused_total{{status="{status}"}}') for status in (408, 503))
    node = piko.server()
    piko.agent("http", node, "web", service.addr)
    idle = descriptors(node.pid)
    with Silent(node.upstream, DIALS + 300) as silent:
        eventually(lambda: turned() >= 300, 10, "refusals")
        assert descriptors(node.pid) <= idle + DIALS + min(300, LEAVING * piko.loops) + SOME
        if not piko.armour:
            answers = [answer for answer in silent.told if answer]
            assert answers and all(answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: " in answer for answer in answers)
        assert fetch(node.proxy, "web").status == 200
        # All places are taken; those that have had theirs for two seconds give way.
        piko.agent("http", node, "late", service.addr)
        assert time.monotonic() - silent.began < 9, "the silent ones were gone by themselves"
        assert node.metric('piko_upstreams_refused_total{status="408"}') >= 1
        assert fetch(node.proxy, "late").status == 200
        eventually(lambda: descriptors(node.pid) <= idle + SOME, 20, "the end of the silent connections")
        eventually(lambda: turned() >= DIALS + 300)
        assert time.monotonic() - silent.began < 20


@pytest.mark.timeout(120)
def test_silent_connections_to_the_admin_port_keep_no_operator_out(piko):
    node = piko.server()
    idle = descriptors(node.pid)
    with Client(node.admin) as operator, Silent(node.admin, ADMINS + 150) as silent:
        eventually(lambda: node.metric('piko_admin_requests_refused_total{status="408"}') >= 150, 10, "connections that gave way")
        assert descriptors(node.pid) <= idle + ADMINS + SOME
        took = time.monotonic()
        assert node.ask("/ready").status == 200
        assert time.monotonic() - took < 3
        eventually(lambda: node.metric('piko_admin_requests_refused_total{status="408"}') >= ADMINS + 150, 20, "the others, too late")
        assert operator.ends() in ("end", "reset")  # it had asked nothing for longest
        eventually(lambda: descriptors(node.pid) <= idle + SOME, 20, "the end of the silent connections")
        assert time.monotonic() - silent.began < 20
    assert node.ask("/ready").status == 200
