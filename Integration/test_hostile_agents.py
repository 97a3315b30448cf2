# SPDX-License-Identifier: MIT
# Agents that break the tunnel's rules, against our server: it may end their tunnel or their stream, never itself, and
# a good agent beside them is served all the time.

import os
import struct
import time
from collections import namedtuple

import pytest

from harness.usage import cpu, eventually, rss, sockets
from peer import yamux
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.service import Service
from peer.wire import Ended
from peer.yamux import ACK, DATA, FIN, GO_AWAY, INITIAL, PING, RST, SYN, WINDOW

MEBI = 1 << 20
# What a node counts: tunnels ended since their agent broke the protocol, or read nothing; streams that it opened and frames that belong to nothing;
# requests that got no answer of their service, and answers that broke off. None: any number.
Counts = namedtuple("Counts", "tunnels unread streams frames requests bodies", defaults=(0,) * 6)


class Arena:
    """A node with one good agent ("good"); hostile ones come as "bad". `expected`: what the node has counted when a test is over."""

    def __init__(self, piko):
        self.node = piko.server()
        self.service = Service()
        self.expected = Counts()
        piko.agent("http", self.node, "good", self.service.addr)

    @property
    def counted(self):
        page = dict(line.rsplit(" ", 1) for line in self.node.ask("/metrics").body.decode().splitlines() if not line.startswith("#"))

        def total(name, *labels):
            """Over all samples of the family that have one of the labels."""
            return sum(int(value) for key, value in page.items() if key.startswith(f"piko_{name}_total") and any(label in key for label in labels))

        faults = (total("upstreams_faults", f'kind="{kind}"') for kind in ("unread", "stream", "frame"))
        unanswered = total("proxy_requests", 'status="0"', 'status="4', 'status="5')
        return Counts(total("upstreams_protocol_errors", ""), *faults, unanswered, total("proxy_bodies_broken", 'side="upstream"'))

    @property
    def is_counted(self):
        return all(expected in (None, count) for expected, count in zip(self.expected, self.counted))

    def good(self):
        assert fetch(self.node.proxy, "good").body == b"hello"

    def bad(self, **options):
        return FakeAgent(self.node.upstream, "bad", manual=True, **options)

    def stream(self, agent):
        """A client's request for "bad" and the id of the stream that it opened."""
        eventually(lambda: self.node.listeners("bad"))
        before = len(opened(agent))
        client = Client(self.node.proxy).request("bad", method="POST", body=b"hello")
        agent.session.wait(lambda: len(opened(agent)) > before)
        return client, opened(agent)[-1]


def opened(agent):
    return [frame.stream for frame in agent.session.frames if frame.flags & SYN and frame.stream]


@pytest.fixture
def arena(piko):
    arena = Arena(piko)
    arena.good()
    start, used = time.monotonic(), cpu(arena.node.pid)
    yield arena
    arena.good()
    eventually(lambda: arena.is_counted, what=f"{arena.expected} counted")
    assert cpu(arena.node.pid) - used < 0.5 * (time.monotonic() - start) + 1.0, "the node spins"
    assert arena.node.running
    arena.service.close()


def finished(client):
    """The client has an answer or an end; it does not hang."""
    try:
        message = client.response()
        assert message.status in (200, 502), message.head.raw
        return message.status
    except (Ended, ConnectionError, OSError) as error:
        assert not isinstance(error, TimeoutError), "the client hangs"
        return None


RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_an_overrun_window_ends_the_stream_or_the_tunnel(arena):
    arena.expected = Counts(tunnels=1, bodies=1)
    agent = arena.bad()
    client, stream = arena.stream(agent)
    # The client does not read: the node can grant nothing beyond its windows for long.
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    agent.session.send_frame(DATA, ACK, stream, body=head)
    block = b"x" * MEBI

    def gone():
        return agent.session.over or any(f.stream == stream and f.flags & RST for f in agent.session.frames)

    for _ in range(64):
        if gone():
            break
        try:
            agent.session.send_frame(DATA, 0, stream, body=block)
        except OSError:
            break
    eventually(gone)
    client.close()
    agent.close()


def test_a_small_overrun_on_a_fresh_stream_is_noticed(arena):
    arena.expected = Counts(tunnels=1, requests=1)
    agent = arena.bad()
    client, stream = arena.stream(agent)
    agent.session.send_frame(DATA, ACK, stream, body=b"y" * (32 * MEBI))
    agent.session.wait(lambda: agent.session.over or any(f.flags & RST for f in agent.session.frames))
    finished(client)
    agent.close()


