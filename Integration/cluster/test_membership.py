# SPDX-License-Identifier: MIT
# Who is a member: real nodes that join, die, leave, come back, and one that listens to a peer written with another MessagePack: the recorded
# bytes of an original node are played to it over real sockets. Routing and what clients notice are tested elsewhere.

import json
import os
import pathlib
import signal
import socket

import msgpack
import pytest

from harness.piko import Node
from harness.ports import free_port
from harness.usage import eventually
from peer.wire import address

VECTORS = {
    message["name"]: message
    for message in json.loads((pathlib.Path(__file__).resolve().parents[2] / "Tests/vectors/gossip.json").read_text())["messages"]
}


def members(node):
    """Status by id, as the node lists it."""
    return {item["id"]: item["status"] for item in json.loads(node.ask("/status/cluster/nodes").body)}


def listed(node, name):
    return next((item for item in json.loads(node.ask("/status/cluster/nodes").body) if item["id"] == name), None)


def start(piko, name, *flags, **options):
    return piko.server("--cluster.node-id", name, *flags, **options)


def restart(piko, node, name, *flags):
    """The same node again, at the same addresses."""
    words = ["server", "--cluster.node-id", name, "--proxy.bind-addr", node.proxy, "--upstream.bind-addr", node.upstream,
             "--admin.bind-addr", node.admin, "--cluster.gossip.bind-addr", node.gossip,
             *piko.guarded(node.proxy, node.upstream, node.admin), *flags]
    again = piko.start(Node, name, piko.looped(*words))
    again.proxy, again.upstream, again.admin, again.gossip = node.proxy, node.upstream, node.admin, node.gossip
    again.scheme = node.scheme
    piko.until(again, lambda: again.ready)
    return again


def all_active(nodes):
    return eventually(lambda: all(list(members(node).values()) == ["active"] * len(nodes) for node in nodes), what="all active everywhere")


@pytest.fixture
def three(piko):
    first = start(piko, "one")
    second = start(piko, "two", "--cluster.join", first.gossip)
    third = start(piko, "three", "--cluster.join", first.gossip)
    all_active([first, second, third])
    return first, second, third


def test_three_nodes_find_each_other_by_one_seed(three):
    for node in three:
        assert listed(node, "one")["proxy_addr"] == three[0].proxy and listed(node, "three")["admin_addr"] == three[2].admin


def test_endpoints_are_known_everywhere_as_often_as_they_are_served(piko, three, service):
    agents = [piko.agent("http", three[0], "web", service.addr), piko.agent("tcp", three[0], "db", service.addr)]
    for node in three:
        eventually(lambda: (listed(node, "one")["endpoints"], listed(node, "one")["upstreams"]) == (2, 2), 3)
    agents[1].stop()
    for node in three:
        eventually(lambda: (listed(node, "one")["endpoints"], listed(node, "one")["upstreams"]) == (1, 1), 3)


def test_a_killed_node_is_noticed_and_comes_back_as_itself(piko, three):
    one, two, three_ = three
    three_.kill()
    three_.checked = True
    for node in (one, two):
        eventually(lambda: members(node)["three"] == "unreachable", 10)
    assert members(one)["two"] == "active" == members(two)["one"]
    again = restart(piko, three_, "three", "--cluster.join", one.gossip)
    all_active([one, two, again])


def test_a_node_that_ends_has_left(three):
    one, two, ending = three
    ending.stop()
    for node in (one, two):
        eventually(lambda: members(node)["three"] == "left", 2)


def test_a_node_that_left_comes_back_under_its_name(piko, three):
    one, two, ending = three
    ending.stop()
    eventually(lambda: members(one)["three"] == "left", 2)
    again = restart(piko, ending, "three", "--cluster.join", two.gossip)
    all_active([one, two, again])


def test_a_stopped_process_is_unreachable_and_blames_nobody(three):
    one, two, frozen = three
    frozen.signal(signal.SIGSTOP)
    try:
        eventually(lambda: members(one)["three"] == "unreachable", 10)
    finally:
        frozen.signal(signal.SIGCONT)
    all_active([one, two, frozen])
    assert not [line for line in frozen.lines() if line["msg"] == "node unreachable"]


