# SPDX-License-Identifier: MIT
# Thousands of tunnels whose node is killed: all come back on the other nodes in time, and what they cost settles.
# Light agents: two processes with half of the listeners each, one tunnel a listener.

import time

import pytest

from harness.process import PikoProcess
from harness.usage import cpu_time

pytestmark = pytest.mark.alone
HEAD = "connect: { url: %s, tunnels: 1 }\ngrace_period: 2s\nlisteners:\n"
LINE = '  - { endpoint_id: "e%d", addr: "%s", access_log: { disable: true } }\n'


def count(members):
    return sum(len(member.endpoints()) for member in members)


def wait_for(scene, members, wanted, timeout):
    """Seconds until these nodes have all of them."""
    start = time.monotonic()
    while (now := count(members)) != wanted:
        assert all(agent.running for agent in scene.agents), [agent.log[-1000:] for agent in scene.agents]
        assert time.monotonic() < start + timeout, f"{now} of {wanted} tunnels after {timeout} s"
        time.sleep(0.25)
    return time.monotonic() - start


def start_agents(scene, total):
    for half in range(2):
        config = scene.directory / f"many-{half}.yaml"
        config.write_text(HEAD % scene.balancer.upstream_url + "".join(LINE % (number, scene.service.web) for number in range(half, total, 2)))
        scene.agents.append(scene.piko.start(PikoProcess, "many", scene.piko.looped("agent", "start", "--config.path", config, *scene.piko.dialling)))


def watch(members, seconds):
    """CPU of each node in each second, as a share of one processor."""
    rounds, before, at = [], usage(members), time.monotonic()
    for _ in range(seconds):
        time.sleep(1)
        now, then = usage(members), time.monotonic()
        rounds.append({name: (now[name] - before[name]) / (then - at) for name in now})
        before, at = now, then
    return rounds


def usage(members):
    return {member.id: cpu_time(member.process.pid) for member in members}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("total", [1000, pytest.param(5000, marks=pytest.mark.long)])
def test_tunnels_whose_node_is_killed(scene, result, total):
    scene = scene(agents=0)
    victim, *others = scene.cluster.members
    for other in others:
        scene.balancer.ask(f"disable server upstreams/{other.id}")
    start_agents(scene, total)
    result.update(first=wait_for(scene, [victim], total, 60))
    for other in others:
        scene.balancer.ask(f"enable server upstreams/{other.id}")
    scene.balancer.wait_up(others)
    victim.kill()
    result.update(back=wait_for(scene, others, total, 60))
    rounds = watch(others, 30)
    steady = {other.id: sum(r[other.id] for r in rounds[-10:]) / 10 for other in others}
    over = {name: sum(r[name] > 2 * share + 0.01 for r in rounds) for name, share in steady.items()}
    result.update(steady_cpu=max(steady.values()), seconds_over=max(over.values()), converge=scene.cluster.converge(10))
    scene.finish_without_load()
    assert result["back"] <= 20 and result["seconds_over"] <= 10, (result, rounds)
