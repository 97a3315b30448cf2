# SPDX-License-Identifier: MIT
# The log when standard error is not a file: a pipe that nobody reads, one whose reader has gone, none at all.
# The server must serve as if nothing were the matter, and say later what it could not.

import json
import os
import subprocess

import pytest

from harness.piko import binary, listening
from harness.ports import free_port
from harness.usage import eventually
from peer.client import Client, fetch


@pytest.fixture
def start():
    """Starts a server with this standard error; ends it with SIGTERM, after which it must leave with 0."""
    started = []

    def run(**options):
        proxy, upstream, admin = (f"127.0.0.1:{free_port()}" for _ in range(3))
        words = ["server", "--proxy.bind-addr", proxy, "--upstream.bind-addr", upstream, "--admin.bind-addr", admin,
                 "--cluster.gossip.bind-addr", "127.0.0.1:0", "--engine.loops", "1"]
        child = subprocess.Popen([binary(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        started.append(child)
        child.admin = admin
        eventually(lambda: listening(admin))
        return child, proxy

    yield run
    for child in started:
        child.terminate()
        try:
            assert child.wait(10) == 0
        finally:
            child.kill()
            child.wait()


def ask(proxy, count):
    """So many requests, each of which is logged with a line of about 2 KiB."""
    with Client(proxy, 10) as client:
        for _ in range(count):
            assert client.request("nobody", "/x", headers=[("X-Long", "x" * 2000)]).response().status == 502


def test_a_reader_that_does_not_read_holds_nothing_up(start):
    child, proxy = start(stderr=subprocess.PIPE)
    ask(proxy, 200)
    os.set_blocking(child.stderr.fileno(), False)
    lines = []

    def counted():
        """Lines of requests, and how many lines of any kind the log says it dropped."""
        lines.extend(json.loads(line) for line in (child.stderr.read() or b"").splitlines())
        requests = sum(line["msg"] == "request" for line in lines)
        return requests, sum(line["dropped"] for line in lines if line["msg"] == "log lines dropped")

    assert counted()[0] < 200
    ask(proxy, 1)
    eventually(lambda: sum(counted()) >= 201)
    requests, dropped = counted()
    assert 10 < requests < 201 and dropped > 10
    assert f"piko_log_lines_dropped_total {dropped}\n" in fetch(child.admin, "admin", "/metrics").body.decode()
    child.stderr.close()


def test_a_reader_that_has_gone_is_not_missed(start):
    child, proxy = start(stderr=subprocess.PIPE)
    child.stderr.close()
    ask(proxy, 20)


def test_no_standard_error_at_all(start):
    child, proxy = start(preexec_fn=lambda: os.close(2))
    ask(proxy, 20)
    assert os.readlink(f"/proc/{child.pid}/fd/2") == "/dev/null"


def test_no_standard_descriptors_at_all():
    read, write = os.pipe()
    child = subprocess.Popen([binary(), "--version"], preexec_fn=lambda: [os.close(n) for n in (0, 1, 2)], pass_fds=[write])
    os.close(write)
    assert child.wait(10) == 0
    assert os.read(read, 10) == b""
    os.close(read)


def test_a_file_takes_every_line(start, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        _, proxy = start(stderr=log)
        ask(proxy, 300)
        assert fetch(proxy, "nobody", "/last").status == 502
    path = tmp_path / "log"
    eventually(lambda: b"/last" in path.read_bytes().rpartition(b"\n")[0])
    requests = [line for line in map(json.loads, path.read_text().splitlines()) if line["msg"] == "request"]
    assert len(requests) == 301
