# SPDX-License-Identifier: MIT
# A node under attack beside one that is not: what others notice of it, what it costs the node and its agent, and whether anything is left of it.
# What measures with it runs alone.

import contextlib
import time

from peer.client import Client, fetch

from .usage import cpu, descriptors, eventually, rss

KIBI = 1024
MEBI = 1 << 20
ROUNDS = 5  # the median of their ratios counts


def p99s(*addrs, count=1000):
    """Of each address: requests in turn, so that all of them meet the same machine; every tenth on a connection of its own."""
    times = [[] for _ in addrs]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(addr)) for addr in addrs]
        for number in range(count):
            for addr, client, taken in zip(addrs, clients, times):
                start = time.perf_counter()
                if number % 10:
                    client.request("web", "/echo").response()
                else:
                    fetch(addr, "web", "/echo")
                taken.append(time.perf_counter() - start)
    return [sorted(taken)[int(count * 0.99)] for taken in times]


class Scene:
    """Two nodes, each with an agent before nginx, which has a /large file and reads the whole of an /upload. One of them is attacked; the other, which is
    not, says how fast the machine is at the same time."""

    def __init__(self, piko, service, *flags, host="127.0.0.1"):
        flags = ("--proxy.http.read-header-timeout", "300s", "--proxy.access-log.disable", *flags)
        self.tokens = piko.tokens
        self.node, self.calm_node = piko.server(*flags, host=host), piko.server(*flags, host=host)
        agent = piko.agent("http", self.node, "web", service.addr, "--access-log.disable")
        piko.agent("http", self.calm_node, "web", service.addr, "--access-log.disable")
        p99s(self.node.proxy, self.calm_node.proxy, count=50)
        self.watched = [self.node, agent]
        self.rest()

    def rest(self, *more):
        """The attack begins. `more`: other processes that are to cost no more by it."""
        self.watched += more
        self.before = self.memory
        self.idle = self.open

    @property
    def memory(self):
        return [rss(process.pid) for process in self.watched]

    @property
    def open(self):
        """Descriptors of the node."""
        return descriptors(self.node.pid)

    def check(self, count, each, asked=None):
        """While the connections are held: what others notice, and what they cost. `asked` counts what an attack asks for that holds none: it grows
        during each round."""
        rounds = [self.round(asked) for _ in range(ROUNDS)]
        calm, beside = sorted(rounds, key=lambda pair: pair[1] / pair[0])[ROUNDS // 2]
        grown = [now - then for now, then in zip(self.memory, self.before)]
        used, start = cpu(self.node.pid), time.monotonic()
        time.sleep(2)
        busy = (cpu(self.node.pid) - used) / (time.monotonic() - start)
        held = self.open - self.idle
        costs = ", ".join(f"{bytes_ / count / KIBI:.1f}" for bytes_ in grown)
        print(f"{count} connections, {held} held: p99 {beside * 1000:.2f} ms, {calm * 1000:.2f} ms at a node without them; server and agents "
              f"{costs} KiB each; {busy:.2f} of a core")
        assert beside <= 2 * calm + 0.001, rounds
        assert all(value <= count * each + 8 * MEBI for value in grown), [value / count for value in grown]
        assert busy < 0.6, f"the node spins: {busy}"

    def round(self, asked):
        before = asked() if asked else 0
        times = p99s(self.calm_node.proxy, self.node.proxy)
        assert not asked or asked() > before, "the attack is over"
        return times

    def after(self, seconds=60):
        """Once they are gone nothing is left."""
        eventually(lambda: self.open <= self.idle + 10, seconds, "the connections' end")
        assert fetch(self.node.proxy, "web", "/echo").status == 200
