# SPDX-License-Identifier: MIT
# What real nodes say of each other while tunnels come and go: every view is the truth, whatever happened before.
# (Who joins and leaves, and what crosses nodes: test_membership.py, test_routing.py.)

from harness.usage import eventually
from peer.agent import FakeAgent
from peer.service import reply

from .nodes import Cluster
from .place import Loopback


def has(member, wanted):
    return sum(member.endpoints().values()) == wanted


def test_counts_are_the_owners_sets_while_agents_come_and_go(piko):
    cluster = Cluster(piko, Loopback(), 3)
    cluster.start()
    for round in range(5):
        agents = [FakeAgent(member.process.upstream, f"e{number % 4}", reply()) for member in cluster.members for number in range(6)]
        eventually(lambda: all(has(member, 6) for member in cluster.members))
        cluster.converge()
        for agent in agents[round % 2::2]:
            agent.close()
        eventually(lambda: all(has(member, 3) for member in cluster.members))
        cluster.converge()
        for agent in agents[1 - round % 2::2]:
            agent.close()
        eventually(lambda: all(has(member, 0) for member in cluster.members))
        cluster.converge()
