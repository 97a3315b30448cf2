# SPDX-License-Identifier: MIT
# `piko bench http` against a server: what it prints, what it checks, and how it ends when it cannot do its work.
# Small loads: the figures are looked at for form only.

import re
import signal

import pytest

from harness.ports import free_port
from harness.process import Process
from harness.usage import eventually


@pytest.fixture
def piko(piko):
    """`piko bench` has no token to send, so its servers ask for none."""
    piko.tokens = None
    return piko


@pytest.fixture
def measure(piko):
    def run(node, *flags, timeout=60):
        urls = ["--connect.proxy-url", node.proxy_url, "--connect.upstream-url", node.upstream_url]
        return piko.run(*piko.looped("bench", "http", *urls, *piko.dialling, *flags), timeout=timeout)
    return run


def numbers(text):
    return {name: float(value) for name, value in re.findall(r"^  (p[\d.]+|max) +([\d.]+) ms$", text, re.MULTILINE)}


@pytest.mark.parametrize("flags", [
    "--requests 300 --clients 7 --endpoints 3 --upstreams 5 --size 1024",
    "--requests 20 --clients 3 --endpoints 1 --upstreams 1 --size 0",
    "--requests 6 --clients 2 --endpoints 1 --upstreams 1 --size 3000000",
    "--requests 2 --clients 50 --endpoints 1 --upstreams 1 --size 1",
])
def test_it_measures(piko, measure, flags):
    node = piko.server()
    ended = measure(node, *flags.split())
    assert ended.child.returncode == 0, ended.log
    requests = flags.split()[1]
    assert f"Requests: {requests} answered, 0 failed\n" in ended.out
    assert re.search(r"^Throughput: [\d.]+ requests/sec$", ended.out, re.MULTILINE)
    values = numbers(ended.out)
    assert list(values) == ["p50", "p90", "p99", "p99.9", "max"] and sorted(values.values()) == list(values.values())
    assert values["p50"] > 0


def test_it_leaves_no_tunnel_behind(piko, measure):
    node = piko.server()
    measure(node, "--requests", "10", "--clients", "2", "--endpoints", "4", "--upstreams", "8")
    assert node.ask("/status/upstream/endpoints").body == b"{}"


def test_a_server_that_is_not_there_is_one_line_and_exit_1(piko):
    port = free_port()
    ended = piko.run("bench", "http", "--connect.upstream-url", f"http://127.0.0.1:{port}", "--connect.timeout", "500ms")
    assert ended.child.returncode == 1 and ended.out == ""
    plain = [line for line in ended.log.splitlines() if line.startswith("piko: ")]
    assert len(plain) == 1 and plain[0].startswith("piko: bench http: upstream endpoint-")


def test_failed_requests_are_counted_and_exit_1(piko, measure):
    node = piko.server()
    other = piko.server()
    urls = ["--connect.proxy-url", other.proxy_url, "--connect.upstream-url", node.upstream_url]
    ended = piko.run("bench", "http", *urls, *piko.dialling, "--requests", "20", "--clients", "2", "--endpoints", "1", "--upstreams", "1")
    assert ended.child.returncode == 1
    assert "Requests: 0 answered, 20 failed\n" in ended.out
    assert "piko: bench http: 20 of 20 requests without an answer: status 502\n" in ended.log


def test_a_signal_ends_it_with_what_it_has(piko):
    node = piko.server()
    urls = ["--connect.proxy-url", node.proxy_url, "--connect.upstream-url", node.upstream_url]
    words = ["bench", "http", *urls, *piko.dialling, "--requests", "100000000", "--clients", "2", "--endpoints", "1", "--upstreams", "1"]
    running = piko.start(Process, "bench", words)
    eventually(lambda: " requests/sec" in running.log, 20)
    running.signal(signal.SIGINT)
    assert running.wait(20) == 1
    assert re.search(r"^Requests: [1-9]\d* answered, 0 failed$", running.out, re.MULTILINE)
    assert "requests without an answer: ended early\n" in running.log
    piko.processes.remove(running)
