# SPDX-License-Identifier: MIT
# Starts processes of ours with ports of their own and knows when they serve.
# Ready means: a node says so on its admin port; an agent: the node lists its tunnel; a forward: it listens.

import json
import os
import pathlib
import socket

from peer import tls
from peer.client import fetch
from peer.wire import Ended, address, spell

from .ports import free_port
from .process import PikoProcess
from .usage import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    """The program under test: PIKO_BIN, else the release build, else the debug build."""
    if path := os.environ.get("PIKO_BIN"):
        return pathlib.Path(path).resolve()
    for kind in ("release", "debug"):
        if (path := ROOT / ".build" / kind / "piko").exists():
            return path
    raise FileNotFoundError("no piko: build it (swift build -c release) or set PIKO_BIN")


def listening(addr):
    try:
        socket.create_connection(address(addr), 1).close()
        return True
    except OSError:
        return False


class Node(PikoProcess):
    """A server node; `proxy`, `upstream`, `admin` and `gossip` are its addresses as "host:port"."""

    proxy = upstream = admin = gossip = None
    scheme = "http"

    @property
    def proxy_url(self):
        return f"{self.scheme}://{self.proxy}"

    @property
    def upstream_url(self):
        return f"{self.scheme}://{self.upstream}"

    @property
    def admin_url(self):
        return f"{self.scheme}://{self.admin}"

    def ask(self, path, headers=()):
        """The response of the admin port."""
        return fetch(self.admin, "admin", path, headers=headers)

    def metric(self, sample, headers=()):
        """The value of a sample, spelled with its labels; 0 where there is none."""
        lines = self.ask("/metrics", headers).body.decode().splitlines()
        return sum(int(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == sample)

    def counts(self, sample, value=1, headers=()):
        """Waits until the sample has this value: a count may follow the end that a client sees."""
        eventually(lambda: self.metric(sample, headers) == value, what=f"{sample} {value}")

    @property
    def ready(self):
        """Whether the node says that it serves. At start it tries its ports and lets go again: who comes then is reset."""
        try:
            return listening(self.admin) and self.ask("/ready").status == 200
        except (Ended, OSError):
            return False

    @property
    def nodes(self):
        """The cluster as this node lists it."""
        return json.loads(self.ask("/status/cluster/nodes").body)

    @property
    def active(self):
        return sum(item["status"] == "active" for item in self.nodes)

    def listeners(self, endpoint):
        """How many tunnels the node has for the endpoint."""
        return json.loads(self.ask("/status/upstream/endpoints").body).get(endpoint, 0)


class Forward(PikoProcess):
    addr = None


class Piko:
    """Starts processes and ends all of them; one for a test or a module. `tokens`: what they are given of them (tokens.Everywhere)."""

    tokens_everywhere = None

    def __init__(self, directory, loops, armour=None, tokens=None):
        self.tokens = tokens if tokens is not None else Piko.tokens_everywhere
        self.directory = directory
        self.loops = loops
        self.armour = armour
        self.processes = []
        self.started = 0

    def start(self, kind, name, command, prefix=(), **options):
        """`prefix`: a command that runs ours in its own place, and becomes it."""
        self.started += 1
        process = kind([*prefix, binary(), *command], self.directory, f"{self.started:03}-{name}", **options)
        self.processes.append(process)
        return process

    @property
    def scheme(self):
        return "https" if self.armour else "http"

    def guarded(self, *addrs):
        """Flags of a server whose three ports these are: TLS and tokens, where the run has them; our own clients know of it."""
        if self.armour:
            tls.trusted.update((addr, self.armour.context) for addr in addrs)
        return [*(self.armour.server if self.armour else []), *self.server_tokens]

    @property
    def dialling(self):
        """Flags of agents and forwards that go to such a server."""
        return [*self.connect_token, *self.trust]

    @property
    def asking(self):
        """Flags of `piko server status` for such a server."""
        return [*(self.tokens.asking if self.tokens else []), *(self.armour.asking if self.armour else [])]

    @property
    def curl(self):
        """curl's words for a request to such a server."""
        return [*(self.tokens.curl if self.tokens else []), *(self.armour.curl if self.armour else [])]

    @property
    def trust(self):
        return self.armour.client if self.armour else []

    def looped(self, *command):
        return [*command, "--engine.loops", self.loops]

    def server(self, *flags, host="127.0.0.1", wait=True, **options):
        proxy, upstream, admin, gossip = (spell(host, free_port()) for _ in range(4))
        addresses = ["--proxy.bind-addr", proxy, "--upstream.bind-addr", upstream, "--admin.bind-addr", admin,
                     "--cluster.gossip.bind-addr", gossip]
        node = self.start(Node, "server", self.looped("server", *addresses, *self.guarded(proxy, upstream, admin), *flags), **options)
        node.proxy, node.upstream, node.admin, node.gossip = proxy, upstream, admin, gossip
        node.scheme = self.scheme
        if wait:
            self.until(node, lambda: node.ready)
        return node

    @property
    def server_tokens(self):
        return self.tokens.FLAGS if self.tokens else []

    @property
    def connect_token(self):
        return self.tokens.connect if self.tokens else []

    def servers(self, count, flags=(), **options):
        """Nodes of one cluster, all of which know each other: the first, and the last."""
        first = self.server(*flags, **options)
        nodes = [first] + [self.server("--cluster.join", first.gossip, *flags, **options) for _ in range(count - 1)]
        for node in nodes:
            self.until(node, lambda: node.active == count)
        return first, nodes[-1]

    def agent(self, kind, node, endpoint, addr, *flags, wait=True, **options):
        """`kind`: http or tcp; `node`: a Node or a URL; `addr`: where the service is."""
        url = node if isinstance(node, str) else node.upstream_url
        command = self.looped("agent", kind, endpoint, addr, "--connect.url", url, *self.dialling, *flags)
        waits = wait and isinstance(node, Node)
        before = node.listeners(endpoint) if waits else 0
        agent = self.start(PikoProcess, f"agent-{endpoint}", command, **options)
        if waits:
            self.until(agent, lambda: node.listeners(endpoint) > before)
        return agent

    def forward(self, node, endpoint, *flags, host="127.0.0.1", wait=True, **options):
        url = node if isinstance(node, str) else node.proxy_url
        addr = spell(host, free_port())
        command = self.looped("forward", "tcp", addr, endpoint, "--connect.url", url, *self.dialling, *flags)
        forward = self.start(Forward, "forward", command, **options)
        forward.addr = addr
        if wait:
            self.until(forward, lambda: listening(addr))
        return forward

    def run(self, *command, timeout=10.0, env=None):
        """Runs a command to its end: the ended process, its status in `child.returncode`."""
        process = self.start(PikoProcess, "run", command, env=env)
        process.checked = True
        process.wait(timeout)
        return process

    def until(self, process, condition, timeout=10.0):
        def ready():
            assert process.running, f"{process.command}\nended with {process.child.returncode}: {process.log[-2000:]}"
            return condition()
        eventually(ready, timeout, f"{process.name} serving\n{process.log[-2000:]}")

    def stop(self):
        """Ends everything, newest first, and reports the first process that did not end as it should."""
        failures = []
        for process in reversed(self.processes):
            try:
                process.stop()
            except AssertionError as failure:
                failures.append(failure)
        self.processes.clear()
        if failures:
            raise failures[0]
