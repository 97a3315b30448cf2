# SPDX-License-Identifier: MIT
# SIGHUP: what changes while a process runs, what it says of what cannot, and that a broken file changes nothing; `--config.check`; and the
# configuration in effect as the log shows it.

import os
import pty
import signal

import pytest

from harness.piko import listening
from harness.ports import free_port
from harness.process import PikoProcess
from harness.tokens import soon, token
from harness.usage import eventually
from peer.client import Client, fetch


class Told:
    """A process with a configuration file, and what it says when it has read that again."""

    def __init__(self, path):
        self.path = path
        self.process = None

    def write(self, text):
        self.path.write_text(text)

    def _said(self, messages):
        return [line for line in self.process.lines() if line["msg"] in messages]

    def reload(self, text=None):
        """Sends SIGHUP; returns the line that answers it."""
        if text is not None:
            self.write(text)
        answers = ("configuration read again", "configuration not changed")
        before = len(self._said(answers))
        self.process.signal(signal.SIGHUP)
        eventually(lambda: len(self._said(answers)) > before, 10, "an answer to SIGHUP")
        return self._said(answers)[before]

    @property
    def restarts(self):
        """The keys of the last line that says what needs a restart."""
        return self.process.wait_line(lambda line: line["msg"] == "configuration needs a restart")["keys"]


@pytest.fixture
def told(tmp_path):
    return Told(tmp_path / "piko.yaml")


@pytest.fixture
def server(piko, told):
    """A server node with a file that begins as this text."""
    def start(text, *flags):
        told.write(text)
        told.process = piko.server("--config.path", told.path, *flags)
        return told.process
    return start


def access_lines(process):
    return [line for line in process.lines() if line["subsystem"] == "proxy.access"]


def test_log_levels_and_the_access_log_change(piko, told, server, service):
    node = server("log: {level: info}\n")
    piko.agent("http", node, "web", service.addr)
    fetch(node.proxy, "web", "/one")
    eventually(lambda: len(access_lines(node)) == 1, 5)
    line = told.reload("proxy:\n  access_log:\n    disable: true\n")
    assert line["applied"] == "proxy.access_log.disable"
    fetch(node.proxy, "web", "/two")
    line = told.reload(
        "log: {subsystems: [proxy.access]}\nproxy: {access_log: {level: debug, response_headers: {block_list: [content-length]}}}\n")
    assert set(line["applied"].split(", ")) == {
        "log.subsystems", "proxy.access_log.level", "proxy.access_log.disable", "proxy.access_log.response_headers.block_list"}
    fetch(node.proxy, "web", "/three")
    eventually(lambda: len(access_lines(node)) == 2, 5)
    last = access_lines(node)[-1]["request"]
    assert last["path"] == "/three" and "Content-Length" not in last["response_headers"]
    told.reload("log: {level: info}\nproxy: {access_log: {level: debug}}\n")
    fetch(node.proxy, "web", "/four")
    assert len(access_lines(node)) == 2


def test_the_answer_is_said_where_the_old_level_or_the_new_one_lets_it(told, server):
    server("log: {level: info}\n")
    assert told.reload("log: {level: error}\n")["applied"] == "log.level"
    assert told.reload("log: {level: info}\n")["applied"] == "log.level"


def test_a_subsystem_that_nobody_has_is_said_and_stops_nothing(told, server):
    node = server("log: {subsystems: [proxy, prox, proxy.http]}\n")
    line = node.wait_line(lambda line: line["msg"] == "no such subsystem")
    assert line["key"] == "log.subsystems" and line["got"] == "prox" and line["expected"].startswith("main, agent")
    assert told.reload("log: {subsystems: [upstraem]}\n")["applied"] == "log.subsystems"
    node.wait_line(lambda line: line["msg"] == "no such subsystem" and line["got"] == "upstraem")


def test_timeouts_change_for_the_requests_to_come(piko, told, server, held):
    node = server("proxy: {timeout: 20s}\n")
    piko.agent("http", node, "web", held.addr)
    first = Client(node.proxy)
    first.request("web", "/held")
    held.requests.get(timeout=10)
    assert told.reload("proxy: {timeout: 200ms}\n")["applied"] == "proxy.timeout"
    assert fetch(node.proxy, "web", "/held").status == 504
    held.gate.set()
    assert first.response().status == 200
    first.close()


