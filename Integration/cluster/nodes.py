# SPDX-License-Identifier: MIT
# The nodes of one cluster: each keeps its id and its addresses for life, its process comes and goes. And whether all of them
# say the same about the cluster, which is what gossip is for.

import json
import signal
import time

from harness.piko import Node
from peer.wire import Ended


KEY = "a5" * 32  # of gossip, where the run has TLS


class Member:
    """A node's place in the cluster; `process` is who holds it now, dead or alive."""

    def __init__(self, cluster, number):
        self.cluster = cluster
        self.number = number
        self.id = f"n{number}"
        self.process = None
        self.frozen = False

    def address(self, port):
        return self.cluster.place.address(self.number, port)

    def start(self, wait=True):
        place, piko = self.cluster.place, self.cluster.piko
        addrs = [self.address(port) for port in ("proxy", "upstream", "admin")]
        flags = [*place.flags(self.number), "--cluster.node-id", self.id, *self.cluster.join_flags(self), *piko.guarded(*addrs), *self.cluster.flags]
        self.process = piko.start(Node, self.id, piko.looped("server", *flags), prefix=place.prefix(self.number))
        self.process.proxy, self.process.upstream, self.process.admin = addrs
        self.process.scheme = piko.scheme
        if wait:
            self.wait()

    def wait(self):
        self.cluster.piko.until(self.process, lambda: self.process.ready, timeout=20.0)

    @property
    def alive(self):
        return bool(self.process and self.process.running and not self.frozen)

    def stop(self, timeout=30.0):
        """Asks it to leave; checks that it left with 0 and nothing held. Seconds that took."""
        start = time.monotonic()
        self.process.stop(timeout)
        return time.monotonic() - start

    def kill(self):
        """The moment after which it surely did nothing any more."""
        self.process.checked = True
        self.process.kill()
        return time.monotonic()

    def freeze(self):
        self.process.signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self):
        self.process.signal(signal.SIGCONT)
        self.frozen = False

    def status(self, path):
        """The admin port's answer as a value; None where there is none."""
        try:
            answer = self.process.ask(path)
        except (OSError, Ended):
            return None
        return json.loads(answer.body) if answer.status == 200 else None

    def endpoints(self):
        """Its own tunnels: listeners by endpoint."""
        return self.status("/status/upstream/endpoints") or {}

    def listeners(self, endpoint):
        return self.endpoints().get(endpoint, 0)

    def view(self):
        """What it says of each node: (status, endpoints, listeners)."""
        return {node["id"]: (node["status"], node["endpoints"], node["upstreams"]) for node in self.status("/status/cluster/nodes") or []}


class Cluster:
    def __init__(self, piko, place, size=3, flags=()):
        self.piko = piko
        self.place = place
        self.flags = [str(flag) for flag in flags]
        self.size = size
        self.members = [Member(self, number) for number in range(size)]

    def join_flags(self, member):
        """A cluster of one has no other to join."""
        if self.size == 1:
            return []
        others = [self.place.gossip(number) for number in range(self.size) if number != member.number]
        keys = ["--cluster.gossip.keys", KEY] if self.piko.armour else []
        return ["--cluster.gossip.bind-addr", self.place.gossip(member.number), "--cluster.join", ",".join(others), *keys]

    def start(self, members=None):
        """All at once: none is ready before it found another."""
        members = members or self.members
        for member in members:
            member.start(wait=False)
        for member in members:
            member.wait()

    @property
    def living(self):
        return [member for member in self.members if member.alive]

    def holders(self, endpoint):
        return [member for member in self.living if member.listeners(endpoint)]

    def disagreements(self):
        """What the living nodes say that is not so, as text; empty when every view is the truth."""
        truth = {member.id: member.endpoints() for member in self.living}
        right = {name: ("active", len(endpoints), sum(endpoints.values())) for name, endpoints in truth.items()}
        found = []
        for member in self.living:
            view = member.view()
            found += [f"{member.id} says {other} is {view.get(other)}, it is {so}" for other, so in right.items() if view.get(other) != so]
            found += [f"{member.id} says {other} is active, it is gone" for other in view.keys() - right.keys() if view[other][0] == "active"]
        return found

    def converge(self, timeout=10.0):
        """Seconds until all living nodes know the truth."""
        start = time.monotonic()
        while found := self.disagreements():
            assert time.monotonic() < start + timeout, f"views after {timeout} s: {found}"
            time.sleep(0.05)
        return time.monotonic() - start