STAGES = {
    "at once": lambda a, s: a.session.send_frame(WINDOW, RST, s, 0),
    "after ack": lambda a, s: (a.session.send_frame(WINDOW, ACK, s, 0), a.session.send_frame(WINDOW, RST, s, 0)),
    "with the ack": lambda a, s: a.session.send_frame(WINDOW, ACK | RST, s, 0),
    "in the head": lambda a, s: (a.session.send_frame(DATA, ACK, s, body=RESPONSE[:10]), a.session.send_frame(WINDOW, RST, s, 0)),
    "behind the head": lambda a, s: (a.session.send_frame(DATA, ACK, s, body=RESPONSE[:-5]), a.session.send_frame(WINDOW, RST, s, 0)),
    "in the body": lambda a, s: (a.session.send_frame(DATA, ACK, s, body=RESPONSE[:-2]), a.session.send_frame(WINDOW, RST, s, 0)),
    "behind the body": lambda a, s: (a.session.send_frame(DATA, ACK, s, body=RESPONSE), a.session.send_frame(WINDOW, RST, s, 0)),
    "behind fin": lambda a, s: (a.session.send_frame(DATA, ACK | FIN, s, body=RESPONSE), a.session.send_frame(WINDOW, RST, s, 0)),
    "on data": lambda a, s: a.session.send_frame(DATA, ACK | RST, s, body=RESPONSE[:20]),
    "twice": lambda a, s: [a.session.send_frame(WINDOW, RST, s, 0) for _ in range(2)],
    "fin without a word": lambda a, s: a.session.send_frame(WINDOW, ACK | FIN, s, 0),
    "fin in the head": lambda a, s: a.session.send_frame(DATA, ACK | FIN, s, body=RESPONSE[:12]),
    "fin in the body": lambda a, s: a.session.send_frame(DATA, ACK | FIN, s, body=RESPONSE[:-1]),
    "syn again": lambda a, s: (a.session.send_frame(WINDOW, SYN, s, 0), a.session.send_frame(WINDOW, RST, s, 0)),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stream_reset_at_any_stage_ends_its_request_only(arena, stage):
    breaks_off = stage in ("behind the head", "in the body", "fin in the body")
    is_whole = stage in ("behind the body", "behind fin")
    arena.expected = Counts(tunnels=int(stage == "syn again"), requests=int(not breaks_off and not is_whole), bodies=int(breaks_off))
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        STAGES[stage](agent, stream)
        status = finished(client)
        assert status == 200 if stage.startswith("behind the body") or stage == "behind fin" else status != 200
        arena.good()


@pytest.mark.parametrize("what", ["data", "fin", "window", "empty"])
def test_frames_after_fin_harm_nobody(arena, what):
    arena.expected = Counts(frames=100 if what == "data" else None)  # how many of the others find the stream gone is a matter of time
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        agent.session.send_frame(DATA, ACK | FIN, stream, body=RESPONSE)
        more = {"data": (DATA, 0, stream, None, b"more"), "fin": (WINDOW, FIN, stream, 0), "window": (WINDOW, 0, stream, 100), "empty": (DATA, 0, stream)}
        try:
            for _ in range(100):
                agent.session.send_frame(*more[what])
        except OSError:
            pass
        finished(client)


@pytest.mark.parametrize("bytes", [
    struct.pack("!BBHII", 0, 9, 0, 0, 0), struct.pack("!BBHII", 1, 0, 0, 2, 0), struct.pack("!BBHII", 255, 255, 65535, 2**32 - 1, 2**32 - 1),
    b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096),
], ids=["type", "version", "all-ones", "http", "noise"])
def test_what_is_not_yamux_ends_the_tunnel(arena, bytes):
    arena.expected = Counts(tunnels=1)
    with dial_tunnel(arena.node.upstream, "bad") as ws:
        ws.send(bytes)
        while ws.recv() is not None:
            pass


ODD = Counts(frames=50)
TOLERATED = {
    (PING, ACK, 0, 99): ODD, (PING, 0, 0, 0): ODD, (GO_AWAY, 0, 0, 77): Counts(), (DATA, SYN | ACK | FIN | RST, 3, None, b"abc"): Counts(streams=50),
}


@pytest.mark.parametrize("frame", [
    (DATA, 0, 0, None, b"x"), (WINDOW, 0, 0, 1), (DATA, 0, 77, None, b"x"), (WINDOW, 0, 78, 5), (WINDOW, FIN, 2, 0), (WINDOW, RST, 4, 0),
    (PING, SYN, 5, 1), (WINDOW, 0xFFF0, 2, 1), *TOLERATED,
], ids=str)
def test_odd_frames_without_a_stream_do_not_end_the_node(arena, frame):
    arena.expected = TOLERATED.get(frame, Counts(tunnels=1))
    with arena.bad() as agent:
        try:
            for _ in range(50):
                agent.session.send_frame(*frame)
        except OSError:
            pass
        arena.good()


