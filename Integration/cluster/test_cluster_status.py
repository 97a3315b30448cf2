# SPDX-License-Identifier: MIT
# What operators see of a cluster: the pages of the admin port, asked of one node and answered by another, `piko server status`, and the
# metrics. Field names and YAML are the original's, as recorded from it.

import json
import pathlib
import re
import signal

import pytest

from harness.usage import eventually
from peer.client import fetch
from peer.service import Service, reply


def ask(node, path):
    """Status and body, read as JSON where there is one."""
    answer = node.ask(path)
    return answer.status, json.loads(answer.body) if answer.body else None


@pytest.fixture
def pair(piko, service):
    """Two nodes that know each other; the second has two tunnels of one endpoint."""
    one = piko.server("--cluster.node-id", "one")
    two = piko.server("--cluster.node-id", "two", "--cluster.join", one.gossip)
    for _ in range(2):
        piko.agent("http", two, "web", service.addr)
    for node in (one, two):
        eventually(lambda: [item["upstreams"] for item in ask(node, "/status/cluster/nodes")[1]] == [0, 2], what="both know both tunnels")
    return one, two


def summaries(one, two):
    return [
        {"id": "one", "status": "active", "proxy_addr": one.proxy, "admin_addr": one.admin, "endpoints": 0, "upstreams": 0},
        {"id": "two", "status": "active", "proxy_addr": two.proxy, "admin_addr": two.admin, "endpoints": 1, "upstreams": 2},
    ]


def detail(node, name, endpoints):
    return {"id": name, "status": "active", "proxy_addr": node.proxy, "admin_addr": node.admin, "endpoints": endpoints}


def test_cluster_pages(pair):
    one, two = pair
    for node in pair:
        assert ask(node, "/status/cluster/nodes") == (200, summaries(one, two))
        assert ask(node, "/status/cluster/nodes/two") == (200, detail(two, "two", {"web": 2}))
        assert ask(node, "/status/cluster/nodes/nobody") == (404, {"error": "no node nobody"})
    assert ask(one, "/status/cluster/nodes/local") == (200, detail(one, "one", {}))


def test_gossip_pages(pair):
    one, two = pair
    status, nodes = ask(one, "/status/gossip/nodes")
    assert status == 200 and [item.pop("version") > 0 for item in nodes] == [True, True]
    assert nodes == [{"id": name, "addr": node.gossip, "left": False, "unreachable": False, "expiry": "0001-01-01T00:00:00Z"}
                     for name, node in (("one", one), ("two", two))]
    status, state = ask(one, "/status/gossip/nodes/two")
    entries = {item["key"]: item["value"] for item in state["Entries"]}
    assert (entries["proxy_addr"], entries["admin_addr"], entries["endpoint:web"]) == (two.proxy, two.admin, "2")
    assert state["version"] == state["Entries"][-1]["version"] and (state["id"], state["addr"]) == ("two", two.gossip)
    assert set(state["Entries"][0]) == {"key", "value", "version", "internal", "deleted"}
    assert ask(one, "/status/gossip/nodes/nobody")[0] == 404


def test_another_node_answers(pair):
    one, two = pair
    for path in ("/status/upstream/endpoints", "/status/cluster/nodes", "/status/cluster/nodes/local"):
        assert ask(one, f"{path}?forward=two") == ask(two, path) == ask(two, f"{path}?forward=two")
    assert ask(one, "/status/upstream/endpoints") == (200, {}) != ask(one, "/status/upstream/endpoints?forward=two")
    assert one.ask("/ready?forward=two").status == 200
    assert b"piko_upstreams_connected_upstreams 2\n" in one.ask("/metrics?forward=two").body
    assert ask(one, "/nothing?forward=two") == (404, {"error": "not found"})
    for name in ("nobody", ""):
        assert ask(one, f"/status/cluster/nodes?forward={name}")[0] == 404


def state(task):
    """Of a thread, by its directory below /proc: T where it is stopped."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def test_a_node_that_does_not_answer_is_a_502(pair):
    one, two = pair
    two.signal(signal.SIGSTOP)
    try:
        eventually(lambda: all(state(task) == "T" for task in pathlib.Path(f"/proc/{two.pid}/task").iterdir()), what="all threads stopped")
        # The node asks for 10 s, and this client is to hear of it.
        frozen = fetch(one.admin, "admin", "/health?forward=two", timeout=20)
    finally:
        two.signal(signal.SIGCONT)
    assert (frozen.status, json.loads(frozen.body)) == (502, {"error": "node unreachable: timed out"})
    two.kill()
    two.checked = True
    status, answer = ask(one, "/health?forward=two")
    assert status == 502 and answer["error"].startswith("node unreachable: ")


def test_a_forwarded_question_goes_no_further(piko):
    """A node that tells others an admin address that is another's: the answer is not passed around in circles."""
    one = piko.server("--cluster.node-id", "one")
    two = piko.server("--cluster.node-id", "two", "--cluster.join", one.gossip, "--admin.advertise-addr", one.admin)
    eventually(lambda: len(ask(one, "/status/cluster/nodes")[1]) == 2)
    assert ask(one, "/health?forward=two") == (404, {"error": "this node is one, not two"})
    assert ask(two, "/status/cluster/nodes/local?forward=one") == (200, detail(one, "one", {}))


