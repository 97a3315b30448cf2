# SPDX-License-Identifier: MIT
# Server nodes that break the tunnel's rules, against our agent: it may end the tunnel and dial again, never itself,
# and it serves the next good tunnel.

import os
import queue
import struct
import time

import pytest

from harness.ports import free_port
from harness.usage import cpu, descriptors, eventually, rss
from peer import yamux
from peer.client import fetch
from peer.server import FakeServer, ask
from peer.service import Service, echo
from peer.websocket import TEXT, WebSocket
from peer.wire import Ended, Wire
from peer.yamux import ACK, DATA, FIN, INITIAL, PING, RST, SYN, WINDOW

MEBI = 1 << 20
REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


class Arena:
    """Our agent ("http" or "tcp") dials a stand-in server; `session` is its present tunnel."""

    def __init__(self, piko, kind):
        self.kind = kind
        self.server = FakeServer(manual=True)
        self.service = Service(echo)
        self.agent = piko.agent(kind, self.server.url, "web", self.service.addr)
        self.session = self.server.tunnel()

    def works(self):
        """It serves on this tunnel, or on the next that it dials."""
        def attempt():
            if self.session.over:
                self.session = self.server.tunnel(20)
            try:
                return ask(self.session.open(), method="POST", body=b"fine").body == b"fine"
            except TimeoutError:
                raise
            except (Ended, OSError):
                return self.session.wait_over(5)  # a tunnel that was on its way out
        eventually(attempt, 30, "the agent serving again")

    def close(self):
        self.server.close()
        self.service.close()


@pytest.fixture(params=["http", "tcp"])
def arena(request, piko):
    arena = Arena(piko, request.param)
    arena.works()
    start, used = time.monotonic(), cpu(arena.agent.pid)
    yield arena
    assert arena.agent.running
    arena.works()
    assert cpu(arena.agent.pid) - used < 0.5 * (time.monotonic() - start) + 1.0, "the agent spins"
    arena.close()


def quietly(send):
    """Sends; the agent may have ended the tunnel already."""
    try:
        send()
    except OSError:
        pass


def test_an_overrun_window_ends_the_stream_or_the_tunnel(arena):
    arena.service.fresh(lambda conn, head: conn.service.requests.get(timeout=30))
    stream = arena.session.open().id
    session = arena.session
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"
    quietly(lambda: session.send_frame(DATA, 0, stream, body=head))
    quietly(lambda: [session.send_frame(DATA, 0, stream, body=b"x" * MEBI) for _ in range(64)])
    session.wait(lambda: session.over or any(f.stream == stream and f.flags & RST for f in session.frames))
    arena.service.requests.put("go on")
    arena.service.fresh(echo)


STAGES = {
    "with the syn": lambda s, i: s.send_frame(WINDOW, SYN | RST, i, 0),
    "after the syn": lambda s, i: (s.send_frame(WINDOW, SYN, i, 0), s.send_frame(WINDOW, RST, i, 0)),
    "in the head": lambda s, i: (s.send_frame(DATA, SYN, i, body=REQUEST[:9]), s.send_frame(WINDOW, RST, i, 0)),
    "in the body": lambda s, i: (s.send_frame(DATA, SYN, i, body=REQUEST[:-2]), s.send_frame(WINDOW, RST, i, 0)),
    "behind the body": lambda s, i: (s.send_frame(DATA, SYN, i, body=REQUEST), s.send_frame(WINDOW, RST, i, 0)),
    "behind fin": lambda s, i: (s.send_frame(DATA, SYN | FIN, i, body=REQUEST), s.send_frame(WINDOW, RST, i, 0)),
    "fin at once": lambda s, i: s.send_frame(WINDOW, SYN | FIN, i, 0),
    "fin in the head": lambda s, i: s.send_frame(DATA, SYN | FIN, i, body=REQUEST[:20]),
    "syn twice": lambda s, i: (s.send_frame(WINDOW, SYN, i, 0), s.send_frame(WINDOW, SYN, i, 0)),
    "all flags": lambda s, i: s.send_frame(WINDOW, 15, i, 0),
    "ack without syn": lambda s, i: s.send_frame(WINDOW, ACK, i, 0),
}


@pytest.mark.parametrize("stage", STAGES)
def test_streams_broken_at_any_stage_do_no_harm(arena, stage):
    for number in range(50):
        quietly(lambda: STAGES[stage](arena.session, 1000 + 2 * number))
    arena.session.next_id = 2000


