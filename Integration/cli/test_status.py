# SPDX-License-Identifier: MIT
# `piko server status`: what it asks a node and prints as YAML, and what it says when there is no answer.
# The node is ours; a scripted service stands in for other answers.

from urllib.parse import unquote

import pytest

from harness.ports import free_port
from harness.tokens import SECRET, token
from harness.usage import eventually
from peer.agent import FakeAgent
from peer.service import Service, reply


def test_endpoints_are_printed_as_yaml(piko, service):
    node = piko.server()
    for endpoint in ("web", "web", "db", "123"):
        piko.agent("tcp", node, endpoint, service.addr)
    ended = piko.run("server", "status", "upstream", "endpoints", "--server.url", node.admin_url, *piko.asking)
    assert (ended.child.returncode, ended.log) == (0, "")
    assert sorted(ended.out.splitlines()) == ['"123": 1', "db: 1", "web: 2"]


def test_no_endpoints_are_an_empty_mapping(piko):
    node = piko.server()
    ended = piko.run("server", "status", "upstream", "endpoints", "--server.url", f"{node.admin_url}/", *piko.asking)
    assert (ended.child.returncode, ended.out) == (0, "{}\n")


def test_an_endpoint_of_control_characters_hides_no_other(piko, service):
    node = piko.server("--cluster.node-id", "me")
    piko.agent("tcp", node, "web", service.addr)
    names = ["%7f", "%c2%9b", "%ef%bf%bf", "%ef%bf%be", "%e2%80%a8"]
    agents = [FakeAgent(node.upstream, name) for name in names]
    eventually(lambda: sum(node.listeners(unquote(name)) for name in names) == len(names))
    for words in ("upstream endpoints", "cluster node local", "gossip node me"):
        ended = piko.run("server", "status", *words.split(), "--server.url", node.admin_url, *piko.asking)
        assert (ended.child.returncode, ended.log) == (0, ""), words
        assert "web" in ended.out and all(char.isprintable() for char in ended.out.replace("\n", "")), words
    assert node.ask("/status/upstream/endpoints").body.isascii()
    for agent in agents:
        agent.close()


def test_an_admin_port_that_asks_for_a_token_gets_it_from_a_flag_or_a_file(piko, tmp_path):
    piko.tokens = None
    node = piko.server("--cluster.node-id", "me", "--admin.auth.hmac-secret-key", SECRET)
    file = tmp_path / "token"
    file.write_text(f"{token()}\n")
    for page in ("upstream endpoints", "cluster nodes", "cluster node local", "gossip nodes", "gossip node me"):
        ask = ["server", "status", *page.split(), "--server.url", node.admin_url, *piko.asking]
        assert piko.run(*ask).log == f'piko: {node.admin_url}: status 401 {{"error":"missing authorization"}}\n'
        for way in (["--server.token", token()], ["--server.token-file", file]):
            ended = piko.run(*ask, *way)
            assert (ended.child.returncode, ended.log) == (0, "") and ended.out, (page, way)
    file.write_text("two words")
    ended = piko.run(*ask, "--server.token-file", file)
    assert ended.child.returncode == 1
    assert ended.log == f'piko: {node.admin_url}: server.token_file: expected a token of visible ASCII characters in "{file}"\n'


def test_no_server_is_one_line_and_exit_1(run):
    url = f"http://127.0.0.1:{free_port()}"
    assert run("server", "status", "upstream", "endpoints", "--server.url", url).error.startswith(f"{url}: ")


@pytest.mark.parametrize("answer, error", [
    (dict(status=404, body=b"{}"), "status 404"),
    (dict(status=200, body=b"{ not json ["), "expected JSON from the admin port"),
])
def test_another_answer_is_one_line_and_exit_1(run, answer, error):
    with Service(reply(**answer)) as service:
        assert error in run("server", "status", "upstream", "endpoints", "--server.url", f"http://{service.addr}").error


def test_a_server_that_hangs_up_is_one_line_and_exit_1(run):
    with Service(raw=True, handler=lambda conn: conn.close()) as service:
        assert "http://" in run("server", "status", "upstream", "endpoints", "--server.url", f"http://{service.addr}").error


@pytest.mark.parametrize("flags, error", [
    ("--server.url https://h --server.tls.cert c", "server.tls.key: expected a file, since cert is set"),
    ("--server.url https://h --server.tls.root-cas /nowhere", "https://h: server.tls.root_cas: /nowhere: No such file or directory"),
    ("--server.url h", '--server.url: expected a URL such as http://localhost:8000, got "h"'),
    ("--server.token a --server.token-file b", "server.token_file: expected no server.token beside it"),
    ("extra", "unexpected argument: extra"),
])
def test_mistakes(run, flags, error):
    assert run("server", "status", "upstream", "endpoints", *flags.split()).error == error


@pytest.mark.parametrize("words, error", [
    ("cluster nodes --status up", '--status: expected active, unreachable or left, got "up"'),
    ("cluster --status up nodes", '--status: expected active, unreachable or left, got "up"'),
    ("cluster node", "missing argument: ID"),
    ("gossip node", "missing argument: ID"),
    ("gossip node a b", "unexpected argument: b"),
    ("gossip nodes --status left", "--status: unknown flag"),
])
def test_mistakes_of_the_cluster_commands(run, words, error):
    assert run("server", "status", *words.split()).error == error
