# SPDX-License-Identifier: MIT
# Gossip under keys, by real nodes: who has no key stays outside, keys are exchanged while all serve, and what somebody on the network records
# does nothing when it is sent again. The envelope is also written by another library here, so that it is what architecture.md says.

import errno
import json
import secrets
import signal
import socket
import struct
import threading

import msgpack
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.test_membership import all_active, members, restart, start
from harness.background import Background
from harness.ports import free_port
from harness.usage import eventually
from peer.client import fetch
from peer.service import reply
from peer.wire import Ended, address

OLD, NEW = "0b" * 32, "5kQXLwKZ3Yh0mRk0bq9c8T4sE2nVxJ7uG1dPzOaYfWs="


def keys(*texts):
    return ["--cluster.gossip.keys", ",".join(texts)]


def rejected(node):
    """Counters of what was not taken, by reason; those that are not 0."""
    prefix = 'piko_gossip_rejected_total{reason="'
    lines = [line.removeprefix(prefix) for line in node.ask("/metrics").body.decode().splitlines() if line.startswith(prefix)]
    counts = {line.partition('"')[0]: int(line.rpartition(" ")[2]) for line in lines}
    assert len(counts) == 12
    return {reason: count for reason, count in counts.items() if count}


def heard_of(node):
    """What gossip knows of each node, also of those that have not said where their ports are."""
    nodes = json.loads(node.ask("/status/gossip/nodes").body)
    return {item["id"]: "unreachable" if item["unreachable"] else "active" for item in nodes}


def derived(secret, salt, purpose, count=32):
    return HKDF(hashes.SHA256(), count, salt or None, purpose).derive(secret)


class Sealer:
    """A holder of a key, in another language: one life of a node that speaks UDP."""

    def __init__(self, secret):
        self.secret = secret
        self.id = derived(secret, b"", b"piko gossip key id", 4)
        self.life = secrets.token_bytes(16)
        self.stamp = 1 << 40
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.settimeout(10)
        self.addr = "127.0.0.1:%d" % self.udp.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.udp.close()

    def seal(self, text=b"", echo=0):
        self.stamp += 1
        head = b"\xc1\x01" + self.id + self.life + struct.pack(">QQ", self.stamp, echo)
        cipher = AESGCM(derived(self.secret, self.life, b"piko gossip packet"))
        return head + cipher.encrypt(bytes(4) + struct.pack(">Q", self.stamp), text, head)

    def open(self, packet):
        """The stamp, the echo and the text of a packet."""
        stamp, echo = struct.unpack(">QQ", packet[22:38])
        cipher = AESGCM(derived(self.secret, packet[6:22], b"piko gossip packet"))
        return stamp, echo, cipher.decrypt(bytes(4) + packet[22:30], packet[38:], packet[:38])

    def send(self, node, packet):
        self.udp.sendto(packet, address(node.gossip))

    def hear(self):
        return self.open(self.udp.recv(65536))

    def greet(self, node):
        """A stamp of the node to echo."""
        self.send(node, self.seal())
        while True:
            stamp, echo, text = self.hear()
            if echo == self.stamp and not text:
                return stamp

    def digest(self, name):
        return b"\x01\x00" + msgpack.packb({"node_id": name, "addr": self.addr, "request": True}, use_bin_type=False)

    def heartbeat(self, name):
        return b"\x02\x00" + msgpack.packb({"node_id": name, "addr": self.addr, "entries": 0}, use_bin_type=False)


def conversation(node, secret, question):
    """A sealed question over TCP, and the answer."""
    ident = derived(secret, b"", b"piko gossip key id", 4)
    mine = b"\xc1\x02" + ident + secrets.token_bytes(16)
    with socket.create_connection(address(node.gossip), 10) as connection:
        connection.settimeout(10)
        connection.sendall(mine)
        theirs = b""
        while len(theirs) < 22:
            theirs += connection.recv(22 - len(theirs))
        assert theirs[:2] == b"\xc1\x03"
        head = struct.pack(">I", len(question) | 1 << 31)
        cipher = AESGCM(derived(secret, mine + theirs, b"piko gossip question"))
        connection.sendall(head + cipher.encrypt(bytes(12), question, head))
        sealed = b""
        while piece := connection.recv(65536):
            sealed += piece
    cipher = AESGCM(derived(secret, mine + theirs, b"piko gossip answer"))
    answer, number = b"", 0
    while sealed:
        count = struct.unpack(">I", sealed[:4])[0] & 0x7FFFFFFF
        answer += cipher.decrypt(bytes(4) + struct.pack(">Q", number), sealed[4:20 + count], sealed[:4])
        sealed, number = sealed[20 + count:], number + 1
    return answer


