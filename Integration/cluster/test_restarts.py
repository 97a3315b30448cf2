# SPDX-License-Identifier: MIT
# Agents restarted one after another under load: nothing is lost, TCP streams may be cut when an agent's grace period is over.
# The service restarted behind its agents: an error while nothing listens, and none before or after.

import time

import pytest

from .scene import assert_nothing_lost

pytestmark = pytest.mark.alone
ROUNDS = [1, pytest.param(3, marks=pytest.mark.long)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_rolling_restart_of_all_agents(scene, result, rounds):
    scene = scene(agents=2)
    scene.run_load()
    leaves = []
    for agent in scene.agents * rounds:
        leaves.append(scene.leave(scene.agents.pop(0)))
        scene.start_agent()
        scene.settle()
    result.update(leave=max(leaves))
    time.sleep(1)
    requests, talks = scene.finish()
    assert_nothing_lost(scene, requests, talks)


@pytest.mark.timeout(120)
def test_a_service_that_restarts_is_502_only_while_nothing_listens(scene, result):
    scene = scene()
    scene.run_load()
    told = time.monotonic()
    scene.service.stop()
    time.sleep(2)
    scene.service.start()
    back = time.monotonic()
    time.sleep(2)
    requests, talks = scene.finish()
    before, after = requests.failed_from(0, told - 0.5), requests.failed_from(back)
    result.update(failed_before=len(before), failed_after=len(after))
    assert len(requests.failed) > 100 and not before and not after, (before[:5], after[:5])
    assert all(request.outcome.startswith("502:") for request in requests.failed), requests.reasons()
    assert not talks.wrong and all(told - 0.1 < talk.end < back + 0.1 for talk in talks.cut), (told, back, talks.cut)
    assert not scene.service.duplicates()