def test_streams_of_the_wrong_parity_and_reused_ids_do_no_harm(arena):
    for id in (1, 3, 2, 2, 0, 5):
        quietly(lambda: arena.session.send_frame(DATA, SYN, id, body=REQUEST))
    arena.session.next_id = 100


@pytest.mark.parametrize("what", [(DATA, 0, None, b"more"), (WINDOW, FIN, 0), (WINDOW, 0, 100), (WINDOW, 0, 2**32 - 1), (DATA, FIN, None, b"x" * 1000)], ids=str)
def test_frames_after_fin_do_no_harm(arena, what):
    session = arena.session
    stream = session.open()
    stream.sendall(REQUEST)
    stream.shutdown()
    type, flags, length, *body = what
    quietly(lambda: [session.send_frame(type, flags, stream.id, length, body[0] if body else b"") for _ in range(100)])


@pytest.mark.parametrize("bytes", [
    struct.pack("!BBHII", 0, 9, 0, 0, 0), struct.pack("!BBHII", 7, 0, 0, 2, 0), b"\xff" * 24, b"HTTP/1.1 200 OK\r\n\r\n", os.urandom(4096),
], ids=["type", "version", "all-ones", "http", "noise"])
def test_what_is_not_yamux_ends_the_tunnel_and_the_agent_dials_again(arena, bytes):
    session = arena.session
    session.ws.send(bytes)
    session.wait_over()


def test_a_server_that_breaks_the_protocol_is_counted_by_its_agent(piko, service):
    addr = f"127.0.0.1:{free_port()}"
    server = FakeServer(manual=True)
    piko.agent("http", server.url, "web", service.addr, "--server.enabled", "--server.bind-addr", addr)
    sample = "\npiko_agent_protocol_errors_total %d\n"
    for count, end in enumerate([lambda session: session.ws.wire.reset(), lambda session: session.send_frame(9, 0, 0, 0)]):
        end(server.tunnel())
        eventually(lambda: sample % count in fetch(addr, "agent", "/metrics").body.decode())
    server.tunnel().close()
    server.close()


class Counting:
    """An agent that tells its metrics."""

    def __init__(self, piko, url, service):
        self.addr = f"127.0.0.1:{free_port()}"
        piko.agent("http", url, "web", service.addr, "--server.enabled", "--server.bind-addr", self.addr)

    def counts(self, name, value):
        eventually(lambda: f"\npiko_agent_{name} {value}\n" in fetch(self.addr, "agent", "/metrics").body.decode(), what=f"{name} {value}")


def test_odd_frames_of_a_server_are_counted_while_the_tunnel_goes_on(piko, service):
    with FakeServer() as server:
        agent = Counting(piko, server.url, service)
        session = server.tunnel()
        for _ in range(3):
            session.send_frame(PING, ACK, 0, 99)
        agent.counts('faults_total{kind="frame"}', 3)
        assert ask(session.open()).status == 200
        agent.counts("protocol_errors_total", 0)


def test_a_server_that_asks_and_does_not_read_the_answers_is_left_and_counted(piko, service):
    tunnels = queue.Queue()
    with FakeServer(upgrade=lambda wire: tunnels.put(WebSocket.accept(wire))) as server:
        agent = Counting(piko, server.url, service)
        ws = tunnels.get(timeout=10)
        flood = yamux.encode(PING, SYN, 0, 1) * 5_000
        ws.wire.settimeout(5)
        with pytest.raises(OSError):
            for _ in range(4_000):
                ws.send(flood)
        agent.counts('faults_total{kind="unread"}', 1)
        agent.counts("protocol_errors_total", 0)
        tunnels.get(timeout=10)  # it has dialled again
        ws.reset()


def test_a_text_message_ends_the_tunnel(arena):
    session = arena.session
    session.ws.send_frame(TEXT, b"hello")
    session.wait_over()


@pytest.mark.parametrize("bytes", [b"\x82\xff" + b"\xff" * 8, b"\x82\x85mask\x00\x00\x00\x00\x00", b"\x83\x00", b"\xf2\x00", b"\x89\x7e\x00\x7e" + b"x" * 126, b"\x00\x00"],
                         ids=["huge", "masked", "opcode", "reserved", "long-ping", "continuation"])
def test_malformed_websocket_frames_end_the_tunnel_only(arena, bytes):
    session = arena.session
    session.ws.send_raw(bytes)
    session.ws.wire.shut()
    session.wait_over()


def test_a_go_away_in_the_middle_of_a_request_lets_it_finish(arena):
    session = arena.session
    stream = session.open()
    stream.sendall(REQUEST[:-2])
    session.go_away()
    stream.sendall(REQUEST[-2:])
    wire = Wire(stream)
    assert wire.read_until(b"hello").startswith(b"HTTP/1.1 200")
    session.close()


