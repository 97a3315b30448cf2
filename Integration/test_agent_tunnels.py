# SPDX-License-Identifier: MIT
# How an agent keeps its tunnels: to different nodes, moved before they are let go, dialled again for ever, found dead within
# seconds. Scripted nodes behind one address; real ones where both ends matter.

import signal
import threading
import time

import pytest

from harness.ports import free_port
from harness.usage import eventually
from peer.agent import FakeAgent, dial_tunnel
from peer.client import Client, fetch
from peer.cluster import FakeCluster
from peer.server import ask
from peer.service import Service, echo, reply
from peer.websocket import Refused

KINDS = pytest.mark.parametrize("kind", ["http", "tcp"])


def request(session, **options):
    """One request on a stream of its own, as a node does it."""
    stream = session.open()
    try:
        return ask(stream, **options)
    finally:
        stream.close()


def in_background(call):
    """Runs the call on a thread; the result is a function that waits for its answer."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()

    def result(timeout=10.0):
        thread.join(timeout)
        assert answers, "no answer"
        return answers[0]
    return result


# Which nodes


@KINDS
def test_an_agent_has_tunnels_to_two_different_nodes(piko, service, kind):
    with FakeCluster("a", "b", "c") as cluster:
        piko.agent(kind, cluster.url, "web", service.addr)
        first, second = cluster.tunnel("a"), cluster.tunnel("b")
        service.fresh(echo)
        assert request(first, body=b"one", method="POST").body == b"one"
        assert request(second, body=b"two", method="POST").body == b"two"
        heads = cluster.heads
        assert len(heads) == 2 and [head.get("user-agent") for head in heads] == [b"piko"] * 2
        assert heads[0].get("x-piko-listener") == heads[1].get("x-piko-listener") != None  # noqa: E711
        assert [head.get("x-piko-connected") for head in heads] == [None, b"a"]


def test_a_node_that_is_chosen_twice_refuses_and_another_is_found(piko, service):
    with FakeCluster("a", "a", "a", "b", nodes=2) as cluster:
        agent = piko.agent("http", cluster.url, "web", service.addr)
        cluster.tunnel("a"), cluster.tunnel("b")
        assert cluster.answers == [("a", 101), ("a", 409), ("a", 409), ("b", 101)]
        # With --tls it is told authorities that a server of http has no use for, and says so.
        assert not [line for line in agent.lines() if line["level"] in ("warn", "error") and line["subsystem"] != "tls"]


@pytest.mark.parametrize("nodes, flags", [(3, ["--connect.tunnels", "1"]), (1, [])], ids=["one wanted", "one there"])
def test_one_tunnel_is_enough(piko, service, nodes, flags):
    with FakeCluster("a", "b", nodes=nodes) as cluster:
        piko.agent("http", cluster.url, "web", service.addr, *flags)
        cluster.tunnel("a")
        time.sleep(1.5)  # a second dial would come within one
        assert cluster.dials == 1


def test_against_an_original_node_one_tunnel_is_enough(piko, service):
    with FakeCluster(None, nodes=3) as cluster:
        piko.agent("http", cluster.url, "web", service.addr)
        session = cluster.tunnel(None)
        time.sleep(1.5)
        assert cluster.dials == 1
        session.close()
        cluster.tunnel(None)


def test_a_node_refuses_the_second_tunnel_of_a_listener(piko, service):
    node = piko.server("--cluster.node-id", "n1")
    for connected, status in (("n1", 409), ("n0, n1", 409), ("n11,n", None), ("", None)):
        headers = [("User-Agent", "piko"), ("x-piko-connected", connected)]
        if status is None:
            with dial_tunnel(node.upstream, "web", headers) as ws:
                assert ws.head.get("x-piko-node") == b"n1" and ws.head.get("x-piko-nodes") == b"1"
            continue
        with pytest.raises(Refused) as refused:
            dial_tunnel(node.upstream, "web", headers)
        message = refused.value.message
        assert message.status == 409 and message.body == b'{"error":"already connected"}'
        assert message.get("x-piko-node") == b"n1" and message.get("x-piko-nodes") == b"1"
    node.counts('piko_upstreams_refused_total{status="409"}', 2)


def test_a_tunnel_that_was_let_go_is_no_reason_to_refuse_its_listener(piko):
    node = piko.server("--cluster.node-id", "n1")
    name = [("User-Agent", "piko"), ("x-piko-listener", "ab12"), ("x-piko-connected", "n1")]
    gate = threading.Event()

    def wait(conn, head):
        conn.service.requests.put("came")
        gate.wait(20)
        conn.reply(200, b"old")

    with FakeAgent(node.upstream, "web", wait, headers=name[:2]) as old:
        running = in_background(lambda: fetch(node.proxy, "web").body)
        old.request()
        with pytest.raises(Refused) as refused:
            dial_tunnel(node.upstream, "web", name)
        assert refused.value.message.status == 409
        old.session.go_away()
        eventually(lambda: node.listeners("web") == 0)
        with FakeAgent(node.upstream, "web", reply(body=b"new"), headers=name):
            assert fetch(node.proxy, "web").body == b"new"
            assert not old.session.over  # what runs on it goes on
            gate.set()
            assert running() == b"old"


def test_a_listener_that_dials_again_replaces_its_tunnel(piko):
    node = piko.server()
    name = [("User-Agent", "piko"), ("x-piko-listener", "deadbeef01")]

    def listeners():
        return {endpoint: node.listeners(endpoint) for endpoint in ("web", "other")}

    with FakeAgent(node.upstream, "web", reply(body=b"old"), headers=name) as old, FakeAgent(node.upstream, "other", headers=name) as other:
        assert fetch(node.proxy, "web").body == b"old"
        with FakeAgent(node.upstream, "web", reply(body=b"new"), headers=name), FakeAgent(node.upstream, "web"):
            old.session.wait_over()
            eventually(lambda: listeners() == {"web": 2, "other": 1})  # a stranger's stays, another endpoint's too
            assert not other.session.over
        eventually(lambda: listeners() == {"web": 0, "other": 1})
    eventually(lambda: listeners() == {"web": 0, "other": 0})


# Moving


@KINDS
def test_a_tunnel_that_is_told_to_go_is_replaced_first_and_ends_behind_its_last_stream(piko, held, kind):
    with FakeCluster("a", "b", "c") as cluster:
        piko.agent(kind, cluster.url, "web", held.addr, "--connect.tunnels", "1")
        old = cluster.tunnel("a")
        running = in_background(lambda: request(old, target="/held").body)
        held.request()
        cluster.refuse("a", 503, "node is shutting down")
        cluster.refuse("b", 503, "node is shutting down")
        old.go_away()
        new = cluster.tunnel("c")
        old.wait(lambda: old.going_away == 0)
        assert request(new).body == b"finished"
        assert not old.over
        held.gate.set()
        assert running() == b"finished"
        old.wait_over()
        assert cluster.answers[1:] == [("b", 503), ("c", 101)]


def test_the_old_tunnel_serves_until_there_is_a_new_one(piko, service):
    with FakeCluster("a", "b") as cluster:
        piko.agent("http", cluster.url, "web", service.addr, "--connect.tunnels", "1")
        service.fresh(reply())
        old = cluster.tunnel("a")
        for name in "ab":
            cluster.refuse(name, 503, "node is shutting down")
        old.go_away()
        eventually(lambda: len(cluster.answers) > 5)
        assert request(old).status == 200 and old.going_away is None
        cluster.refuse("b")
        cluster.tunnel("b")
        old.wait_over()


def test_the_old_tunnel_serves_until_the_cluster_can_have_heard_of_the_new_one(piko, service):
    with FakeCluster("a", "b") as cluster:
        piko.agent("http", cluster.url, "web", service.addr, "--connect.tunnels", "1")
        service.fresh(reply())
        old = cluster.tunnel("a")
        old.go_away()
        new = cluster.tunnel("b")
        start = time.monotonic()
        while time.monotonic() - start < 0.7:
            assert request(old).status == 200 and old.going_away is None
        old.wait(lambda: old.going_away == 0)
        assert request(new).status == 200
        old.wait_over()


@KINDS
def test_a_stream_that_was_opened_before_the_agents_go_away_was_read_is_served(piko, service, kind):
    with FakeCluster("a", "b") as cluster:
        piko.agent(kind, cluster.url, "web", service.addr, "--connect.tunnels", "1")
        service.fresh(echo)
        old = cluster.tunnel("a")
        old.deaf = True  # the agent's question whether its go away was read stays open
        old.go_away()
        cluster.tunnel("b")
        old.wait(lambda: old.going_away == 0)
        assert request(old, method="POST", body=b"x" * 100_000).body == b"x" * 100_000
        assert not old.over
        question = next(frame for frame in reversed(old.frames) if frame.type == 2 and frame.flags & 1)
        old.send_frame(2, 2, 0, question.length)
        old.wait_over()


def test_a_node_that_dies_while_it_is_left_changes_nothing(piko, service):
    with FakeCluster("a", "b") as cluster:
        piko.agent("http", cluster.url, "web", service.addr, "--connect.tunnels", "1")
        service.fresh(reply())
        old = cluster.tunnel("a")
        cluster.refuse("b", 503, "not yet")
        old.go_away()
        old.ws.reset()
        cluster.refuse("b")
        cluster.refuse("a", 503, "node is shutting down")
        assert request(cluster.tunnel("b")).status == 200


# For ever


@pytest.mark.parametrize("status", [401, 404, 503])
def test_no_refusal_ends_an_agent_that_was_connected(piko, service, status):
    with FakeCluster("a") as cluster:
        agent = piko.agent("http", cluster.url, "web", service.addr)
        service.fresh(reply())
        session = cluster.tunnel("a")
        cluster.refuse("a", status, "not you")
        session.close()
        eventually(lambda: len(cluster.answers) >= 5, 20)
        cluster.refuse("a")
        assert request(cluster.tunnel("a", 20)).status == 200
        lines = [line for line in agent.lines() if line["msg"] == "not connected to server"]
        assert [line["error"] for line in lines if "not you" in line["error"]] == [f"status {status}: not you"]


def test_no_answer_at_all_ends_an_agent_that_was_connected(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    node.kill()
    node.checked = True
    agent.wait_line(lambda line: line["msg"] == "not connected to server" and "refused" in line["error"])
    assert agent.running


@pytest.mark.parametrize("status, final", [(401, True), (404, True), (429, False), (503, False)])
def test_the_first_dial_fails_for_good_at_once_or_at_its_timeout(piko, service, status, final):
    with FakeCluster("a") as cluster:
        cluster.refuse("a", status, "not you")
        start = time.monotonic()
        agent = piko.agent("http", cluster.url, "web", service.addr, "--connect.timeout", "2s")
        agent.checked = True
        assert agent.wait(8) == 1
        assert (time.monotonic() - start < 1.5) == final and (len(cluster.answers) == 1) == final
        failed = next(line for line in agent.lines() if line["msg"] == "server not reached")
        assert failed["error"] == f"status {status}: not you"


def test_a_server_that_does_not_answer_is_given_up_at_the_first_timeout(piko, service):
    with FakeCluster("a") as cluster:
        cluster.upgrade = lambda wire: time.sleep(30)
        start = time.monotonic()
        agent = piko.agent("http", cluster.url, "web", service.addr, "--connect.timeout", "1s")
        agent.checked = True
        assert agent.wait(5) == 1
        assert 0.9 < time.monotonic() - start < 4


# Dead ends


def test_a_node_that_stands_still_is_noticed_by_its_agent(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    service.fresh(reply())
    start = time.monotonic()
    node.signal(signal.SIGSTOP)
    try:
        agent.wait_line(lambda line: line["msg"] == "not connected to server", 8)
        assert time.monotonic() - start < 5.5
    finally:
        node.signal(signal.SIGCONT)
    eventually(lambda: node.listeners("web") == 1 and fetch(node.proxy, "web").status == 200, 20)


def test_an_agent_that_stands_still_is_noticed_by_its_node(piko, service):
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    service.fresh(reply())
    start = time.monotonic()
    agent.signal(signal.SIGSTOP)
    try:
        eventually(lambda: node.listeners("web") == 0, 8)
        assert time.monotonic() - start < 5.5
    finally:
        agent.signal(signal.SIGCONT)
    eventually(lambda: node.listeners("web") == 1 and fetch(node.proxy, "web").status == 200, 20)


def test_who_stood_still_together_blames_nobody(piko, service):
    """As on a machine that was suspended: nothing was lost, nothing is dialled again."""
    node = piko.server()
    agent = piko.agent("http", node, "web", service.addr)
    for process in (agent, node):
        process.signal(signal.SIGSTOP)
    time.sleep(7)
    for process in (node, agent):
        process.signal(signal.SIGCONT)
    service.fresh(reply())
    eventually(lambda: fetch(node.proxy, "web").status == 200)
    time.sleep(3)
    assert sum(line["msg"] == "connected to server" for line in agent.lines()) == 1


def test_a_busy_tunnel_is_not_pinged(piko):
    def stream(conn, head):
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            conn.send(b"1\r\nx\r\n")
            time.sleep(0.2)

    with Service(stream) as service, FakeCluster(None) as cluster:
        piko.agent("http", cluster.url, "web", service.addr)
        session = cluster.tunnel(None)
        session.open().sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(25):
            session.ping()
            time.sleep(0.2)
        assert not [frame for frame in session.frames if frame.type == 2 and frame.flags & 1]
        service.errors.clear()


# Stopping


@KINDS
def test_an_agent_with_several_tunnels_finishes_what_runs_and_exits_with_0(piko, held, kind):
    with FakeCluster("a", "b") as cluster:
        agent = piko.agent(kind, cluster.url, "web", held.addr)
        sessions = [cluster.tunnel("a"), cluster.tunnel("b")]
        running = [in_background(lambda s=session: request(s, target="/held").body) for session in sessions]
        for _ in sessions:
            held.request()
        agent.signal(signal.SIGTERM)
        for session in sessions:
            session.wait(lambda s=session: s.going_away == 0)
            assert request(session).body == b"finished"  # opened before the go away was read, for all the agent knows
        assert agent.running
        held.gate.set()
        assert [result() for result in running] == [b"finished"] * 2
        assert agent.wait(5) == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_agents_restarted_one_at_a_time_lose_nothing(piko, method):
    node = piko.server()
    stop, failures, served = threading.Event(), [], []

    def load(keep):
        client = Client(node.proxy)
        while not stop.is_set():
            try:
                answer = client.request("web", "/", method, body=b"once" if method == "POST" else None).response()
            except (EOFError, OSError) as error:
                failures.append(repr(error))
                return
            served.append(answer.status)
            if answer.status != 200:
                failures.append((answer.status, answer.body))
            if not keep or (answer.get("connection") or b"").lower() == b"close":
                client.close()
                client = Client(node.proxy)
        client.close()

    with Service(echo) as service:
        agents = [piko.agent("http", node, "web", service.addr) for _ in range(2)]
        threads = [threading.Thread(target=load, args=(keep,)) for keep in (True, True, False, False)]
        for thread in threads:
            thread.start()
        for turn in range(6):
            count = len(served)
            agents[turn % 2].stop()
            eventually(lambda: len(served) > count + 50, 20)
            agents[turn % 2] = piko.agent("http", node, "web", service.addr)
        stop.set()
        for thread in threads:
            thread.join(10)
        service.errors.clear()
    assert failures == [] and len(served) > 300


def test_a_name_that_is_not_resolved_is_given_up_at_the_first_timeout(piko, service):
    agent = piko.agent("http", f"http://no-such-host.invalid:{free_port()}", "web", service.addr, "--connect.timeout", "1s")
    agent.checked = True
    assert agent.wait(10) == 1
