# SPDX-License-Identifier: MIT
# What nobody announced: a node is killed, frozen, or cut off from the others. Only what it had in its hands may fail; the rest
# goes on, views become the truth again, and it comes back as itself. A dead node is never listed again.

import time

import pytest

from .place import Namespaces

pytestmark = pytest.mark.alone


@pytest.mark.timeout(120)
def test_kill_of_a_node_that_holds_a_tunnel(scene, seed, result):
    scene = scene(agents=1 + seed % 2)
    scene.run_load()
    victim = scene.rng.choice(scene.cluster.holders("web"))
    time.sleep(scene.rng.random())
    victim.kill()
    dead = scene.balancer.looked()  # what it had sent to a connection before it could read its end was in flight
    result.update(others_settle=scene.settle())
    time.sleep(1)
    victim.start()
    scene.balancer.wait_up([victim])
    result.update(settle=scene.settle())
    requests, talks = scene.finish()
    late = requests.failed_from(dead)
    result.update(failed_after=len(late))
    assert not late, (dead, len(late), late[:5])
    assert requests.gap()[0] <= 1.0, (dead, requests.gap())
    assert not talks.wrong and not scene.service.duplicates()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", [6, pytest.param(30, marks=pytest.mark.long)])
def test_a_frozen_node(scene, seed, result, seconds):
    scene = scene(agents=1 + seed % 2, cut=True)
    scene.run_load()
    victim = scene.rng.choice(scene.cluster.holders("web"))
    process = victim.process
    frozen = time.monotonic()
    victim.freeze()
    time.sleep(seconds)
    thawed = time.monotonic()
    victim.thaw()
    result.update(converge=scene.cluster.converge(10))
    scene.balancer.wait_up([victim])
    result.update(settle=scene.settle())
    time.sleep(1)
    assert victim.process is process and process.running
    requests, talks = scene.finish()
    result.update(failed_late=len(requests.failed_from(frozen + 3.0, thawed)), failed_after=len(requests.failed_from(thawed)))
    assert requests.gap()[0] <= 3.0, (frozen, thawed, requests.gap())
    late = requests.failed_from(frozen + 3.0)
    assert not late, (frozen, thawed, late[:5])
    assert not talks.wrong and not scene.service.duplicates()


@pytest.mark.namespaces
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [10, pytest.param(150, marks=pytest.mark.long)])
def test_a_network_cut_between_nodes(scene, seed, result, seconds):
    """One node and the other two hear nothing of each other, while balancer and agents reach all of them."""
    scene = scene(agents=1 + seed % 2, place=Namespaces(3))
    scene.run_load()
    victim = scene.rng.choice(scene.cluster.members)
    cut = time.monotonic()
    scene.place.cut(victim.number)
    time.sleep(seconds)
    healed = time.monotonic()
    scene.place.heal(victim.number)
    result.update(converge=scene.cluster.converge(5.0))
    result.update(settle=scene.settle())
    time.sleep(max(0.0, healed + 7 - time.monotonic()))
    requests, talks = scene.finish()
    late = requests.failed_from(healed + 5.0)
    result.update(failed_in_cut=len(requests.failed_from(cut, healed)), failed_after=len(late))
    assert not late, (cut, healed, late[:5])
    assert not requests.failed_from(0, cut - 1) and not talks.wrong and not scene.service.duplicates()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seconds", [15, pytest.param(300, marks=pytest.mark.long)])
def test_a_dead_node_is_never_listed_as_active_again(scene, result, seconds):
    scene = scene()
    scene.run_load(workers=4, rate=10, streams=0)
    victim = scene.rng.choice(scene.cluster.members)
    dead = victim.kill()
    noticed, listed, looks = {}, [], 0
    while time.monotonic() < dead + seconds:
        for member in scene.cluster.living:
            active = member.view().get(victim.id, ("unknown",))[0] == "active"
            if active and member.id in noticed:
                listed.append((member.id, time.monotonic() - dead))
            elif not active:
                noticed.setdefault(member.id, time.monotonic() - dead)
            looks += 1
        time.sleep(0.1)
    requests, _ = scene.finish()
    result.update(looks=looks, noticed=max(noticed.values(), default=-1.0), listed=len(listed), failed_after=len(requests.failed_from(dead)))
    assert len(noticed) == 2 and not listed, (noticed, listed[:5])
    assert max(noticed.values()) < 5 and not requests.failed_from(dead)
