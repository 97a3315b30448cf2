# SPDX-License-Identifier: MIT
# `piko test cluster`: nodes behind a balancer of its own. That they serve, come and go as told, and leave nothing behind.
# The balancer's ports are the test's own; the nodes' are any.

import json
import os
import signal
import sys
import time

import pytest

from harness.piko import Node
from harness.ports import free_port
from harness.usage import eventually
from peer.client import fetch
from peer.wire import Ended


class Cluster(Node):
    """A test cluster; its balancer's ports are those of a node."""

    @property
    def nodes(self):
        """Status by id, as one of the nodes lists it."""
        return {item["id"]: item["status"] for item in json.loads(self.ask("/status/cluster/nodes").body)}

    @property
    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as own:
            pids = own.read().split()
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/children") as more:
                pids += more.read().split()
        return sorted(set(map(int, pids)))

    def active(self, count, without=None):
        """Whether so many nodes are active, and one of them not. A question may meet a node that is about to end."""
        try:
            names = [name for name, status in self.nodes.items() if status == "active"]
        except (OSError, Ended):
            return False
        return len(names) == count and without not in names


@pytest.fixture
def start(piko):
    def start(*flags, prefix=()):
        ports = {name: f"127.0.0.1:{free_port()}" for name in ("proxy", "upstream", "admin")}
        words = [word for name, addr in ports.items() for word in (f"--{name}.bind-addr", addr)]
        cluster = piko.start(Cluster, "test-cluster", ["test", "cluster", "--grace-period", "5s", *words, *flags], prefix=prefix)
        for name, addr in ports.items():
            setattr(cluster, name, addr)
        piko.until(cluster, lambda: cluster.ready)
        return cluster
    return start


def gone(pid):
    try:
        os.kill(pid, 0)
        return False
    except ProcessLookupError:
        return True


def test_three_nodes_serve_and_leave_nothing_behind(piko, start, service):
    cluster = start()
    eventually(lambda: cluster.active(3), 10, "three nodes")
    children = cluster.children
    assert len(children) == 3
    agent = piko.agent("http", cluster.upstream_url, "web", service.addr)
    # Whichever node has a turn, the agent's is found.
    eventually(lambda: all(fetch(cluster.proxy, "web", "/").status == 200 for _ in range(6)), 10, "all nodes reach it")
    agent.stop()
    cluster.stop()
    assert all(map(gone, children))


def test_a_node_that_is_killed_is_replaced(start):
    cluster = start("--nodes", "2")
    eventually(lambda: cluster.active(2), 10)
    victim = cluster.children[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(cluster.children) == 2 and victim not in cluster.children, 10)
    eventually(lambda: cluster.active(2), 10)
    cluster.wait_line(lambda line: line["msg"] == "node ended" and line["status"] == 137)


def test_a_hangup_reads_the_file_again(start, tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text("nodes: 1\n")
    cluster = start("--config.path", str(file))
    eventually(lambda: cluster.active(1), 10)
    file.write_text("nodes: none\n")
    cluster.signal(signal.SIGHUP)
    line = cluster.wait_line(lambda line: line["msg"] == "configuration not changed")
    assert line["error"] == f'{file}:1: nodes: expected a whole number from 1 to 100, got "none"'
    file.write_text("nodes: 3\n")
    cluster.signal(signal.SIGHUP)
    eventually(lambda: cluster.active(3), 20)
    file.write_text("nodes: 2\n")
    cluster.signal(signal.SIGHUP)
    eventually(lambda: cluster.active(2, without="node-1") and len(cluster.children) == 2, 20)


def test_churn_replaces_nodes_and_nobody_notices(piko, start, service):
    cluster = start("--nodes", "2", "--churn.interval", "1s")
    piko.agent("http", cluster.upstream_url, "web", service.addr)
    # The balancer goes round: then both nodes have heard of the endpoint.
    eventually(lambda: all(fetch(cluster.proxy, "web", "/").status == 200 for _ in range(4)), 10)
    first = set(cluster.children)
    failures = []

    def replaced():
        try:
            answer = fetch(cluster.proxy, "web", "/")
            if answer.status != 200:
                failures.append(answer.status)
        except OSError as failure:
            failures.append(failure)
        return not first & set(cluster.children)
    eventually(replaced, 60, "both nodes replaced")
    assert not failures


def test_nodes_end_with_a_killed_parent(start):
    cluster = start("--nodes", "2")
    children = cluster.children
    assert len(children) == 2
    cluster.kill()
    cluster.checked = True
    eventually(lambda: all(map(gone, children)), 15)


# Runs the cluster as a child, and waits for it: a shell; one that asks for it to be left alone; a terminal, which hangs up with its holder.
SHELL = ["sh", "-c", '"$0" "$@" & wait']
NOHUP = ["sh", "-c", 'nohup "$0" "$@" & wait']
TERMINAL = [sys.executable, "-c", """
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    os.read(terminal, 65536)
"""]


IGNORING = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize("holder", [SHELL, TERMINAL], ids=["parent", "terminal"])
def test_nothing_is_left_of_it_when_whoever_started_it_is_gone(start, holder):
    cluster = start("--nodes", "2", prefix=holder)
    (child,) = cluster.children
    cluster.checked = True
    cluster.kill()
    try:
        eventually(lambda: gone(child), 15)
    finally:
        if not gone(child):
            os.kill(child, signal.SIGTERM)


def test_a_cluster_that_is_to_be_left_alone_is(start):
    cluster = start("--nodes", "1", prefix=NOHUP)
    (child,) = cluster.children
    cluster.checked = True
    cluster.kill()
    try:
        for _ in range(10):
            assert cluster.ready and not gone(child)
            time.sleep(0.1)
    finally:
        os.kill(child, signal.SIGTERM)
    eventually(lambda: gone(child), 15)


def test_nodes_that_somebody_else_collects_are_seen_to_end(start):
    """Who is started with SIGCHLD ignored has no children to wait for."""
    cluster = start("--nodes", "2", prefix=[sys.executable, "-c", IGNORING])
    eventually(lambda: cluster.active(2), 10)
    victim = cluster.children[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(cluster.children) == 2 and victim not in cluster.children, 10)
    cluster.stop()


def test_a_port_in_use_is_named_and_nothing_is_started(piko, start):
    cluster = start("--nodes", "1")
    second = piko.start(Cluster, "second", ["test", "cluster", "--proxy.bind-addr", cluster.proxy])
    assert second.wait() == 1
    second.check()
    assert f"proxy.bind_addr: cannot listen at {cluster.proxy}: address already in use" in second.log and "node started" not in second.log


@pytest.mark.parametrize("words, error", [
    ("--nodes 0", '--nodes: expected a whole number from 1 to 100, got "0"'),
    ("--churn.interval x", '--churn.interval: expected a duration such as 10s or 1m30s, got "x"'),
    ("extra", "unexpected argument: extra"),
])
def test_mistakes(run, words, error):
    assert run("test", "cluster", *words.split()).error == error