@pytest.mark.parametrize("bytes", [
    b"\x82\xff" + b"\xff" * 8 + b"mask", b"\x82\xff" + b"\x00" * 7 + b"\x05" + b"maskhello", b"\x83\x80mask", b"\xf2\x80mask", b"\x82\x05hello", b"\x89\xfe\x00\x7e",
    b"\x09\x80mask", b"\x88\x81maskX", b"\x00\x80mask", b"\x02\x80mask\x82\x80mask",
], ids=["huge", "long-form", "opcode", "reserved", "unmasked", "long-ping", "split-ping", "short-close", "continuation", "no-continuation"])
def test_malformed_websocket_frames_do_not_end_the_node(arena, bytes):
    arena.expected = Counts(tunnels=1)
    with dial_tunnel(arena.node.upstream, "bad") as ws:
        ws.send_raw(bytes)
        ws.wire.shut()
        ws.wire.read_to_end()


def answer_in_pieces(size):
    """An agent that writes its yamux bytes in WebSocket messages of `size` bytes."""

    def piece(agent, stream, body):
        data = yamux.encode(DATA, ACK, stream, None, body)
        for at in range(0, len(data), size):
            agent.ws.send(data[at : at + size])

    return piece


@pytest.mark.parametrize("size", [1, 7, 12, 13])
def test_message_borders_mean_nothing(arena, size):
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        answer_in_pieces(size)(agent, stream, RESPONSE)
        assert finished(client) == 200


def test_one_byte_frames_make_a_response(arena):
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        agent.session.send_frame(WINDOW, ACK, stream, 0)
        body = b"z" * 20_000
        agent.ws.send(b"".join(yamux.encode(DATA, 0, stream, None, bytes([byte])) for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + body))
        assert client.response().body == body


def test_a_message_of_more_than_a_mebibyte_with_frames_of_whole_windows(arena):
    """Five responses, each one frame that fills a stream's window, in one WebSocket message."""
    body = os.urandom(INITIAL - 200)
    frame = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with arena.bad() as agent:
        clients, streams = zip(*[arena.stream(agent) for _ in range(5)])
        agent.ws.send(b"".join(yamux.encode(DATA, ACK, stream, None, frame) for stream in streams))
        for client in clients:
            assert client.response().body == body


def test_an_empty_flood_does_not_stall_the_node(arena):
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        agent.session.send_frame(WINDOW, ACK, stream, 0)
        flood = yamux.encode(DATA, 0, stream) * 20_000 + yamux.encode(PING, SYN, 0, 1) * 20_000
        agent.ws.send(flood)
        arena.good()
        agent.session.send_frame(DATA, 0, stream, body=RESPONSE)
        assert finished(client) == 200


def test_a_peer_that_never_grants_window_costs_little_and_stops_only_itself(arena):
    arena.expected = Counts(requests=8)
    with FakeAgent(arena.node.upstream, "bad", manual=True, grants=False) as agent:
        before = rss(arena.node.pid)
        clients = []
        for _ in range(8):
            client = Client(arena.node.proxy, 3)
            clients.append(client)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nX-Piko-Endpoint: bad\r\nContent-Length: 100000000\r\n\r\n")
            client.wire.settimeout(0.3)
            try:
                for _ in range(64):
                    client.send(b"u" * MEBI)
            except (TimeoutError, OSError):
                pass
            arena.good()
        assert rss(arena.node.pid) - before < 8 * 2 * MEBI
        got = sum(1 for f in agent.session.frames if f.type == DATA)
        assert got and agent.session.violations == []  # its windows were not overrun
        for client in clients:
            client.close()


def test_10000_streams_opened_by_an_agent_are_refused(arena):
    """An agent never opens a stream; each of them is reset."""
    arena.expected = Counts(streams=10_000)
    with arena.bad() as agent:
        before = rss(arena.node.pid)
        try:
            for at in range(0, 10_000, 500):
                agent.ws.send(b"".join(yamux.encode(WINDOW, SYN, 2 * n + 1, 0) for n in range(at, at + 500)))
        except OSError:
            pass
        agent.session.wait(lambda: sum(1 for f in agent.session.frames if f.flags & RST) >= 10_000, 20)
        assert rss(arena.node.pid) - before < 16 * MEBI


def test_an_agent_that_reads_nothing_is_let_go_of_or_waits_but_harms_nobody(arena):
    """Answers to all of its pings would be 100 MB."""
    arena.expected = Counts(unread=1, requests=50)
    ws = dial_tunnel(arena.node.upstream, "bad")
    before = rss(arena.node.pid)
    clients = [Client(arena.node.proxy, 3).request("bad", method="POST", body=b"b" * 100_000) for _ in range(50)]
    flood = yamux.encode(PING, SYN, 0, 1) * 50_000
    ws.wire.settimeout(5)
    try:
        for _ in range(170):
            ws.send(flood)
    except (TimeoutError, OSError):
        pass
    for _ in range(20):
        arena.good()
    assert rss(arena.node.pid) - before < 32 * MEBI
    for client in clients:
        client.close()
    ws.reset()