class Relay(Background):
    """Somebody on the network between nodes: passes UDP packets on to a node and writes them down."""

    def __init__(self, node):
        super().__init__()
        self.node = address(node)
        self.packets = []
        self.other = ("127.0.0.1", 9)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.front.settimeout(0.2)
        self.addr = "127.0.0.1:%d" % self.front.getsockname()[1]

    def run(self):
        while not self.stopped.is_set():
            try:
                packet, source = self.front.recvfrom(65536)
            except TimeoutError:
                continue
            self.packets.append(packet)
            if source == self.node:
                self.front.sendto(packet, self.other)
            else:
                self.other = source
                self.front.sendto(packet, self.node)

    def __exit__(self, *_):
        super().__exit__()
        self.front.close()


@pytest.fixture
def three(piko):
    """Three nodes under one key."""
    first = start(piko, "one", *keys(OLD))
    nodes = [first] + [start(piko, name, "--cluster.join", first.gossip, *keys(OLD)) for name in ("two", "three")]
    all_active(nodes)
    return nodes


def test_nodes_with_the_same_key_are_a_cluster(piko, three, service):
    service.handler = reply()
    piko.agent("http", three[2], "web", service.addr)
    for node in three:
        eventually(lambda: [item["upstreams"] for item in node.nodes].count(1) >= 1, what="all know the tunnel")
        assert not set(rejected(node)) - {"stale"}
    three[0].stop()
    for node in three[1:]:
        assert members(node) == {"one": "left", "two": "active", "three": "active"}


@pytest.mark.parametrize("other", [keys(NEW), []])
def test_another_key_or_none_stays_outside(piko, three, other):
    stranger = start(piko, "stranger", "--cluster.join", three[0].gossip, "--cluster.join-timeout", "1s", "--cluster.abort-if-join-fails=false", *other)
    reason = "unknown_key" if other else "unsealed"
    eventually(lambda: rejected(three[0]).get(reason, 0) > 5, what=f"packets counted as {reason}")
    for node in three:
        assert sorted(members(node)) == ["one", "three", "two"]
    assert list(members(stranger)) == ["stranger"]
    three[0].wait_line(lambda line: line["msg"] == "gossip not taken" and line["reason"] == reason)
    lines = [line for line in three[0].lines() if line["msg"] == "gossip not taken"]
    assert [line["reason"] for line in lines].count(reason) == 1 and all(line["level"] == "warn" for line in lines)


def test_a_sealed_node_at_a_cluster_without_keys_stays_outside(piko):
    one = start(piko, "one")
    stranger = start(piko, "stranger", "--cluster.join", one.gossip, "--cluster.join-timeout", "1s", "--cluster.abort-if-join-fails=false", *keys(OLD))
    eventually(lambda: rejected(one).get("sealed", 0) > 5)
    assert list(members(one)) == ["one"] and list(members(stranger)) == ["stranger"]


class Requests(Background):
    """A client that asks one node after another, all the time; a node that restarts is left out meanwhile."""

    def __init__(self, nodes):
        super().__init__()
        self.nodes = nodes
        self.failed = []
        self.answered = 0
        self.lock = threading.Lock()

    def run(self):
        while not self.stopped.is_set():
            with self.lock:
                for node in self.nodes:
                    try:
                        answer = fetch(node.proxy, "web", "/")
                        self.answered += 1
                        if answer.status != 200:
                            self.failed.append((answer.status, answer.body))
                    except (OSError, Ended) as error:
                        self.failed.append(error)
            self.stopped.wait(0.01)

    def serve(self, nodes):
        with self.lock:
            self.nodes = nodes


