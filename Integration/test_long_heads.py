# SPDX-License-Identifier: MIT
# Many heads of nearly the longest length at once: unfinished, whole before an agent that says nothing, or those of responses. Together they take so much
# memory and no more; what is beyond is refused and counted, ordinary requests are served meanwhile, and long ones again afterwards. Runs alone, since it
# measures memory.

import contextlib

import pytest

from harness.ports import free_port
from harness.usage import eventually, rss
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.server import FakeServer, ask
from peer.wire import Ended, dressed
from peer.yamux import ACK, DATA, FIN, INITIAL, RST, SYN, WINDOW

MEBI = 1 << 20
BUDGET = 256 * MEBI
SLACK = 96 * MEBI  # what the connections cost besides, holes in the heap, and pages that were used once
LONG = b"l" * 900_000

pytestmark = [pytest.mark.alone, pytest.mark.timeout(120)]


def head(endpoint, end=b"\r\n\r\n"):
    return b"GET / HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: %s\r\nX-Long: " % endpoint.encode() + LONG + end


class Crowd:
    """Clients that have sent something, each on a connection of its own."""

    def __init__(self, addr, count, data):
        self.clients = []
        data = dressed(data)
        for _ in range(count):
            client = Client(addr, 20)
            client.wire.dresses = False
            with contextlib.suppress(ConnectionError):  # refused before its end
                client.send(data)
            self.clients.append(client)

    def answers(self):
        """What those have been told that have been answered by now."""
        answers = []
        for client in self.clients:
            client.wire.settimeout(0.001)
            with contextlib.suppress(TimeoutError, Ended, ConnectionError):
                answers.append(client.response())
        return answers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()


@pytest.fixture
def node(piko, service):
    """With a good agent; "before" is its memory at rest."""
    node = piko.server("--proxy.http.read-header-timeout", "100s", "--proxy.timeout", "100s", "--proxy.access-log.disable")
    piko.agent("http", node, "good", service.addr, "--access-log.disable")
    assert long_is_served(node)
    node.before = rss(node.pid)
    return node


def long_is_served(node):
    with Client(node.proxy, 20) as client:
        client.send(head("good"))
        return client.response().status == 200


def grown(process):
    return rss(process.pid) - process.before


def unheld(node, side):
    return node.metric(f'piko_proxy_heads_unheld_total{{side="{side}"}}')


def check_refused(crowd):
    told = crowd.answers()
    assert told and all((answer.status, answer.get("retry-after")) == (503, b"1") and b"overloaded" in answer.body for answer in told)


def test_unfinished_heads_take_so_much_memory_and_no_more(node):
    with Crowd(node.proxy, 600, head("good", b"")) as crowd:
        eventually(lambda: unheld(node, "client") >= 600 - BUDGET / len(LONG), 20, "refusals")
        assert grown(node) < BUDGET + SLACK, grown(node)
        assert fetch(node.proxy, "good").status == 200
        check_refused(crowd)
    eventually(lambda: long_is_served(node), what="long heads served again")


def test_whole_heads_before_an_agent_that_says_nothing_take_so_much_memory_and_no_more(node):
    with FakeAgent(node.upstream, "silent", manual=True, grants=False):
        eventually(lambda: node.listeners("silent"))
        with Crowd(node.proxy, 400, head("silent")) as crowd:
            eventually(lambda: unheld(node, "client") >= 400 - BUDGET / len(LONG) / 2, 20, "refusals")
            assert grown(node) < BUDGET + SLACK, grown(node)
            assert fetch(node.proxy, "good").status == 200
            check_refused(crowd)
        eventually(lambda: long_is_served(node), what="long heads served again")


def accepted(session, count):
    """Streams that the node opens: so many at once, and more when they are acknowledged."""
    streams = []
    while len(streams) < count:
        session.wait(lambda: len(session.streams) > len(streams))
        for stream in list(session.streams.values())[len(streams) :]:
            stream.acknowledge()
            streams.append(stream)
    return streams


def test_heads_of_responses_take_so_much_memory_and_no_more(node):
    with FakeAgent(node.upstream, "bad", manual=True) as agent:
        eventually(lambda: node.listeners("bad"))
        with Crowd(node.proxy, 400, b"GET / HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: bad\r\n\r\n") as crowd:
            streams = accepted(agent.session, 400)
            for part in (b"HTTP/1.1 200 OK\r\nX-Long: " + LONG[:200_000], *[LONG[:200_000]] * 3):
                for stream in streams:
                    with contextlib.suppress(ConnectionError):  # refused
                        stream.sendall(part)
            eventually(lambda: unheld(node, "upstream") >= 100, 30, "refusals")
            assert grown(node) < BUDGET + SLACK, grown(node)
            assert fetch(node.proxy, "good").status == 200
            told = crowd.answers()
            assert told and all(answer.status == 502 for answer in told)
        eventually(lambda: long_is_served(node), what="long heads served again")