def test_a_go_away_with_a_wild_code_does_no_harm(arena):
    quietly(lambda: arena.session.go_away(2**32 - 1))
    arena.session.close()


@pytest.mark.parametrize("size", [1, 11, 12, 13])
def test_message_borders_mean_nothing(arena, size):
    session = arena.session
    stream = session.open()
    data = yamux.encode(DATA, 0, stream.id, None, REQUEST)
    for at in range(0, len(data), size):
        session.ws.send(data[at : at + size])
    assert Wire(stream).read_until(b"hello").startswith(b"HTTP/1.1 200")


def test_one_byte_frames_make_a_request(arena):
    session = arena.session
    stream = session.open()
    session.ws.send(b"".join(yamux.encode(DATA, 0, stream.id, None, bytes([byte])) for byte in REQUEST))
    assert Wire(stream).read_until(b"hello").startswith(b"HTTP/1.1 200")


def test_frames_of_a_window_in_one_message_make_a_request(arena):
    session = arena.session
    stream = session.open()
    body = os.urandom(INITIAL - 100)
    session.send_frame(DATA, 0, stream.id, body=b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    wire = Wire(stream)
    wire.read_until(b"\r\n\r\n")
    assert wire.read_exact(len(body)) == body


def test_a_peer_that_never_grants_window_stops_only_itself(arena):
    session = arena.session
    size = 64 * MEBI
    arena.service.fresh(lambda conn, head: conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"d" * size) if head.method == b"GET" else echo(conn, head))
    before = rss(arena.agent.pid)
    streams = [session.open() for _ in range(8)]
    for stream in streams:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    session.wait(lambda: all(stream.received == INITIAL for stream in streams))
    arena.works()
    assert rss(arena.agent.pid) - before < 8 * 2 * MEBI
    assert all(stream.received == INITIAL for stream in streams) and session.violations == []
    for stream in streams:
        stream.reset()
    arena.service.fresh(echo)


def test_10000_streams_at_once_are_answered_or_refused(arena):
    session = arena.session
    before, files = rss(arena.agent.pid), descriptors(arena.agent.pid)
    ids = range(10_000, 30_000, 2)
    for at in range(0, 10_000, 500):
        quietly(lambda: session.ws.send(b"".join(yamux.encode(WINDOW, SYN, id, 0) for id in ids[at : at + 500])))

    def answered():
        return {frame.stream for frame in session.frames[-60_000:] if frame.stream >= 10_000 and frame.flags & (ACK | RST)}

    session.wait(lambda: session.over or len(session.frames) >= 10_000 and len(answered()) == 10_000, 30)
    assert rss(arena.agent.pid) - before < 200 * MEBI
    for at in range(0, 10_000, 500):
        quietly(lambda: session.ws.send(b"".join(yamux.encode(WINDOW, RST, id, 0) for id in ids[at : at + 500])))
    session.next_id = 40_000
    eventually(lambda: descriptors(arena.agent.pid) <= files + 110, 20, "descriptors given back")


def test_a_flood_of_pings_and_empty_frames_is_survived(arena):
    session = arena.session
    stream = session.open()
    quietly(lambda: session.ws.send(yamux.encode(PING, SYN, 0, 1) * 20_000 + yamux.encode(DATA, 0, stream.id) * 20_000))
    stream.sendall(REQUEST)
    assert Wire(stream).read_until(b"hello").startswith(b"HTTP/1.1 200")


def test_half_a_frame_and_then_the_end(arena):
    arena.session.ws.send(yamux.encode(DATA, 0, 2, 1000, b"")[:9])
    arena.session.close()


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"noise\x00\xff" * 100, b"", b"HTTP/1.1 500 " + b"x" * 100_000, b"HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
], ids=["bare", "wrong-key", "200", "noise", "nothing", "long", "redirect"])
def test_a_strange_answer_to_the_dial_is_an_error_and_not_a_crash(piko, service, answer):
    def upgrade(wire):
        wire.read_until(b"\r\n\r\n")
        quietly(lambda: wire.send(answer))
        wire.close()

    with FakeServer(upgrade=upgrade) as server:
        agent = piko.agent("http", server.url, "web", service.addr, "--connect.timeout", "2s", wait=False)
        agent.checked = True
        assert agent.wait(10) == 1  # by itself: at once, or when the time of the first dial is over
        assert server.dials > 0
        agent.check()