def test_a_head_without_end_is_a_502_and_costs_little(arena):
    """A response head of 64 MiB: the node stops listening to it at its own bound."""
    arena.expected = Counts(requests=1)
    sent = []

    def handler(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(1024):
            conn.send(b"X-%d: " % number + b"x" * 65_000 + b"\r\n")
            sent.append(number)

    with FakeAgent(arena.node.upstream, "bad", handler):
        eventually(lambda: arena.node.listeners("bad"))
        before = rss(arena.node.pid)
        assert fetch(arena.node.proxy, "bad").status == 502
        assert len(sent) < 100
        assert rss(arena.node.pid) - before < 16 * MEBI


def test_a_head_of_many_small_pieces_is_a_504_in_time(piko):
    """An agent that drips its head holds its own client, and only until the timeout."""
    node = piko.server("--proxy.timeout", "1s")
    with FakeAgent(node.upstream, "bad", manual=True) as agent:
        eventually(lambda: node.listeners("bad"))
        client = Client(node.proxy).request("bad")
        agent.session.wait(lambda: opened(agent))
        stream = opened(agent)[0]
        agent.session.send_frame(DATA, ACK, stream, body=b"HTTP/1.1 200 OK\r\n")
        start = time.monotonic()
        try:
            while time.monotonic() - start < 3 and agent.session.send_frame(DATA, 0, stream, body=b"a: b\r\n") is None:
                time.sleep(0.02)
        except OSError:
            pass
        assert client.response().status == 504
    node.counts('piko_proxy_requests_total{status="504",method="GET"}')


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_answers_out_of_order_reach_their_own_clients(arena, order):
    with arena.bad() as agent:
        asked = [arena.stream(agent) for _ in range(3)]
        for index in order:
            body = b"answer-%d" % index
            agent.session.send_frame(DATA, ACK | FIN, asked[index][1], body=b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + body)
        for index, (client, _) in enumerate(asked):
            assert client.response().body == b"answer-%d" % index


def test_a_second_answer_on_a_stream_is_nobodys(arena):
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        agent.session.send_frame(DATA, ACK, stream, body=RESPONSE + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
        assert client.response().body == b"hello"
        # The client's connection goes on, and its next answer is its own.
        assert client.request("good").response().body == b"hello"


def test_an_answer_on_the_stream_of_a_client_that_left_is_nobodys(arena):
    arena.expected = Counts(requests=1)
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        client.close()
        other, fresh = arena.stream(agent)
        try:
            for _ in range(10):
                agent.session.send_frame(DATA, ACK, stream, body=RESPONSE)
            agent.session.send_frame(DATA, ACK | FIN, fresh, body=RESPONSE.replace(b"hello", b"fresh"))
        except OSError:
            pass
        try:
            assert other.response().body in (b"fresh", b'{"error":"upstream unreachable"}')
        except (Ended, ConnectionError):
            pass
        arena.good()


def test_an_agent_that_takes_many_endpoints_takes_none_of_another(arena):
    """Whatever names it serves, the good agent's requests stay the good agent's."""
    agents = [FakeAgent(arena.node.upstream, f"good{number}", manual=True) for number in range(50)]
    agents += [FakeAgent(arena.node.upstream, name, manual=True) for name in ("GOOD", "good.", "good%20", "goo")]
    for _ in range(20):
        arena.good()
    for agent in agents:
        agent.close()


def test_a_go_away_in_the_middle_of_a_response_lets_it_finish(arena):
    arena.expected = Counts(requests=1)
    with arena.bad() as agent:
        client, stream = arena.stream(agent)
        agent.session.send_frame(DATA, ACK, stream, body=RESPONSE[:-3])
        agent.session.go_away(2)
        agent.session.send_frame(DATA, FIN, stream, body=RESPONSE[-3:])
        assert finished(client) == 200
        eventually(lambda: fetch(arena.node.proxy, "bad").status == 502)


@pytest.mark.parametrize("times", [200])
def test_tunnels_that_come_and_go_leave_nothing_behind(arena, times):
    before = sockets(arena.node.pid)
    for number in range(times):
        ws = dial_tunnel(arena.node.upstream, f"bad{number % 7}")
        ws.reset() if number % 2 else ws.close()
    eventually(lambda: sockets(arena.node.pid) <= before)


def test_half_a_frame_and_then_nothing(arena):
    with dial_tunnel(arena.node.upstream, "bad") as ws:
        ws.send(yamux.encode(DATA, 0, 2, 1000, b"")[:7])
        arena.good()
