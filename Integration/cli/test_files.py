# SPDX-License-Identifier: MIT
# Configuration files: what they may say, what a mistake in one looks like, variables, and that flags win.
# What a file sets is seen by what the program then does.

import re

import pytest

from harness.piko import ROOT
from harness.ports import free_port
from harness.process import PikoProcess


def server(run, file, text, *flags, env=None):
    return run("server", "--config.path", file(text), *flags, env=env)


@pytest.mark.parametrize("text, error", [
    ("proxy:\n  bind_adr: x\n", "piko.yaml:2: proxy.bind_adr: unknown key, did you mean proxy.bind_addr?"),
    ("prox: {}\n", "piko.yaml:1: prox: unknown key, did you mean proxy?"),
    ("log:\n  level: info\nproxy:\n  timeout: 10\n", 'piko.yaml:4: proxy.timeout: expected a duration such as 10s or 1m30s, got "10"'),
    ("proxy:\n  timeout: [1s]\n", "piko.yaml:2: proxy.timeout: expected a single value"),
    ("proxy: 3\n", "piko.yaml:1: proxy: expected a mapping of keys"),
    ("- a\n", "piko.yaml:1: the file: expected a mapping of keys"),
    ("just text\n", "piko.yaml:1: the file: expected a mapping of keys"),
    ("log:\n  subsystems: proxy\n", "piko.yaml:2: log.subsystems: expected a list"),
    ("proxy:\n  access_log:\n    response_headers: {block_list: [Accept, 'X Y']}\n",
     'piko.yaml:3: proxy.access_log.response_headers.block_list: expected a list of header names, got "Accept,X Y"'),
    ("proxy:\n  timeout: 1s\n  timeout: 2s\n", "timeout: given twice"),
    ("proxy:\n  http: {max_header_bytes: many}\n", 'piko.yaml:2: proxy.http.max_header_bytes: expected a whole number from 1024 to 16777216, got "many"'),
    ("proxy:\n  access_log: {disable: maybe}\n", 'piko.yaml:2: proxy.access_log.disable: expected true or false, got "maybe"'),
    ("cluster:\n  join: [a, 'b c']\n", 'cluster.join: expected a host or host:port, got "b c"'),
    ("proxy:\n  tls:\n    cert: c\n", "proxy.tls.key: expected a file, since cert is set"),
    ("admin:\n  tls:\n    client_cas: c\n", "admin.tls.cert: expected a file, since client_cas is set"),
    ("upstream:\n  tls: {cert: /nowhere, key: /nowhere}\n", "upstream.tls.cert: /nowhere: No such file or directory"),
    ("upstream:\n  tenants:\n    - id: a\n", "upstream.tenants[0].auth: expected a key or jwks.endpoint"),
    ("proxy:\n  auth: {audience: me}\n", "proxy.auth: expected a key or jwks.endpoint, since audience is set"),
    ("admin:\n  auth: {hmac_secret_key: s, jwks: {endpoint: 'file:///k'}}\n", "admin.auth.jwks.endpoint: expected no other key beside it"),
    ("proxy:\n  auth: {rsa_public_key: s3cret}\n", "proxy.auth.rsa_public_key: expected a PEM public key or certificate of RSA, 2048 bits or more"),
    ("config:\n  path: other\n", "piko.yaml:1: config: unknown key"),
    ("proxy: [\n", "piko.yaml:2: not YAML: "),
    ("proxy:\n\tbind_addr: x\n", "piko.yaml:2: not YAML: "),
    (b"\xff\xfe\x00", "piko.yaml: expected UTF-8 text"),
    ("a: &x [*x]\n", "piko.yaml"),
    ("proxy:\n  access_log:\n    request_headers: {allow_list: [a], block_list: [b]}\n",
     "proxy.access_log.request_headers: expected allow_list or block_list, not both"),
])
def test_a_mistake_names_the_file_the_line_and_the_key(run, file, text, error):
    assert error in server(run, file, text).error


@pytest.mark.parametrize("text, error", [
    ("listeners:\n  - addr: 1\n", "listeners[0].endpoint_id: expected an endpoint id"),
    ("listeners:\n  - {endpoint_id: a, addr: 1}\n  - {endpoint_id: b, addr: x}\n", 'listeners[1].addr: expected a port, host:port or URL, got "x"'),
    ("listeners:\n  - {endpoint_id: a, addr: 1, protocol: udp}\n", 'piko.yaml:2: listeners[0].protocol: expected http or tcp, got "udp"'),
    ("listeners:\n  - {endpoint_id: a, addr: 1, frob: 1}\n", "piko.yaml:2: listeners[0].frob: unknown key"),
    ("listeners: {}\n", "listeners: expected a list"),
    ("listeners: [a]\n", "listeners[0]: expected a mapping of keys"),
    ("listeners: []\n", "listeners: expected at least one, in the file of --config.path"),
    ("listeners:\n  - {endpoint_id: a, addr: 1, tls: {key: f}}\n", "listeners[0].tls.cert: expected a file, since key is set"),
    ("listeners:\n  - {endpoint_id: a, addr: 'https://h', tls: {root_cas: /nowhere}}\n", "listeners[0].tls.root_cas: /nowhere: No such file or directory"),
    ("listeners:\n  - {endpoint_id: a, addr: 'http://h', tls: {root_cas: /nowhere}}\n", "listeners[0].tls.root_cas: /nowhere: No such file or directory"),
    ("listeners:\n  - {endpoint_id: a, addr: 'h:1', protocol: tcp, tls: {root_cas: /nowhere}}\n", "listeners[0].tls.root_cas: /nowhere: No such file or directory"),
])
def test_a_listeners_mistake_names_the_listener(run, file, text, error):
    assert error in run("agent", "start", "--config.path", file(text)).error


