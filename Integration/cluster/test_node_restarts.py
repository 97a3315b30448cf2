# SPDX-License-Identifier: MIT
# Nodes restarted one after another under load: nothing is lost, however the balancer spreads. TCP streams may be cut by a node
# that leaves, but not before its grace period is over.

import time

import pytest

from .scene import assert_nothing_lost

pytestmark = pytest.mark.alone
ROUNDS = [1, pytest.param(3, marks=pytest.mark.long)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", ["http", "tcp"])
@pytest.mark.parametrize("rounds", ROUNDS)
def test_rolling_restart_of_all_nodes(scene, seed, result, rounds, mode):
    """The balancer goes by requests (http) or by connections (tcp); odd seeds have two agents, even ones a single one."""
    scene = scene(agents=1 + seed % 2, mode=mode)
    scene.run_load()
    leaves = [scene.restart(member) for _ in range(rounds) for member in scene.cluster.members]
    result.update(leave=max(leaves), settle=scene.settle())
    while rounds == 3 and scene.load.count() < 20_000:
        time.sleep(1)
    requests, talks = scene.finish()
    assert_nothing_lost(scene, requests, talks)
    assert len(requests) >= (20_000 if rounds == 3 else 1000)


@pytest.mark.timeout(120)
def test_a_node_without_streams_leaves_long_before_its_grace_is_over(scene, seed, result):
    """HTTP alone does not hold it; kept connections of clients are told to close, not waited for."""
    scene = scene(grace=12, agents=1 + seed % 2)
    scene.run_load(streams=0)
    leaves = [scene.restart(member) for member in scene.cluster.members]
    result.update(leave=max(leaves))
    requests, _ = scene.finish()
    assert not requests.failed, (len(requests.failed), requests.reasons(), requests.failed[:5])
    assert max(leaves) < 10 and not scene.service.duplicates()