def test_unfinished_heads_of_a_server_take_so_much_of_an_agents_memory_and_no_more(piko, service):
    addr = f"127.0.0.1:{free_port()}"
    with FakeServer() as server:
        agent = piko.agent("http", server.url, "web", service.addr, "--server.enabled", "--server.bind-addr", addr)
        session = server.tunnel()
        assert ask(session.open(), headers=[("X-Long", LONG.decode())]).status == 200
        agent.before = rss(agent.pid)
        ids = range(10_000, 13_200, 2)
        for id in ids:
            session.send_frame(DATA, SYN, id, body=head("web")[:INITIAL])  # its whole window at once
        sample = '\npiko_agent_heads_unheld_total{endpoint="web",side="client"} '
        unheld = lambda: int(fetch(addr, "agent", "/metrics").body.decode().split(sample)[1].split("\n")[0])
        eventually(lambda: unheld() >= 400, what="refusals")
        assert grown(agent) < BUDGET + SLACK, grown(agent)
        assert ask(session.open()).status == 200
        for id in ids:
            session.send_frame(WINDOW, RST, id, 0)
        session.next_id = 20_000
        eventually(lambda: ask(session.open(), headers=[("X-Long", LONG.decode())]).status == 200, what="long heads served again")


@pytest.mark.parametrize("what", ["token", "endpoint"])
def test_a_client_between_requests_costs_nothing_for_its_long_head(node, what):
    line = {"token": b"X-Piko-Endpoint: good\r\nX-Piko-Authorization: ", "endpoint": b"X-Piko-Endpoint: "}[what]
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            client = stack.enter_context(Client(node.proxy, 20))
            client.wire.dresses = False
            client.send(b"GET / HTTP/1.1\r\nHost: a.b\r\n" + line + LONG + b"\r\n\r\n")
            assert client.response().status in (200, 401, 502)
        assert grown(node) < SLACK, grown(node)


TCP = b"GET /_piko/v1/tcp/%s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
      b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Long: " + LONG + b"\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Ends:
    """Ways in which a long head that was held comes to its end: what is sent to the agent, and what the agent does then."""

    def __init__(self, node):
        self.node = node
        self.agent = None
        self.dial()

    def dial(self):
        self.agent = FakeAgent(self.node.upstream, "bad", manual=True, grants=False)
        self.seen = 0
        eventually(lambda: self.node.listeners("bad"))

    def opened(self):
        """The stream that the node has opened next."""
        session = self.agent.session
        ids = lambda: [frame.stream for frame in session.frames if frame.flags & SYN and frame.stream]
        session.wait(lambda: len(ids()) > self.seen)
        self.seen += 1
        return ids()[self.seen - 1]

    def reset(self, stream):
        self.agent.session.send_frame(WINDOW, RST, stream, 0)

    def run(self, kind):
        with Client(self.node.proxy, 20) as client:
            client.send(TCP % b"bad" if kind.startswith("TCP") else TCP % b"nobody" if kind == "no TCP endpoint" else head("bad"))
            if kind == "no TCP endpoint":
                return client.response().status
            stream = self.opened()
            if kind in ("the client leaves", "TCP, the client leaves"):
                client.wire.reset()
                return None
            if kind == "the tunnel is lost":
                self.agent.session.ws.wire.reset()
            elif kind == "answered before it was read":
                self.agent.session.send_frame(DATA, ACK | FIN, stream, body=ANSWER)
            else:
                self.reset(stream)
            status = client.response().status
            if kind == "the tunnel is lost":
                self.dial()
            elif kind == "answered before it was read":
                self.reset(stream)
            return status


ENDS = {
    "the client leaves": None, "the agent resets": 502, "the tunnel is lost": 502, "answered before it was read": 200, "TCP, the client leaves": None,
    "TCP, the agent resets": 502, "no TCP endpoint": 502,
}


@pytest.mark.parametrize("kind", ENDS)
def test_whatever_becomes_of_long_heads_their_memory_is_given_back(node, kind):
    """One after the other, and together more than there is memory for."""
    ends = Ends(node)
    statuses = [ends.run(kind) for _ in range(170)]
    assert set(statuses) == {ENDS[kind]}
    assert unheld(node, "client") == 0
    assert long_is_served(node)
    ends.agent.close()