def test_keys_are_exchanged_by_restarts_without_an_outage(piko, service):
    """New second everywhere, then first, then alone: a request through any node is answered all the time."""
    service.handler = reply()
    names = ["one", "two", "three"]
    places = [f"127.0.0.1:{free_port()}" for _ in names]

    def flags(index, texts):
        return ["--cluster.join", ",".join(place for place in places if place != places[index]), "--grace-period", "1s", *keys(*texts)]

    nodes = [start(piko, name, "--cluster.gossip.bind-addr", places[index], *flags(index, [OLD]), wait=False) for index, name in enumerate(names)]
    for index, node in enumerate(nodes):
        node.gossip = places[index]
        piko.until(node, lambda: node.ready)
        piko.agent("http", node, "web", service.addr)
    all_active(nodes)
    with Requests(list(nodes)) as requests:
        for texts in ([OLD, NEW], [NEW, OLD], [NEW]):
            for index, name in enumerate(names):
                requests.serve([node for node in nodes if node is not nodes[index]])
                nodes[index].stop()
                nodes[index] = restart(piko, nodes[index], name, *flags(index, texts))
                all_active(nodes)
                eventually(lambda: nodes[index].listeners("web") > 0, what="its agent is back")
                requests.serve(list(nodes))
    assert not requests.failed and requests.answered > 50, (requests.answered, requests.failed[:5])
    for node in nodes:
        assert not set(rejected(node)) - {"stale", "replayed"}, rejected(node)
    late = start(piko, "late", "--cluster.join", places[0], "--cluster.join-timeout", "1s", "--cluster.abort-if-join-fails=false", *keys(OLD))
    eventually(lambda: rejected(nodes[0]).get("unknown_key", 0) > 0)
    assert "late" not in members(nodes[0]) and list(members(late)) == ["late"]


def test_keys_are_exchanged_by_sighup(piko, tmp_path):
    """The same without a restart: nobody loses sight of anybody, and what is neither key nor list changes nothing."""
    files = [tmp_path / f"{name}.yaml" for name in ("one", "two", "three")]

    def write(file, *texts):
        file.write_text("cluster: {gossip: {keys: [%s]}}\n" % ", ".join(f'"{text}"' for text in texts))

    nodes = []
    for file in files:
        write(file, OLD)
        join = ["--cluster.join", nodes[0].gossip] if nodes else []
        nodes.append(start(piko, file.stem, "--config.path", file, *join))
    all_active(nodes)

    def reload(node, file, *texts):
        answers = ("configuration read again", "configuration not changed")
        before = len([line for line in node.lines() if line["msg"] in answers])
        write(file, *texts)
        node.signal(signal.SIGHUP)
        return eventually(lambda: [line for line in node.lines() if line["msg"] in answers][before:], what="an answer to SIGHUP")[0]

    for texts in ([OLD, NEW], [NEW, OLD], [NEW]):
        for node, file in zip(nodes, files):
            assert reload(node, file, *texts)["applied"] == "cluster.gossip.keys"
    late = start(piko, "late", "--cluster.join", nodes[0].gossip, *keys(NEW))
    all_active([*nodes, late])
    for node, file in zip(nodes, files):
        assert not set(rejected(node)) - {"stale", "replayed"}, rejected(node)
        assert not [line for line in node.lines() if line["msg"] in ("node unreachable", "node left")]
        assert "cluster.gossip.keys" in reload(node, file)["error"] and "cluster.gossip.keys" in reload(node, file, "short")["error"]
        assert OLD not in node.log and NEW not in node.log
    all_active([*nodes, late])


def test_another_library_with_the_key_is_heard_and_sealed_bytes_hide_what_they_say(piko):
    node = start(piko, "node", *keys(OLD))
    with Sealer(bytes.fromhex(OLD)) as peer:
        echo = peer.greet(node)
        peer.send(node, peer.seal(peer.digest("peer"), echo))
        packet = peer.udp.recv(65536)
        stamp, echoed, text = peer.open(packet)
        assert echoed == peer.stamp and stamp > echo and text[:2] in (b"\x01\x00", b"\x02\x00") and b"node" in text
        assert b"node" not in packet and len(packet) == len(text) + 54
        assert heard_of(node)["peer"] == "active"
        question = b"\x03\x00" + b"".join(msgpack.packb(part, use_bin_type=False) for part in ({"node_id": "peer", "addr": peer.addr}, None, None))
        assert b"proxy_addr" in conversation(node, bytes.fromhex(OLD), question)


def test_a_recorded_packet_does_nothing_when_it_comes_again(piko):
    node = start(piko, "node", *keys(OLD))
    with Sealer(bytes.fromhex(OLD)) as peer:
        recorded = [peer.seal(peer.heartbeat("peer"), peer.greet(node)) for _ in range(20)]
        for packet in recorded:
            peer.send(node, packet)
        eventually(lambda: heard_of(node).get("peer") == "active")
        assert not rejected(node)
        eventually(lambda: heard_of(node)["peer"] == "unreachable", 10)
        for packet in recorded:
            peer.send(node, packet)
        eventually(lambda: sum(rejected(node).values()) == 20)
        assert heard_of(node)["peer"] == "unreachable", "a heartbeat would have brought it back"
        peer.send(node, peer.seal(peer.heartbeat("peer"), peer.greet(node)))
        eventually(lambda: heard_of(node)["peer"] == "active")