def test_limits_change_and_open_connections_stay(piko, told, server, service):
    node = server("proxy: {limits: {connections: 1}}\n")
    piko.agent("http", node, "web", service.addr)
    first = Client(node.proxy)
    assert first.request("web").response().status == 200
    assert fetch(node.proxy, "web", "/").status == 503
    told.reload("proxy: {limits: {connections: 9}, http: {max_header_bytes: 1024}}\n")
    assert fetch(node.proxy, "web", "/").status == 200
    assert fetch(node.proxy, "web", "/" + "x" * 2000).status == 431
    told.reload("proxy: {limits: {connections: 1}}\n")
    assert first.request("web", "/" + "x" * 2000).response().status == 200
    assert fetch(node.proxy, "web", "/").status == 503
    first.close()


def test_upstream_limits_and_rebalancing_change(piko, told, server, service):
    node = server("upstream: {limits: {sessions: 1}}\n")
    piko.agent("http", node, "one", service.addr)
    late = piko.agent("http", node, "two", service.addr, wait=False)
    late.wait_line(lambda line: "too many upstreams" in line.get("error", ""))
    line = told.reload("upstream: {limits: {sessions: 2}, rebalance: {threshold: 0.5}}\n")
    assert set(line["applied"].split(", ")) == {"upstream.limits.sessions", "upstream.rebalance.threshold"}
    eventually(lambda: node.listeners("two") == 1, 20)


def test_what_cannot_change_is_named_and_stays(told, server):
    node = server("proxy: {timeout: 20s}\n")
    line = told.reload("proxy: {timeout: 21s, advertise_addr: 'h:1'}\ncluster: {join: [a]}\n")
    assert line["applied"] == "proxy.timeout"
    assert set(told.restarts.split(", ")) == {"proxy.advertise_addr", "cluster.join"}
    assert node.ready


def test_flags_still_win(told, server):
    server("proxy: {timeout: 20s}\n", "--proxy.timeout", "5s")
    assert told.reload("proxy: {timeout: 1s}\n")["applied"] == ""


@pytest.mark.parametrize("text, error", [
    ("proxy: {timeout: soon}\n", 'expected a duration such as 10s or 1m30s, got "soon"'),
    ("proxy: {tmeout: 1s}\n", "unknown key, did you mean proxy.timeout?"),
    ("proxy: [\n", "not YAML"),
    ("proxy: {auth: {hmac_secret_key: }}\n", 'proxy.auth.hmac_secret_key: expected a secret, got ""'),
    ("proxy: {timeout: 1s, access_log: {request_headers: {allow_list: [a], block_list: [b]}}}\n", "allow_list or block_list, not both"),
])
def test_a_broken_file_changes_nothing_and_says_so(piko, told, server, service, text, error):
    node = server("log: {level: info}\n")
    piko.agent("http", node, "web", service.addr)
    line = told.reload("log: {level: debug}\n" + text)
    assert line["msg"] == "configuration not changed" and line["level"] == "error" and error in line["error"]
    assert fetch(node.proxy, "web", "/").status == 200
    assert not [line for line in node.lines() if line["level"] == "debug"]
    assert told.reload("log: {level: debug}\n")["applied"] == "log.level"


def test_a_file_that_is_gone_changes_nothing(told, server):
    server("log: {level: info}\n")
    told.path.unlink()
    line = told.reload()
    assert line["msg"] == "configuration not changed" and "config.path: expected a file that can be read" in line["error"]


def test_an_agents_listeners_change(piko, told, held):
    node = piko.server()
    text = "listeners:\n  - {{endpoint_id: web, addr: '{addr}', timeout: {timeout}}}\n"
    told.write(text.format(addr=held.addr, timeout="20s"))
    told.process = piko.start(
        PikoProcess, "agent", piko.looped("agent", "start", "--config.path", told.path, "--connect.url", node.upstream_url, *piko.dialling))
    eventually(lambda: node.listeners("web") == 1, 10)
    assert fetch(node.proxy, "web", "/").status == 200
    assert told.reload(text.format(addr=held.addr, timeout="200ms"))["applied"] == "listeners[0].timeout"
    assert fetch(node.proxy, "web", "/held").status == 504
    told.reload(text.format(addr="1", timeout="30s"))
    assert set(told.restarts.split(", ")) == {"listeners[0].addr", "listeners[0].timeout"}
    assert fetch(node.proxy, "web", "/").status == 200