def test_a_node_is_ready_once_it_has_joined(piko):
    gossip = f"127.0.0.1:{free_port()}"
    early = start(piko, "early", "--cluster.join", gossip, wait=False)
    eventually(lambda: early.running and b"early" in early.ask("/status/cluster/nodes").body if listening(early) else False)
    assert early.ask("/ready").status == 503
    piko.server("--cluster.gossip.bind-addr", gossip)
    eventually(lambda: early.ready, 5)


def listening(node):
    try:
        socket.create_connection(address(node.admin), 1).close()
        return True
    except OSError:
        return False


@pytest.mark.parametrize("seeds", ["{gossip}", "{gossip},127.0.0.1:1", "localhost:{port}"])
def test_the_first_node_of_a_list_that_names_it_starts(piko, seeds):
    gossip = f"127.0.0.1:{free_port()}"
    node = piko.server("--cluster.gossip.bind-addr", gossip, "--cluster.join", seeds.format(gossip=gossip, port=gossip.split(":")[1]))
    assert list(members(node).values()) == ["active"]


def test_nobody_to_join_ends_the_process_in_time(piko):
    node = start(piko, "lonely", "--cluster.join", f"127.0.0.1:{free_port()}", "--cluster.join-timeout", "300ms", wait=False)
    assert node.wait() == 1
    node.check()
    lines = [line for line in node.lines() if line["level"] == "error"]
    assert len(lines) == 1 and "cluster.join: no node answered within 300ms" in lines[0]["error"]


def test_nobody_to_join_is_no_end_when_told_so(piko):
    gossip = f"127.0.0.1:{free_port()}"
    node = start(piko, "patient", "--cluster.join", gossip, "--cluster.join-timeout", "300ms", "--cluster.abort-if-join-fails=false")
    other = piko.server("--cluster.gossip.bind-addr", gossip, "--cluster.node-id", "late")
    all_active([node, other])


def test_a_gossip_port_in_use_is_named(piko, three):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", 0))
            place = f"127.0.0.1:{taken.getsockname()[1]}"
            if kind == socket.SOCK_STREAM:
                taken.listen()
            node = piko.server("--cluster.gossip.bind-addr", place, wait=False)
            assert node.wait() == 1 and f"cluster.gossip.bind_addr: cannot listen at {place}: address already in use" in node.log
            node.check()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_0_is_one_number_for_tcp_and_udp(piko, host):
    spelt = f"[{host}]:0" if ":" in host else f"{host}:0"
    first = start(piko, "zero", "--cluster.gossip.bind-addr", spelt, "--admin.advertise-addr", "elsewhere:1")
    port = next(int(line.split()[1].rpartition(":")[2], 16) for line in inodes(first, "udp6" if ":" in host else "udp"))
    second = start(piko, "joining", "--cluster.gossip.bind-addr", spelt, "--cluster.join", spelt.removesuffix("0") + str(port))
    all_active([first, second])
    assert listed(second, "zero")["admin_addr"] == "elsewhere:1"


def inodes(node, table):
    """The lines of the kernel's table that are sockets of this process."""
    own = set()
    for name in os.listdir(f"/proc/{node.pid}/fd"):
        try:
            own.add(os.readlink(f"/proc/{node.pid}/fd/{name}").partition("[")[2].rstrip("]"))
        except OSError:
            pass
    lines = pathlib.Path(f"/proc/{node.pid}/net/{table}").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[9] in own]


class Peer:
    """A node of one test that speaks gossip by another library: its socket, and what it has heard."""

    def __init__(self, name, port=0):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", port))
        self.udp.settimeout(10)
        self.name = name
        self.addr = f"127.0.0.1:{self.udp.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.udp.close()

    def ask(self, node, data):
        """Sends bytes over TCP and returns the values that come back until the end."""
        with socket.create_connection(address(node.gossip), 10) as connection:
            connection.settimeout(10)
            connection.sendall(data)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer, values(answer)

    def send(self, node, data):
        self.udp.sendto(data, address(node.gossip))

    def hear(self, kind, wanted=lambda values: True):
        """The next packet of this kind for which it holds."""
        for _ in range(1000):
            data = self.udp.recv(65536)
            if data[:2] == bytes([kind, 0]) and wanted(values(data[2:])):
                return values(data[2:])
        raise AssertionError("not among 1000 packets")


