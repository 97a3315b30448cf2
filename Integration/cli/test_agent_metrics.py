# SPDX-License-Identifier: MIT
# The agent's own port for metrics: off by default, on with `--server.enabled`, the original's names with a label for
# the endpoint.

import re

import pytest

from harness.piko import listening
from harness.ports import free_port
from harness.usage import eventually
from peer.client import fetch
from peer.service import Service, reply


def test_the_agent_serves_its_metrics_where_asked_to(piko, service):
    node = piko.server()
    addr = f"127.0.0.1:{free_port()}"
    piko.agent("http", node, "web", service.addr, "--server.enabled", "--server.bind-addr", addr)
    for _ in range(3):
        fetch(node.proxy, "web", method="PUT", body=b"x" * 300)

    def counted():
        return re.findall(r'^piko_agent_requests_total\{(.*)\} (\d+)$', page(addr), re.MULTILINE)

    eventually(lambda: [count for _, count in counted()] == ["3"])
    labels, text = counted()[0][0], page(addr)
    assert sorted(labels.split(",")) == ['endpoint="web"', 'method="PUT"', 'status="200"']
    for name in ("requests_in_flight", "request_latency_seconds_count", "request_size_bytes_count", "response_size_bytes_count"):
        assert re.search(rf'^piko_agent_{name}\{{.*endpoint="web".*\}} \d', text, re.MULTILINE), name


def test_the_port_is_closed_otherwise(piko, service):
    node = piko.server()
    addr = f"127.0.0.1:{free_port()}"
    piko.agent("http", node, "web", service.addr, "--server.bind-addr", addr)
    assert not listening(addr)


def page(addr):
    return fetch(addr, "agent", "/metrics").body.decode()


def value(addr, sample):
    return sum(int(line.rsplit(" ", 1)[1]) for line in page(addr).splitlines() if line.rsplit(" ", 1)[0] == sample)


def dialling(piko, url, *flags):
    """An agent that dials and does not get through; where its metrics are."""
    addr = f"127.0.0.1:{free_port()}"
    agent = piko.agent("http", url, "web", "127.0.0.1:1", "--server.enabled", "--server.bind-addr", addr, *flags)
    piko.until(agent, lambda: listening(addr))
    return addr


@pytest.mark.parametrize("reason", ["unreachable", "tls", "proxy", "refused"])
def test_dials_that_fail_are_counted_by_their_reason(piko, reason):
    nowhere = f"127.0.0.1:{free_port()}"
    plain = Service(lambda conn: conn.read_some() and conn.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), raw=True)
    with plain if reason == "tls" else Service(reply(503)) as service:
        url, flags = {
            "unreachable": (f"http://{nowhere}", ()),
            "tls": (f"https://{service.addr}", ()),
            "proxy": (f"http://{service.addr}", ("--connect.proxy-url", f"http://{nowhere}")),
            "refused": (f"http://{service.addr}", ()),
        }[reason]
        addr = dialling(piko, url, *flags)
        eventually(lambda: value(addr, f'piko_agent_dials_failed_total{{reason="{reason}"}}') >= 2)
        others = {"unreachable", "tls", "proxy", "token", "refused", "malformed"} - {reason}
        assert all(value(addr, f'piko_agent_dials_failed_total{{reason="{other}"}}') == 0 for other in others)


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_services_that_are_not_reached_and_heads_that_are_refused_are_counted(piko, kind):
    node = piko.server()
    addr = f"127.0.0.1:{free_port()}"
    piko.agent(kind, node, "web", f"127.0.0.1:{free_port()}", "--server.enabled", "--server.bind-addr", addr)
    assert fetch(node.proxy, "web").status == 502
    eventually(lambda: value(addr, 'piko_agent_services_unreached_total{endpoint="web"}') >= 1)
    assert fetch(addr, "agent", "/metrics", method="POST").status == 405
    assert value(addr, 'piko_admin_requests_refused_total{status="405"}') == 1
    for name in ("piko_log_lines_dropped_total", "piko_descriptors_exhausted_total"):
        assert f"\n{name} 0\n" in page(addr)
