# SPDX-License-Identifier: MIT
# A running tunnel that the tests of a module share: server, an HTTP agent and a TCP agent before one scripted service.
# Started again when a test brought it down, so that one failure stays one failure. With two nodes the agents are connected to the one, and
# the clients to the other.

from peer.client import Client, fetch
from peer.service import Service

from .piko import Piko


class Tunnel:
    """Endpoints "web" (agent http) and "raw" (agent tcp) reach the same service."""

    def __init__(self, directory, loops, host="127.0.0.1", nodes=1, armour=None):
        self.piko = Piko(directory, loops, armour)
        self.host = host
        self.nodes = nodes
        self.service = Service(host=host)
        self.start()

    def start(self):
        self.node, home = self.piko.servers(self.nodes, host=self.host)
        self.agents = {
            "http": self.piko.agent("http", home, "web", self.service.addr),
            "tcp": self.piko.agent("tcp", home, "raw", self.service.addr),
        }
        self.piko.until(self.node, lambda: sum(item["endpoints"] for item in self.node.nodes) == 2)

    @property
    def running(self):
        return all(process.running for process in self.piko.processes)

    def restart(self):
        self.service.drop()
        try:
            self.piko.stop()
        except AssertionError:
            pass  # told to the test in which it happened
        self.start()

    def close(self):
        self.service.close()
        self.piko.stop()


class Web:
    """One test's view of a Tunnel through one kind of agent."""

    def __init__(self, tunnel, kind):
        self.kind = kind
        self.endpoint = {"http": "web", "tcp": "raw"}[kind]
        self.tunnel = tunnel
        self.service = tunnel.service
        self.node = tunnel.node
        self.agent = tunnel.agents[kind]
        self.proxy = tunnel.node.proxy

    def serve(self, handler):
        self.service.fresh(handler)
        return self

    def fetch(self, target="/", method="GET", headers=(), body=None, timeout=10.0, source=None):
        return fetch(self.proxy, self.endpoint, target, method, headers, body, timeout, source)

    def client(self, timeout=10.0):
        return Client(self.proxy, timeout)

    def raw(self, data, timeout=10.0):
        """A client that has sent these bytes; ENDPOINT in them stands for the endpoint."""
        client = Client(self.proxy, timeout)
        client.send(data.replace(b"ENDPOINT", self.endpoint.encode()))
        return client

    def check(self):
        errors, self.service.errors[:] = list(self.service.errors), []
        for process in self.tunnel.piko.processes:
            assert process.running, f"{process.name} ended with {process.child.returncode}:\n{process.log[-4000:]}"
        assert not errors, f"the service's script: {errors}"