@pytest.mark.parametrize("text, error", [
    ("ports:\n  - addr: 1\n", "ports[0].endpoint_id: expected an endpoint id"),
    ("ports:\n  - {addr: x, endpoint_id: a}\n", 'ports[0].addr: expected a port or host:port, got "x"'),
])
def test_a_ports_mistake_names_the_port(run, file, text, error):
    assert error in run("forward", "start", "--config.path", file(text)).error


def test_flags_win_over_the_file(run, file):
    text = "log: {level: info}\nproxy: {timeout: 5s}\n"
    assert "loud" in server(run, file, text, "--log.level", "loud").error
    assert server(run, file, "log: {level: loud}\n", "--log.level", "info").error.startswith("piko.yaml:1: log.level")


def test_variables_are_put_in_only_where_asked_for(run, file):
    text = "proxy:\n  timeout: ${PIKO_TEST_TIME:bad}\n"
    env = {"PIKO_TEST_TIME": "worse"}
    assert '"${PIKO_TEST_TIME:bad}"' in server(run, file, text).error
    assert '"worse"' in server(run, file, text, "--config.expand-env", env=env).error
    assert '"bad"' in server(run, file, text, "--config.expand-env").error
    assert '""' in server(run, file, "proxy:\n  timeout: \"$PIKO_TEST_NONE\"\n", "--config.expand-env").error


@pytest.mark.parametrize("text, name", [
    ('proxy: {auth: {hmac_secret_key: "$PIKO_TEST_NONE"}}\n', "proxy.auth.hmac_secret_key"),
    ("proxy:\n  auth:\n    hmac_secret_key: $PIKO_TEST_NONE\n", "proxy.auth.hmac_secret_key"),
    ("upstream:\n  auth:\n    hmac_secret_key:\n", "upstream.auth.hmac_secret_key"),
    ("admin: {auth: {rsa_public_key: null}}\n", "admin.auth.rsa_public_key"),
    ("proxy: {auth: {jwks: {endpoint: '${PIKO_TEST_NONE}'}}}\n", "proxy.auth.jwks.endpoint"),
    ("proxy: {auth: {hmac_secret_key: s, audience: '$PIKO_TEST_NONE$PIKO_TEST_NONE'}}\n", "proxy.auth.audience"),
    ("upstream: {tenants: [{id: a, auth: {hmac_secret_key: '$PIKO_TEST_NONE'}}]}\n", "upstream.tenants[0].auth.hmac_secret_key"),
    ("upstream: {tenants: [{id: a, auth: {hmac_secret_key: s, ecdsa_public_key: ~}}]}\n", "upstream.tenants[0].auth.ecdsa_public_key"),
    ("upstream: {tls: {cert: c, key: k, client_cas: '$PIKO_TEST_NONE'}}\n", "upstream.tls.client_cas"),
    ("upstream: {tls: {cert: '$PIKO_TEST_NONE', key: '$PIKO_TEST_NONE'}}\n", "upstream.tls.cert"),
    ("proxy: {tls: {client: {root_cas: }}}\n", "proxy.tls.client.root_cas"),
    ("cluster: {gossip: {keys: [$PIKO_TEST_NONE]}}\n", "cluster.gossip.keys"),
    ("cluster: {gossip: {keys: ['$PIKO_TEST_NONE']}}\n", "cluster.gossip.keys"),
    ("cluster: {gossip: {keys: }}\n", "cluster.gossip.keys"),
])
def test_what_protects_something_is_never_empty(run, file, text, name):
    """Nor null, as it stands or because a variable has no value: a node that starts would ask nobody."""
    error = server(run, file, text, "--config.expand-env").error
    assert re.fullmatch(rf'piko\.yaml:\d: {re.escape(name)}: expected .*, got ""', error), error


# Of the shape in which Piko 0.9 lists its keys, with the values that they have without being given.
EVERY_KEY = """
cluster: {node_id: "", node_id_prefix: "", join: []}
proxy: &port
  advertise_addr: ""
  auth: {hmac_secret_key: "", rsa_public_key: "", ecdsa_public_key: "", audience: "", issuer: "", jwks: {endpoint: ""}}
  tls: {cert: "", key: "", client_cas: "", client: {root_cas: "", cert: "", key: ""}}
upstream: *port
admin: *port
"""