def test_an_agents_token_changes_for_the_dials_to_come(piko, told, service, tmp_path):
    """The tunnel that there is stays until its token expires; whoever dials with that one again is refused."""
    piko.tokens = None  # the files' are what counts
    keys = tmp_path / "server.yaml"
    keys.write_text("upstream: {tenants: [{id: red, auth: {hmac_secret_key: of red}}, {id: blue, auth: {hmac_secret_key: of blue}}]}\n")
    node = piko.server("--config.path", keys)
    text = f"listeners: [{{endpoint_id: web, addr: '{service.addr}'}}]\n"
    old, new = token(key="of red", exp=soon(8)), token(key="of blue")
    told.write(text + f"connect: {{token: {old}, tenant_id: red}}\n")
    told.process = piko.start(
        PikoProcess, "agent", piko.looped("agent", "start", "--config.path", told.path, "--connect.url", node.upstream_url, *piko.dialling))
    eventually(lambda: node.listeners("web") == 1, 10)
    assert told.reload(text + f"connect: {{token: {new}, tenant_id: blue}}\n")["applied"] == "connect.token, connect.tenant_id"
    assert node.listeners("web") == 1
    node.wait_line(lambda line: line["msg"] == "upstream token expired")
    eventually(lambda: len([line for line in node.lines() if line["msg"] == "upstream connected"]) == 2 and node.listeners("web") == 1)
    assert fetch(node.proxy, "web").body == b"hello"
    assert node.metric('piko_upstreams_refused_total{status="401"}') == 0
    assert old not in told.process.log and new not in told.process.log


@pytest.mark.parametrize("content, expected", [(None, "a file that can be read, got"), ("", "a token of visible ASCII"), ("a b", "a token of visible ASCII")])
def test_a_token_file_that_is_none_changes_nothing(piko, told, service, tmp_path, content, expected):
    """Of an agent and of a forward: what they had stays, and the next file that is right is taken."""
    piko.tokens = None
    node = piko.server()
    file = tmp_path / "token"
    addr = f"127.0.0.1:{free_port()}"
    commands = {
        "agent": f"listeners: [{{endpoint_id: web, addr: '{service.addr}', protocol: tcp}}]\n",
        "forward": f"ports: [{{addr: '{addr}', endpoint_id: web}}]\n",
    }
    for command, text in commands.items():
        url = node.upstream_url if command == "agent" else node.proxy_url
        text += f"connect: {{url: '{url}'}}\ngrace_period: {{time}}\n"
        told.write(text.replace("{time}", "20s"))
        told.process = piko.start(PikoProcess, command, piko.looped(command, "start", "--config.path", told.path, *piko.dialling))
        told.process.wait_line(lambda line: line["msg"] in ("agent started", "forwarding"))
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        changed = text.replace("{time}", "21s").replace("connect: {", f"connect: {{token_file: '{file}', ")
        line = told.reload(changed)
        assert line["msg"] == "configuration not changed" and line["error"].startswith(f"connect.token_file: expected {expected}")
        file.write_text("abc")
        assert {"connect.token_file", "grace_period"} <= set(told.reload()["applied"].split(", "))
    eventually(lambda: node.listeners("web") == 1, 10)
    assert fetch(addr, "any", "/").status == 200


def test_a_forwards_server_changes(piko, told, service):
    one, two = piko.server(), piko.server()
    piko.agent("tcp", two, "tcp", service.addr)
    addr = f"127.0.0.1:{free_port()}"
    text = "ports: [{{addr: '{addr}', endpoint_id: tcp}}]\nconnect: {{url: '{url}'}}\n"
    told.write(text.format(addr=addr, url=one.proxy_url))
    told.process = piko.start(PikoProcess, "forward", piko.looped("forward", "start", "--config.path", told.path, *piko.dialling))
    eventually(lambda: listening(addr), 10)
    assert told.reload(text.format(addr=addr, url=two.proxy_url))["applied"] == "connect.url"
    assert fetch(addr, "any", "/").status == 200


def test_a_process_without_a_file_goes_on(piko):
    node = piko.server()
    node.signal(signal.SIGHUP)
    assert node.wait_line(lambda line: line["msg"] == "configuration read again")["applied"] == ""
    assert node.ready