def values(data):
    unpacker = msgpack.Unpacker(raw=False)
    unpacker.feed(data)
    return list(unpacker)


def message(kind, *parts):
    return bytes([kind, 0]) + b"".join(msgpack.packb(part, use_bin_type=False) for part in parts)


def recorded(name):
    return bytes.fromhex(VECTORS[name]["hex"])


def test_the_recorded_node_joins_asks_and_leaves(piko):
    node = start(piko, "node-a")
    with Peer("node-b", 28103) as peer:
        _, (header, delta) = peer.ask(node, recorded("join request accepted by the Go node"))
        assert header == {"node_id": "node-a", "addr": node.gossip}
        own = next(item for item in delta if item["id"] == "node-a")
        assert [entry["value"] for entry in own["entries"] if entry["key"] in ("proxy_addr", "admin_addr")] == [node.proxy, node.admin]
        known = listed(node, "node-b")
        assert (known["status"], known["proxy_addr"], known["endpoints"], known["upstreams"]) == ("active", "127.0.0.1:28100", 1, 2)
        peer.send(node, recorded("digest request answered by the Go node"))
        delta = peer.hear(2, lambda values: len(values) > 1)
        assert delta[1]["node_id"] == "node-a" and [entry["key"] for entry in delta[2:4]] == ["proxy_addr", "admin_addr"]
        assert {"id": "node-b", "addr": peer.addr, "version": 3, "left": False} in peer.hear(1, lambda values: not values[0]["request"])[1:]
        # What the node answers a leave with is what the recorded one was sent, but for its name.
        leave = message(4, {"node_id": "node-b", "addr": peer.addr}, [
            {"id": "node-b", "addr": peer.addr, "entries": [
                {"key": "_internal:left", "value": "", "version": 9, "internal": True, "deleted": False}]}])
        answer, _ = peer.ask(node, leave)
        assert answer == message(4, {"node_id": "node-a", "addr": node.gossip})[2:]
        assert members(node)["node-b"] == "left"


def test_the_recorded_answers_are_understood(piko):
    """Our node joins a peer that replies with an original's recorded bytes."""
    with socket.create_server(("127.0.0.1", 28003)) as listener, Peer("node-a", 28003) as peer:
        listener.settimeout(10)
        node = start(piko, "node-b", "--cluster.join", "127.0.0.1:28003", wait=False)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            data = b""
            while len(values(data[2:])) < 3:
                data += connection.recv(65536)
            header, delta, digest = values(data[2:])
            assert data[:2] == b"\x03\x00" and header == {"node_id": "node-b", "addr": node.gossip} and digest[0]["left"] is False
            assert [entry["key"] for entry in delta[0]["entries"]][:2] == ["proxy_addr", "admin_addr"]
            connection.sendall(recorded("join reply of the Go node"))
            assert connection.recv(1) == b""
        eventually(lambda: node.ready)
        known = listed(node, "node-a")
        assert (known["status"], known["proxy_addr"], known["endpoints"]) == ("active", "127.0.0.1:28000", 1)
        mine = {"id": "node-a", "addr": peer.addr, "version": 3, "left": False}
        assert peer.hear(1, lambda values: values[0]["request"] and mine in values)
        peer.send(node, recorded("digest request"))
        assert peer.hear(2)[0]["node_id"] == "node-b"
        peer.ask(node, recorded("leave request"))
        assert members(node)["node-a"] == "left"


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x03\x00", b"\x03\x01\x80", b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", message(1, {"node_id": "x"})])
def test_what_is_no_message_ends_the_connection_and_nothing_else(piko, data):
    node = start(piko, "node-a")
    with socket.create_connection(address(node.gossip), 10) as connection:
        connection.settimeout(15)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            pass
    with Peer("x") as peer:
        peer.send(node, data)
        peer.send(node, message(1, {"node_id": "x", "addr": peer.addr, "request": True}, {"id": "x", "addr": peer.addr, "version": 0, "left": False}))
        peer.hear(2)
    assert members(node)["node-a"] == "active"
