# SPDX-License-Identifier: MIT
# A whole deployment for one fault: nodes, HAProxy, agents that come through it, a service, a forward, load and streams.
# `finish` ends load first, then everything else, and takes the figures; `close` is for what a failed test left.

import random
import time

from harness.piko import Piko
from harness.process import PikoProcess
from harness.usage import eventually

from .balancer import Balancer
from .nodes import Cluster
from .place import Loopback
from .traffic import Load, Service, Streams

AGENT = """
connect:
  url: {url}
grace_period: {grace}s
listeners:
  - {{ endpoint_id: web, addr: "{web}", protocol: http, access_log: {{ disable: true }} }}
  - {{ endpoint_id: echo, addr: "{echo}", protocol: tcp, access_log: {{ disable: true }} }}
"""


class Scene:
    """`grace`: seconds that nodes and agents have to leave. `cut`: the balancer ends the connections of a node that it gives up."""

    def __init__(self, directory, loops, result, size=3, agents=2, grace=5, mode="http", cut=False, place=None, flags=(), armour=None):
        self.directory = directory
        self.result = result
        self.grace = grace
        self.agent_count = agents
        self.rng = random.Random(result["seed"])
        self.place = place or Loopback()
        self.piko = Piko(directory, loops, armour)
        self.service = Service(directory)
        flags = ["--proxy.access-log.disable", "--grace-period", f"{grace}s", *flags]
        self.cluster = Cluster(self.piko, self.place, size, flags)
        self.balancer_options = {"mode": mode, "cut": cut, "armour": armour}
        self.balancer = self.forward = self.load = self.streams = None
        self.agents = []
        self.leavings = []
        self.checked = False

    def start(self):
        self.service.start()
        self.cluster.start()
        self.balancer = Balancer(self.directory, self.cluster.members, **self.balancer_options)
        self.balancer.wait_up(self.cluster.members)
        self.config = self.directory / "agent.yaml"
        self.config.write_text(AGENT.format(url=self.balancer.upstream_url, grace=self.grace, web=self.service.web, echo=self.service.echo))
        for _ in range(self.agent_count):
            self.start_agent()
        self.settle()
        return self

    def start_agent(self):
        command = self.piko.looped("agent", "start", "--config.path", self.config, *self.piko.dialling)
        agent = self.piko.start(PikoProcess, "agent", command)
        self.agents.append(agent)
        return agent

    def tunnels(self, endpoint="web"):
        """Over all living nodes."""
        return sum(member.listeners(endpoint) for member in self.cluster.living)

    @property
    def wanted(self):
        """How many tunnels an endpoint has once every agent is where it wants to be: two each, where there are two nodes."""
        return sum(agent.running for agent in self.agents) * min(2, len(self.cluster.living))

    def settle(self, timeout=20.0):
        """Every agent has all its tunnels, every node knows of them. Seconds that took."""
        start = time.monotonic()
        while any(self.tunnels(endpoint) != self.wanted for endpoint in ("web", "echo")):
            for agent in self.agents:
                assert agent.running, f"{agent.name} ended with {agent.child.returncode}: {agent.log[-2000:]}"
            assert time.monotonic() < start + timeout, f"tunnels after {timeout} s: {[(m.id, m.endpoints()) for m in self.cluster.living]}, expected {self.wanted} of each"
            time.sleep(0.05)
        if len(self.cluster.living) > 1:
            self.cluster.converge(timeout)
        return time.monotonic() - start

    def run_load(self, workers=12, rate=40, streams=4):
        """Starts load on the balancer and, with `streams`, as many TCP connections through a forward of ours."""
        self.load = Load(self.directory, self.balancer.proxy, "web", workers, rate, self.result["seed"], self.piko.tokens)
        if streams:
            self.forward = self.piko.forward(self.balancer.proxy_url, "echo", "--grace-period", "2s")
            self.streams = Streams(self.directory, self.forward.addr, 1, streams)
        eventually(lambda: self.load.count() > 3 * workers, what="load that runs")

    def leave(self, process, timeout=40.0):
        """Asks a node or an agent to leave, and waits for it. Seconds that took; streams may end only once its grace is over."""
        told = time.monotonic()
        process.stop(timeout)
        self.leavings.append((told, self.grace, time.monotonic()))
        return time.monotonic() - told

    def restart(self, member):
        """A node leaves and comes back; over when the balancer sends to it again."""
        took = self.leave(member.process)
        member.start()
        self.balancer.wait_up([member])
        return took

    def end_load(self):
        """The requests; their figures are taken."""
        self.load.finish()
        requests = self.load.result()
        gap, since, worker = requests.gap()
        self.result.update(requests=len(requests), failed=len(requests.failed), gap=gap, slowest=requests.slowest(), failures=requests.reasons())
        return requests

    def end_streams(self):
        self.streams.finish()
        talks = self.streams.result()
        early = talks.early(self.leavings)
        self.result.update(streams_cut=len(talks.cut), streams_early=len(early), streams_refused=len(talks.refused), streams_wrong=len(talks.wrong),
                           stream_wait=max(talk.longest for talk in talks.all))
        return talks

    def finish(self):
        """Ends load, streams and every process, checks each end. The requests and, where there were streams, the connections."""
        talks = self.end_streams() if self.streams else None
        requests = self.end_load()
        self.finish_without_load()
        self.result.update(duplicates=len(self.service.duplicates()))
        return requests, talks

    def finish_without_load(self):
        self.checked = True
        self.piko.stop()
        self.balancer.close()
        self.service.stop()

    def close(self):
        """After a test, whatever became of it."""
        for member in self.cluster.members:
            if member.frozen and member.process.running:
                member.thaw()
        try:
            if not self.checked:
                self.piko.stop()
        finally:
            for program in (self.load, self.streams, self.balancer, getattr(self.service, "program", None)):
                if program:
                    program.kill()
            self.place.close()


def assert_nothing_lost(scene, requests, talks):
    assert not requests.failed, (len(requests.failed), requests.reasons(), requests.failed[:5])
    early = talks.early(scene.leavings)
    assert not early and not talks.wrong and not talks.refused, (early[:4], talks.wrong[:4], talks.refused[:4], scene.leavings)
    assert not scene.service.duplicates()
