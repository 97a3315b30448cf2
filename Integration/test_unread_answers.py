# SPDX-License-Identifier: MIT
# Clients that ask and ask and read no answer: they cost little, whoever answers (the service, the server itself, the admin port), and are let go
# of in time; those that read later get every answer, in order. Runs alone, since it measures memory.

import threading

import pytest

from harness.tokens import SECRET
from harness.usage import eventually, rss, sockets
from peer.agent import FakeAgent
from peer.client import Client, fetch
from peer.service import Service

MEBI = 1 << 20
MOST = 12 * MEBI  # what is read of requests, and what waits as answers, with the program's own ups and downs

pytestmark = pytest.mark.alone


def flood(addr, endpoint, target="/", most=48 * MEBI):
    """A client that sends requests until they are not taken for two seconds; how many bytes went."""
    client = Client(addr, timeout=2)
    block = f"GET {target} HTTP/1.1\r\nHost: a.b\r\nX-Piko-Endpoint: {endpoint}\r\n\r\n".encode() * 500
    sent = 0
    try:
        while sent < most:
            client.send(block)
            sent += len(block)
    except OSError:
        pass
    return client, sent


def small(conn, head):
    conn.reply(200, b"x" * 8000)


KINDS = {
    "an answer of the service": ([], "web"),
    "no such endpoint": ([], "nobody"),
    "beyond the rate": (["--proxy.limits.requests-per-second-per-ip", "5"], "web"),
    "no token": (["--proxy.auth.hmac-secret-key", SECRET, "--proxy.auth.audience", "others"], "web"),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_asks_and_never_reads_costs_little_and_is_let_go(piko, kind):
    flags, endpoint = KINDS[kind]
    with Service(small, record=False) as service:
        node = piko.server("--proxy.http.idle-timeout", "3s", "--proxy.access-log.disable", *flags)
        agent = piko.agent("http", node, "web", service.addr, "--access-log.disable")
        fetch(node.proxy, endpoint)
        before, idle = [rss(process.pid) for process in (node, agent)], sockets(node.pid)
        clients = [flood(node.proxy, endpoint) for _ in range(3)]
        assert all(sent < 48 * MEBI for _, sent in clients), "everything was taken"
        grown = [rss(process.pid) - then for process, then in zip((node, agent), before)]
        assert max(grown) < MOST, grown
        if endpoint == "nobody":
            eventually(lambda: sockets(node.pid) <= idle, 60, "the clients' end")  # the idle time, and 30 s that a queue has to move
        for client, _ in clients:
            client.close()
        node.lines()


@pytest.mark.timeout(120)
def test_a_client_of_the_admin_port_that_never_reads_costs_little(piko):
    node = piko.server()
    before = rss(node.pid)
    clients = [flood(node.admin, "", "/health") for _ in range(3)]
    assert all(sent < 48 * MEBI for _, sent in clients), "everything was taken"
    assert rss(node.pid) - before < MOST
    assert node.ask("/health").status == 200
    for client, _ in clients:
        client.close()


@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "half closes"])
def test_answers_read_late_come_whole_and_in_order(piko, ends):
    """Some 16 MiB of answers: more than waits anywhere."""
    with Service(lambda conn, head: conn.reply(200, head.target * 500), record=False) as service:
        node = piko.server()
        piko.agent("http", node, "web", service.addr)
        with Client(node.proxy, timeout=20) as client:
            def ask():
                for number in range(3000):
                    client.request("web", f"/{number:09}")
                if ends:
                    client.wire.shut()
            asking = threading.Thread(target=ask)
            asking.start()
            asking.join(3)  # until it is held up, or has sent everything
            for number in range(3000):
                assert client.response().body == f"/{number:09}".encode() * 500
            asking.join()
            if ends:
                assert client.ends() == "end"
            else:
                assert client.request("web", "/last").response().status == 200


@pytest.mark.parametrize("by", ["the node", "the agent"])
def test_a_response_has_interim_heads_of_one_heads_size_at_most(piko, by):
    """However many there may be: they wait for a client that does not read."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"l" * 900_000 + b"\r\n\r\n"

    def hint(conn, head):
        for _ in range(3):
            conn.send(early)
        conn.reply(200)

    node = piko.server()
    with Service(hint) as service, Client(node.proxy) as client:
        if by == "the agent":
            piko.agent("http", node, "web", service.addr)
        else:
            agent = FakeAgent(node.upstream, "web", hint)
            eventually(lambda: node.listeners("web") == 1)
        client.request("web")
        assert client.head().status == 103
        assert client.response().status == 502
        if by == "the node":
            agent.close()
