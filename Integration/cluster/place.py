# SPDX-License-Identifier: MIT
# Where the nodes of a cluster live: all on loopback, or each in a network namespace of its own, so that the network between
# them can be cut while clients, agents and the balancer still reach every one. Namespaces need root; only those made here are touched.

import concurrent.futures
import ctypes
import json
import os
import subprocess

from harness.ports import free_port

LIBC = ctypes.CDLL(None, use_errno=True)
NETWORK = 0x40000000


class Loopback:
    """Nodes differ by their ports."""

    def __init__(self):
        self.ports = {}

    def prefix(self, number):
        """What comes in front of a node's command."""
        return []

    def address(self, number, port):
        """Where clients, agents and the balancer reach a port (proxy, upstream, admin, gossip) of a node, and so do other nodes."""
        return f"127.0.0.1:{self.ports.setdefault((number, port), free_port())}"

    def flags(self, number):
        return [part for port in ("proxy", "upstream", "admin") for part in (f"--{port}.bind-addr", self.address(number, port))]

    def gossip(self, number):
        return self.address(number, "gossip")

    def close(self):
        pass


def run(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=20)


def enter(path):
    """Moves this thread, and what it starts from now on, into the network namespace."""
    handle = os.open(path, os.O_RDONLY)
    try:
        if LIBC.setns(handle, NETWORK):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(handle)


class Namespaces:
    """Each node has a leg in the front network (10.77.0.0, with everybody else) and one in the network between nodes (10.78.0.0).
    The test itself, and all it starts but nodes, live in a namespace "hub" until `close`."""

    HUB = "10.77.0.1"
    PORTS = {"proxy": 8000, "upstream": 8001, "admin": 8002, "gossip": 8003}

    def __init__(self, count):
        assert os.getuid() == 0, "cutting networks needs root: run this test as root, or leave it out with -m 'not namespaces'"
        self.names = [f"piko-{os.getpid()}-{number}" for number in range(count)]
        self.hub = f"piko-{os.getpid()}-hub"
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        for name in [self.hub, *self.names]:
            run("ip", "netns", "add", name)
        enter(f"/run/netns/{self.hub}")
        run("ip", "link", "set", "lo", "up")
        for bridge in ("front", "between"):
            run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", 0)
            run("ip", "link", "set", bridge, "up")
        run("ip", "addr", "add", f"{self.HUB}/24", "dev", "front")
        for number in range(count):
            self.connect(number)

    def connect(self, number):
        name = self.names[number]
        for bridge, net in (("front", 77), ("between", 78)):
            ours, theirs = f"{bridge[0]}{number}", f"{bridge[0]}{number}-node"
            run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
            run("ip", "link", "set", ours, "master", bridge)
            run("ip", "link", "set", ours, "up")
            run("ip", "-n", name, "addr", "add", f"10.{net}.0.{10 + number}/24", "dev", theirs)
            run("ip", "-n", name, "link", "set", theirs, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")

    def prefix(self, number):
        return ["ip", "netns", "exec", self.names[number]]

    def address(self, number, port):
        return f"10.77.0.{10 + number}:{self.PORTS[port]}"

    def flags(self, number):
        parts = []
        for port in ("proxy", "upstream", "admin"):
            parts += [f"--{port}.bind-addr", f"0.0.0.0:{self.PORTS[port]}"]
        for port in ("proxy", "admin"):
            parts += [f"--{port}.advertise-addr", f"10.78.0.{10 + number}:{self.PORTS[port]}"]
        return parts

    def gossip(self, number):
        return f"10.78.0.{10 + number}:{self.PORTS['gossip']}"

    def cut(self, number):
        """From now on the other nodes and this one hear nothing of each other; no one is told."""
        run("ip", "link", "set", f"b{number}", "nomaster")

    def heal(self, number):
        run("ip", "link", "set", f"b{number}", "master", "between")

    def vanish(self, number):
        """From now on the front network and this one hear nothing of each other. No one is told, nor finds out by asking where it is."""
        link = subprocess.run(["ip", "-n", self.names[number], "-j", "link", "show", f"f{number}-node"], check=True, capture_output=True, timeout=20)
        place = json.loads(link.stdout)[0]["address"]
        run("ip", "neigh", "replace", f"10.77.0.{10 + number}", "lladdr", place, "dev", "front", "nud", "permanent")
        run("ip", "link", "set", f"f{number}", "nomaster")

    def appear(self, number):
        run("ip", "link", "set", f"f{number}", "master", "front")

    def within(self, number, work):
        """What work() gives, done in there: sockets that it makes stay there."""
        with concurrent.futures.ThreadPoolExecutor(1, initializer=enter, initargs=(f"/run/netns/{self.names[number]}",)) as pool:
            return pool.submit(work).result()

    def close(self):
        LIBC.setns(self.home, NETWORK)
        os.close(self.home)
        for name in [*self.names, self.hub]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20)