def test_a_file_that_lists_every_key_with_nothing_behind_it_is_taken(run, file):
    """An empty text in the file itself is somebody's decision, with variables about as without."""
    for flags in ([], ["--config.expand-env"]):
        assert server(run, file, EVERY_KEY, "--config.check", *flags).code == 0
    agent = 'listeners: [{endpoint_id: a, addr: 1, tls: {root_cas: "", cert: "", key: ""}}]\nconnect: {token: "", token_file: "", tls: {root_cas: ""}}\n'
    assert run("agent", "start", "--config.path", file(agent), "--config.check").code == 0


def test_a_variable_without_a_value_leaves_the_rest_of_a_text_or_list(run, file):
    text = "cluster: {join: [$PIKO_TEST_NONE]}\nproxy: {timeout: $PIKO_TEST_NONE, bind_addr: '$PIKO_TEST_NONE:8000'}\n"
    assert server(run, file, text, "--config.check", "--config.expand-env").code == 0
    quoted = server(run, file, "proxy: {timeout: '$PIKO_TEST_NONE'}\n", "--config.check", "--config.expand-env").error
    assert quoted == 'piko.yaml:1: proxy.timeout: expected a duration such as 10s or 1m30s, got ""'


def test_an_empty_flag_does_not_take_away_what_the_file_has(run, file):
    key = "0b" * 32
    assert server(run, file, f"cluster: {{gossip: {{keys: ['{key}']}}}}\n", "--cluster.gossip.keys", "").error.startswith("--cluster.gossip.keys: expected ")
    assert server(run, file, "proxy: {auth: {hmac_secret_key: s}}\n", "--proxy.auth.hmac-secret-key", "").error.startswith("--proxy.auth.hmac-secret-key: expected ")


def test_a_whole_file_of_a_server_works(piko, tmp_path):
    ports = [free_port() for _ in range(4)]
    (tmp_path / "server.yaml").write_text(f"""
# every section once
proxy:
  bind_addr: 127.0.0.1:{ports[0]}
  advertise_addr:
  timeout: 1m30s
  access_log:
    level: debug
    disable: false
    request_headers:
      allow_list: [Accept, "X-Y"]
  http:
    read_timeout: 0
    read_header_timeout: "10s"
    max_header_bytes: 65536
  tls: {{}}
upstream:
  bind_addr: "127.0.0.1:{ports[1]}"
  limits: {{sessions: 100, streams_per_session: 50}}
  tenants: []
  rebalance:
    threshold: 0
    shed_rate: 0.005
    min_conns: 50
admin: {{bind_addr: '127.0.0.1:{ports[2]}'}}
cluster:
  node_id_prefix: test-
  join: []
  join_timeout: 1m
  gossip: {{bind_addr: "127.0.0.1:{ports[3]}", interval: 100ms}}
log:
  level: debug
  subsystems:
    - proxy
grace_period: 10s
""")
    node = piko.start(PikoProcess, "server", ["server", "--config.path", tmp_path / "server.yaml", "--engine.loops", "1"])
    line = node.wait_line(lambda line: line["msg"] == "server started")
    assert line["proxy_addr"] == f"127.0.0.1:{ports[0]}" and line["admin_addr"] == f"127.0.0.1:{ports[2]}"
    assert line["node_id"].startswith("test-") and line["loops"] == 1


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "proxy:\nlog:\n", "{}\n", "grace_period: ~\nlog: null\n"])
def test_an_empty_file_says_nothing(run, file, text):
    assert server(run, file, text, "--log.level", "loud").error.startswith("--log.level")


def test_anchors_and_aliases_are_understood(run, file):
    """What a mistake says shows what an alias stands for."""
    text = "proxy:\n  http: &times {idle_timeout: 7x}\n"
    assert '"7x"' in server(run, file, text).error
    assert '"8x"' in server(run, file, "proxy:\n  timeout: &time 8x\ngrace_period: *time\n", "--proxy.timeout", "1s").error
    listeners = "listeners:\n  - &one {endpoint_id: a, addr: 1}\n  - *one\n  - {endpoint_id: b, addr: z}\n"
    assert "listeners[2].addr" in run("agent", "start", "--config.path", file(listeners)).error
    ports = "ports:\n  - &one {endpoint_id: a, addr: 1}\n  - *one\n  - {endpoint_id: b, addr: z}\n"
    assert "ports[2].addr" in run("forward", "start", "--config.path", file(ports)).error


def test_every_subsystem_that_logs_may_be_named(run):
    texts = [path.read_text() for path in (ROOT / "Sources").rglob("*.swift")]
    names = {name for text in texts for name in re.findall(r'(?:named\(|subsystem: |subsystem: String = )"([a-z.]+)"', text)}
    assert "proxy" in names and "main" in names
    assert run("server", "--log.subsystems", ", ".join(sorted(names)), "--config.check").text == "the configuration is right\n"


def test_aliases_cannot_make_a_short_file_endless(run, file):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for name, before in zip("bcdefghij", "abcdefghi"):
        lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 9)}]")
    assert "expected a file of fewer values" in server(run, file, "\n".join(lines)).error
