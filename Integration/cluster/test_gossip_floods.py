# SPDX-License-Identifier: MIT
# Strangers at the gossip port, who know no key or need none: floods of what they have recorded or made up, and connections that say nothing. Whoever
# has something to say is heard meanwhile, and each thing that is not taken is counted.

import selectors
import socket
import threading
import time

import msgpack

from cluster.test_gossip_keys import OLD, Sealer, conversation, heard_of, keys, rejected
from cluster.test_membership import all_active, members, start
from harness.background import Background
from harness.usage import eventually
from peer.wire import address


def test_greetings_beyond_what_a_node_answers_are_counted(piko):
    node = start(piko, "node", *keys(OLD))
    with Sealer(bytes.fromhex(OLD)) as peer:
        for packet in [peer.seal() for _ in range(3000)]:
            peer.send(node, packet)
        eventually(lambda: rejected(node).get("bound", 0) > 0)
        assert set(rejected(node)) == {"bound"}
    with Sealer(bytes.fromhex(OLD)) as other:
        other.udp.settimeout(0.2)
        eventually(lambda: answered(other, node), what="the next one answered")


def answered(peer, node):
    try:
        return peer.greet(node)
    except TimeoutError:
        return None


class Flood(Background):
    """Somebody without a key: sends one recorded packet again and again, some thousand times a second."""

    def __init__(self, node, packet):
        super().__init__()
        self.node, self.packet = address(node.gossip), packet
        self.sent = 0

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            while not self.stopped.wait(0.01):
                for _ in range(40):
                    udp.sendto(self.packet, self.node)
                self.sent += 40


class SilentCrowd(Background):
    """So many TCP connections that say nothing; each that is ended is opened again."""

    def __init__(self, node, count):
        super().__init__()
        self.node, self.count = address(node.gossip), count
        self.opened = 0
        self.full = threading.Event()

    def run(self):
        with selectors.DefaultSelector() as crowd:
            while not self.stopped.wait(0.01):
                for key, _ in crowd.select(0):
                    crowd.unregister(key.fileobj)
                    key.fileobj.close()
                while len(crowd.get_map()) < self.count:
                    crowd.register(socket.create_connection(self.node, 10), selectors.EVENT_READ)
                    self.opened += 1
                self.full.set()
            for key in list(crowd.get_map().values()):
                key.fileobj.close()

    def __enter__(self):
        super().__enter__()
        assert self.full.wait(20)
        return self


def test_a_recorded_greeting_and_silent_connections_keep_no_node_out(piko):
    """What was recorded is answered once, and counted then; of silent connections the oldest gives way."""
    node = start(piko, "node", *keys(OLD))
    with Sealer(bytes.fromhex(OLD)) as peer:
        recorded = peer.seal()
    question = b"\x03\x00" + b"".join(msgpack.packb(part, use_bin_type=False) for part in ({"node_id": "peer", "addr": "127.0.0.1:9"}, None, None))

    def asked():
        try:
            return b"proxy_addr" in conversation(node, bytes.fromhex(OLD), question)
        except OSError:
            return False

    with Flood(node, recorded) as flood, SilentCrowd(node, 128) as crowd:
        eventually(lambda: rejected(node).get("replayed", 0) > 3000, 20, "a flood of what was recorded")
        began = time.monotonic()
        late = start(piko, "late", "--cluster.join", node.gossip, *keys(OLD))
        all_active([node, late])
        assert time.monotonic() - began < 10
        eventually(asked, 20, "a question by TCP answered")
        eventually(lambda: crowd.opened > 128, 20, "connections that gave way")
        assert flood.sent > 3000 and set(rejected(node)) <= {"replayed", "bound", "late"}
        assert members(node)["late"] == members(late)["node"] == "active"


def test_a_packet_of_a_node_that_is_not_known_is_counted(piko):
    """Where there are no keys anybody may say a name; the node is known from then on."""
    node = start(piko, "node")
    counter = "piko_gossip_unknown_node_packets_total"
    with Sealer(bytes(32)) as peer:
        assert node.metric(counter) == 0
        for name, count in (("one", 1), ("one", 1), ("other", 2)):
            peer.send(node, peer.heartbeat(name))
            eventually(lambda: heard_of(node).get(name) == "active")
            node.counts(counter, count)