def test_metrics(pair):
    one, two = pair
    one.counts('piko_cluster_nodes{status="active"}', 2)
    one.counts('piko_gossip_entries{node_id="two",deleted="false",internal="false"}', 3)
    for name in ("connections_inbound", "stream_bytes_inbound", "stream_bytes_outbound", "packet_bytes_inbound", "packet_bytes_outbound",
                 "digest_entries_inbound", "digest_entries_outbound", "delta_entries_inbound", "delta_entries_outbound"):
        eventually(lambda: one.metric(f"piko_gossip_{name}_total") > 0, what=name)
    eventually(lambda: two.metric("piko_gossip_connections_outbound_total") > 0)
    two.stop()
    one.counts('piko_cluster_nodes{status="left"}')


def status(piko, node, *words):
    ended = piko.run("server", "status", *words, "--server.url", node.admin_url, *piko.asking, timeout=20.0)
    assert (ended.child.returncode, ended.log) == (0, "")
    return ended.out


def test_commands_print_the_yaml_of_the_original(piko, pair):
    one, two = pair
    # Recorded from Piko 0.9, with these addresses in place of its own.
    assert status(piko, one, "cluster", "nodes") == f"""nodes:
- id: one
  status: active
  proxy_addr: {one.proxy}
  admin_addr: {one.admin}
  endpoints: 0
  upstreams: 0
- id: two
  status: active
  proxy_addr: {two.proxy}
  admin_addr: {two.admin}
  endpoints: 1
  upstreams: 2
"""
    assert status(piko, one, "cluster", "node", "two") == f"""id: two
status: active
proxy_addr: {two.proxy}
admin_addr: {two.admin}
endpoints:
  web: 2
"""
    nodes = status(piko, one, "gossip", "nodes")
    assert re.sub(r"version: \d+", "version: N", nodes).splitlines()[:8] == [
        "nodes:", "- id: one", f"  addr: {one.gossip}", "  version: N", "  left: false", "  unreachable: false",
        "  expiry: 0001-01-01T00:00:00Z", "- id: two"]
    state = status(piko, one, "gossip", "node", "two")
    assert re.sub(r"version: \d+", "version: N", state).startswith(f"""nodemetadata:
  id: two
  addr: {two.gossip}
  version: N
  left: false
  unreachable: false
  expiry: 0001-01-01T00:00:00Z
entries:
- key: proxy_addr
  value: {two.proxy}
  version: N
  internal: false
  deleted: false
""")
    assert '- key: endpoint:web\n  value: "2"\n' in state


def test_commands_ask_another_node_and_filter(piko, pair):
    one, two = pair
    assert status(piko, one, "upstream", "endpoints", "--forward", "two") == "web: 2\n"
    assert status(piko, one, "cluster", "node", "local", "--forward", "two").startswith("id: two\n")
    assert status(piko, one, "cluster", "node", "local").endswith("endpoints: {}\n")
    assert status(piko, one, "cluster", "nodes", "--status", "left") == "nodes: []\n"
    two.stop()
    eventually(lambda: "id: two\n" in status(piko, one, "cluster", "nodes", "--status", "left"))
    state = status(piko, one, "gossip", "node", "two")
    assert "  left: true\n" in state and re.search(r"\n  expiry: 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z\n", state)


@pytest.mark.parametrize("words, error", [
    (["cluster", "node", "nobody"], 'status 404 {"error":"no node nobody"}'),
    (["upstream", "endpoints", "--forward", "nobody"], 'status 404 {"error":"no node nobody"}'),
])
def test_an_unknown_node_is_one_line_and_exit_1(piko, words, error):
    node = piko.server()
    ended = piko.run("server", "status", *words, "--server.url", node.admin_url, *piko.asking)
    assert (ended.child.returncode, ended.log) == (1, f"piko: {node.admin_url}: {error}\n")


def test_null_where_the_original_has_nothing(piko):
    """The original's JSON says null for no endpoints and for no nodes."""
    with Service(reply(body=b'{"id":"x","endpoints":null}')) as service:
        assert piko.run("server", "status", "cluster", "node", "x", "--server.url", f"http://{service.addr}").out == "id: x\nendpoints: {}\n"
    with Service(reply(body=b"null")) as service:
        assert piko.run("server", "status", "gossip", "nodes", "--server.url", f"http://{service.addr}").out == "nodes: []\n"