def test_who_closes_the_terminal_ends_the_process(piko):
    """A process that was started in a terminal, and whose terminal goes away, ends in good order."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)

    # setsid makes it the leader of a session; opening the terminal there makes it its own.
    node = piko.start(PikoProcess, "server", ["server", "--proxy.bind-addr", f"127.0.0.1:{free_port()}", "--upstream.bind-addr",
                                           f"127.0.0.1:{free_port()}", "--admin.bind-addr", f"127.0.0.1:{free_port()}",
                                           "--cluster.gossip.bind-addr", f"127.0.0.1:{free_port()}"],
                      prefix=("setsid", "sh", "-c", f'exec 0<>{name}; exec "$0" "$@"'))
    os.close(slave)
    node.wait_line(lambda line: line["msg"] == "server started")
    os.close(master)
    assert node.wait(15) == 0
    node.check()
    assert not [line for line in node.lines() if line["msg"] == "configuration read again"]


def test_check_says_that_a_configuration_is_right(run, file):
    assert run("server", "--config.path", file("proxy: {timeout: 1s}\n"), "--config.check").text == "the configuration is right\n"
    assert run("server", "--config.check").text == "the configuration is right\n"
    assert run("agent", "http", "web", "3000", "--config.check").text == "the configuration is right\n"
    listeners = file("listeners: [{endpoint_id: a, addr: 1}]\n")
    assert run("agent", "start", "--config.path", listeners, "--config.check").text == "the configuration is right\n"
    ports = file("ports: [{endpoint_id: a, addr: 1}]\n")
    assert run("forward", "start", "--config.path", ports, "--config.check").text == "the configuration is right\n"
    assert run("forward", "4000", "web", "--config.check").text == "the configuration is right\n"
    assert run("forward", "tcp", "4000", "web", "--config.check").text == "the configuration is right\n"
    assert run("agent", "tcp", "db", "3000", "--config.check").text == "the configuration is right\n"
    assert run("bench", "http", "--config.check").text == "the configuration is right\n"
    assert run("test", "cluster", "--config.check").text == "the configuration is right\n"


@pytest.mark.parametrize("words, error", [
    (("server", "--config.check", "--proxy.timeout", "soon"), "--proxy.timeout: expected a duration"),
    (("server", "--config.check", "--config.path", "none.yaml"), "config.path: expected a file that can be read"),
    (("agent", "http", "a/b", "3000", "--config.check"), "ENDPOINT: expected an endpoint id"),
    (("agent", "start", "--config.check"), "listeners: expected at least one"),
    (("forward", "x", "web", "--config.check"), "ADDR: expected a port or host:port"),
    (("bench", "http", "--config.check", "--connect.tls.root-cas", "/nowhere"), "connect.tls.root_cas: /nowhere: No such file or directory"),
    (("agent", "http", "web", "3000", "--config.check", "--connect.tls.root-cas", "/nowhere"), "connect.tls.root_cas: /nowhere: No such file or directory"),
    (("agent", "http", "web", "3000", "--config.check", "--connect.token-file", "/nowhere"), 'connect.token_file: expected a file that can be read, got "/nowhere"'),
    (("forward", "4000", "web", "--config.check", "--connect.token-file", "/nowhere"), 'connect.token_file: expected a file that can be read, got "/nowhere"'),
    (("forward", "4000", "web", "--connect.token-file", "/nowhere"), 'connect.token_file: expected a file that can be read, got "/nowhere"'),
    (("server", "--config.check", "--admin.auth.jwks.endpoint", "file:///nowhere"), 'admin.auth.jwks.endpoint: expected a file that can be read, got "/nowhere"'),
])
def test_check_says_what_is_wrong(run, words, error):
    assert error in run(*words).error


def entries(process):
    """All that the lines of the configuration say."""
    return {key: value for line in process.lines() if line["msg"] == "configuration" and line["subsystem"] == "main"
            for key, value in line.items() if key not in ("level", "ts", "subsystem", "msg")}


def test_the_configuration_in_effect_is_logged_at_debug_level(piko, server, service):
    piko.tokens = None  # the server has no secret
    node = server("log: {level: debug}\nproxy: {timeout: 21s}\n", "--proxy.limits.connections", "77")
    shown = entries(node)
    assert shown["proxy.timeout"] == "21s" and shown["proxy.limits.connections"] == "77" and shown["upstream.bind_addr"] == node.upstream
    assert shown["proxy.auth.hmac_secret_key"] == "" and "cut" not in shown
    agent = piko.agent("http", node, "web", service.addr, "--log.level", "debug", "--connect.token", "s3cret-token")
    shown = entries(agent)
    assert shown["connect.token"] == "[redacted]" and shown["listeners[0].endpoint_id"] == "web" and "s3cret-token" not in agent.log


def test_no_secret_of_a_server_is_in_its_log(piko, server, service):
    piko.tokens = None
    secrets = ["hmac-s3cret", "tenant-s3cret", "7f" * 32]
    node = server(f"""
log: {{level: debug}}
upstream: {{tenants: [{{id: t, auth: {{hmac_secret_key: {secrets[1]}}}}}]}}
proxy: {{auth: {{hmac_secret_key: {secrets[0]}}}}}
cluster: {{gossip: {{keys: ["{secrets[2]}"]}}}}
""")
    shown = entries(node)
    masked = {key for key, value in shown.items() if value == "[redacted]"}
    assert masked == {"proxy.auth.hmac_secret_key", "upstream.tenants[0].auth.hmac_secret_key", "cluster.gossip.keys"}
    fetch(node.proxy, "web", "/")
    assert not [secret for secret in secrets if secret in node.log]


def test_at_the_level_of_info_it_is_not(piko):
    assert not entries(piko.server())