def test_what_is_not_taken_is_counted_by_its_reason(piko):
    """Each packet differs from a good one in one thing."""
    node = start(piko, "node", *keys(OLD))
    with Sealer(bytes.fromhex(OLD)) as peer, Sealer(secrets.token_bytes(32)) as stranger:
        good = peer.seal(peer.heartbeat("peer"), peer.greet(node))
        peer.send(node, good)
        eventually(lambda: heard_of(node).get("peer") == "active")
        assert not rejected(node)
        fresh = peer.seal(peer.heartbeat("peer"), peer.greet(node))
        bad = {
            "replayed": good,
            "forged": fresh[:-1] + bytes([fresh[-1] ^ 1]),
            "stale": peer.seal(peer.heartbeat("peer"), 1 << 40),  # the echo of another life
            "unknown_key": stranger.seal(stranger.heartbeat("peer")),
            "malformed": fresh[:40],
            "unsealed": peer.heartbeat("peer"),
        }
        for packet in bad.values():
            peer.send(node, packet)
        eventually(lambda: rejected(node) == dict.fromkeys(bad, 1), what=f"one of each: {rejected(node)}")
        node.counts("piko_gossip_malformed_messages_total")


def test_a_packet_for_an_address_that_cannot_be_reached_is_counted_as_lost(piko):
    """A node of IPv4 hears of one of IPv6."""
    node = start(piko, "node")
    with Sealer(bytes(32)) as peer:
        peer.addr = "[::1]:9"
        peer.send(node, peer.heartbeat("far"))
        eventually(lambda: "far" in heard_of(node))
        eventually(lambda: node.metric("piko_gossip_lost_packets_total") > 0)


def test_a_node_behind_a_recording_relay(piko):
    """All packets to a node pass somebody who writes them down. Sent again, also to its next life, they change nothing."""
    one = start(piko, "one", *keys(OLD))
    place = f"127.0.0.1:{free_port()}"
    with Relay(place) as relay:
        flags = ["--cluster.gossip.bind-addr", place, "--cluster.gossip.advertise-addr", relay.addr, "--cluster.join", one.gossip, *keys(OLD)]
        two = start(piko, "two", *flags)
        two.gossip = place
        all_active([one, two])
        eventually(lambda: len(relay.packets) > 30)
        recorded = list(relay.packets)
        two.kill()
        two.checked = True
        eventually(lambda: members(one)["two"] == "unreachable")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as replay:
            for packet in recorded:
                replay.sendto(packet, address(one.gossip))
        two = start(piko, "two", *flags)
        two.gossip = place
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as replay:
            for packet in recorded:
                replay.sendto(packet, address(two.gossip))
        all_active([one, two])
        assert sorted(members(two)) == ["one", "two"]


@pytest.mark.parametrize("data", [b"\xc1", b"\xc1\x02" + bytes(20), b"\xc1\x03" + bytes(20), b"\x03\x00\x80", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_not_sealed_with_the_key_ends_the_connection_and_nothing_else(piko, data):
    node = start(piko, "node", *keys(OLD))
    with socket.create_connection(address(node.gossip), 10) as connection:
        connection.settimeout(15)
        connection.sendall(data)
        try:
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        except OSError as error:
            assert error.errno in (errno.ECONNRESET, errno.ENOTCONN), error
    with Sealer(bytes.fromhex(OLD)) as peer:
        peer.send(node, data)
        peer.greet(node)
    if data != b"\xc1":
        assert sum(rejected(node).values()) >= 2
    assert list(members(node)) == ["node"]


@pytest.mark.parametrize("wrong", ["short", "0b" * 31, f"{OLD},{OLD}"])
def test_a_key_that_is_none_is_one_line_that_does_not_show_it(piko, wrong):
    run = piko.run("server", "--cluster.gossip.keys", wrong)
    assert run.child.returncode == 1 and run.log.count("\n") == 1
    assert "cluster.gossip.keys: expected different keys of 32 bytes" in run.log and "0b0b" not in run.log and "short" not in run.log
