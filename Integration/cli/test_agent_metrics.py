# SPDX-License-Identifier: MIT
# The agent's own port for metrics: off by default, on with `--server.enabled`, the original's names with a label for
# the endpoint.

import re

from harness.piko import listening
from harness.ports import free_port
from harness.usage import eventually
from peer.client import fetch


def test_the_agent_serves_its_metrics_where_asked_to(piko, service):
    node = piko.server()
    addr = f"127.0.0.1:{free_port()}"
    piko.agent("http", node, "web", service.addr, "--server.enabled", "--server.bind-addr", addr)
    for _ in range(3):
        fetch(node.proxy, "web", method="PUT", body=b"x" * 300)

    def page():
        return fetch(addr, "agent", "/metrics").body.decode()

    def counted():
        return re.findall(r'^piko_agent_requests_total\{(.*)\} (\d+)$', page(), re.MULTILINE)

    eventually(lambda: [count for _, count in counted()] == ["3"])
    labels, text = counted()[0][0], page()
    assert sorted(labels.split(",")) == ['endpoint="web"', 'method="PUT"', 'status="200"']
    for name in ("requests_in_flight", "request_latency_seconds_count", "request_size_bytes_count", "response_size_bytes_count"):
        assert re.search(rf'^piko_agent_{name}\{{.*endpoint="web".*\}} \d', text, re.MULTILINE), name


def test_the_port_is_closed_otherwise(piko, service):
    node = piko.server()
    addr = f"127.0.0.1:{free_port()}"
    piko.agent("http", node, "web", service.addr, "--server.bind-addr", addr)
    assert not listening(addr)
