# SPDX-License-Identifier: MIT
# Many days in minutes: faults in a random order that the seed decides, several at a time, while load runs. Afterwards every view is
# the truth, nothing fails, no POST was sent twice, and what lived through all of it has not grown.
# n0 and the first agent are never restarted (they are frozen and cut off), so that growth can be seen.

import heapq
import itertools
import signal
import time

import pytest

from harness.usage import descriptors, eventually, rss

from .place import Namespaces

MEBI = 1 << 20
pytestmark = pytest.mark.alone


class Chaos:
    """Begins faults at a pace and ends each after its time. At least one node stays whole at any moment."""

    def __init__(self, scene):
        self.scene = scene
        self.rng = scene.rng
        self.ends = []
        self.order = itertools.count()
        self.hurt = set()
        self.done = {}
        self.story = open(scene.directory / "faults", "a", buffering=1)  # what happened when, for who looks for a cause

    def later(self, seconds, action, *arguments):
        heapq.heappush(self.ends, (time.monotonic() + seconds, next(self.order), action, arguments))

    def run(self, seconds, count):
        """So many faults in about the time; over when the last has ended."""
        due, pause = time.monotonic(), seconds / count
        while count or self.ends:
            if self.ends and self.ends[0][0] <= time.monotonic():
                _, _, action, arguments = heapq.heappop(self.ends)
                if action not in (self.started, self.left, self.agent_left):
                    self.tell(action.__name__, arguments[0].id)
                action(*arguments)
            elif count and due <= time.monotonic():
                due += pause * self.rng.uniform(0.5, 1.5)
                self.fault()
                count -= 1
            else:
                time.sleep(0.02)

    def fault(self):
        faults = [self.kill, self.leave, self.freeze, self.cut, self.kill_agent, self.leave_agent, self.service]
        # One that finds no victim is none; agents and the service are always there.
        chosen = next(fault for fault in self.rng.sample(faults, len(faults)) if fault())
        self.tell(chosen.__name__)
        self.done[chosen.__name__] = self.done.get(chosen.__name__, 0) + 1

    def tell(self, *words):
        self.story.write(f"{time.monotonic():.3f} {' '.join(map(str, words))}\n")

    def node(self, first):
        """A whole node to hurt, from `first` on, unless it is the last whole one."""
        members = self.scene.cluster.members
        whole = [member for member in members if member not in self.hurt]
        able = [member for member in whole if member.number >= first]
        if len(whole) < 2 or not able:
            return None
        self.hurt.add(victim := self.rng.choice(able))
        self.tell("hurts", victim.id)
        return victim

    def kill(self):
        if victim := self.node(1):
            victim.kill()
            self.later(self.rng.uniform(0.2, 4), self.start, victim)
        return victim

    def start(self, member):
        member.start(wait=False)
        self.later(0.1, self.started, member, time.monotonic() + 20)

    def started(self, member, deadline):
        assert member.process.running, f"{member.id} ended at its start: {member.process.log[-2000:]}"
        if member.process.ready and self.scene.balancer.up(member):
            self.tell("started", member.id)
            self.hurt.discard(member)
        else:
            assert time.monotonic() < deadline, f"{member.id} is not ready: {member.process.log[-2000:]}"
            self.later(0.1, self.started, member, deadline)

    def leave(self):
        if victim := self.node(1):
            victim.process.signal(signal.SIGTERM)
            self.later(0.1, self.left, victim, time.monotonic() + 30)
        return victim

    def left(self, member, deadline):
        if member.process.running:
            assert time.monotonic() < deadline, f"{member.id} does not leave: {member.process.log[-2000:]}"
            return self.later(0.1, self.left, member, deadline)
        member.process.stop()
        self.later(self.rng.uniform(0, 2), self.start, member)

    def freeze(self):
        if victim := self.node(0):
            victim.freeze()
            self.later(self.rng.uniform(0.2, 5), self.thaw, victim)
        return victim

    def thaw(self, member):
        member.thaw()
        self.hurt.discard(member)

    def cut(self):
        if victim := self.node(0):
            self.scene.place.cut(victim.number)
            self.later(self.rng.uniform(0.5, 8), self.heal, victim)
        return victim

    def heal(self, member):
        self.scene.place.heal(member.number)
        self.hurt.discard(member)

    def kill_agent(self):
        agent = self.scene.agents.pop()
        agent.checked = True
        agent.kill()
        self.scene.start_agent()
        return True

    def leave_agent(self):
        """The new one comes before the old one has gone."""
        agent = self.scene.agents.pop()
        eventually(lambda: agent.log, what=f"{agent.name} has begun, and knows what the signal means")
        agent.signal(signal.SIGTERM)
        self.scene.start_agent()
        self.later(0.1, self.agent_left, agent, time.monotonic() + 30)
        return True

    def agent_left(self, agent, deadline):
        if agent.running:
            assert time.monotonic() < deadline, f"{agent.name} does not leave: {agent.log[-2000:]}"
            return self.later(0.1, self.agent_left, agent, deadline)
        agent.stop()

    def service(self):
        self.scene.service.stop()
        self.scene.service.start()
        return True


def sizes(scene):
    """Resident bytes and descriptors of the processes that are never restarted."""
    pids = [scene.cluster.members[0].process.pid, scene.agents[0].pid]
    return [rss(pid) for pid in pids], [descriptors(pid) for pid in pids]


def growth(before, after):
    return [new - old for old, new in zip(before, after)]


@pytest.mark.namespaces
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seconds, faults", [(60, 33), pytest.param(900, 500, marks=pytest.mark.long)])
def test_random_faults(scene, result, seconds, faults):
    scene = scene(grace=2, cut=True, place=Namespaces(3))
    scene.run_load(workers=8, rate=12)  # several of these run beside one another, 90,000 requests each
    chaos = Chaos(scene)
    chaos.run(seconds / 10, faults // 10)  # pools have their size after this
    scene.settle(30)
    memory, files = sizes(scene)
    chaos.run(seconds * 9 / 10, faults - faults // 10)
    settle = scene.settle(30)
    healthy = time.monotonic()
    time.sleep(3)
    memory_now, files_now = sizes(scene)
    result.update(faults=sum(chaos.done.values()), settle=settle, grown_kib=max(growth(memory, memory_now)) // 1024,
                  more_descriptors=max(growth(files, files_now)), kinds=chaos.done)
    requests, talks = scene.finish()
    late = requests.failed_from(healthy)
    result.update(failed_after=len(late))
    assert not late, late[:5]
    assert sum(chaos.done.values()) == faults
    assert not scene.service.duplicates(), scene.service.duplicates()
    assert not talks.wrong
    assert max(growth(memory, memory_now)) < 8 * MEBI and max(growth(files, files_now)) < 50, result
