# SPDX-License-Identifier: MIT
# What a request costs that crosses from one node to another, against the same request to the node with the tunnel: CPU of all processes of ours,
# under the same load, in turn. The figure of the issue is for one loop; with more the measurement is made and shown.

import statistics

import pytest

from harness.cost import microseconds
from harness.real import Nginx

from .test_routing import knows

WHY = "the figure is one of plain text and open ports"
pytestmark = [pytest.mark.alone, pytest.mark.plain(WHY), pytest.mark.tokenless(WHY)]

BOUND = 1.6
ROUNDS = 5
SECONDS = 2
QUIET = "--proxy.access-log.disable"


def test_a_request_over_two_nodes_costs_little_more_than_over_one(piko, tmp_path, loops, capsys):
    (tmp_path / "service").mkdir()
    service = Nginx(tmp_path / "service")
    try:
        (service.www / "hello").write_text("Hello World!")
        front, home = piko.servers(2, [QUIET])
        agent = piko.agent("http", home, "web", service.addr, "--access-log.disable")
        piko.until(front, knows(front, 1))
        processes = [front, home, agent]
        for node in (front, home):
            microseconds(processes, node.proxy, seconds=SECONDS)  # warm
        pairs = [tuple(microseconds(processes, node.proxy, seconds=SECONDS) for node in (home, front)) for _ in range(ROUNDS)]
    finally:
        service.kill()
    ratio = statistics.median(two / one for one, two in pairs)
    with capsys.disabled():
        print(f"\none node, two nodes (us a request): {', '.join(f'{one:.1f} {two:.1f}' for one, two in pairs)}; median ratio {ratio:.2f}")
    if loops == 1:
        assert ratio <= BOUND, pairs
