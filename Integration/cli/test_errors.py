# SPDX-License-Identifier: MIT
# A user's mistake on the command line: one line on standard error that names what is wrong and what was expected,
# exit 1, nothing started.

import socket

import pytest

SERVER = [
    ("--proxy.timeout 10x", '--proxy.timeout: expected a duration such as 10s or 1m30s, got "10x"'),
    ("--proxy.timeout 10", '--proxy.timeout: expected a duration such as 10s or 1m30s, got "10"'),
    ("--proxy.timeout -1s", '--proxy.timeout: expected a duration such as 10s or 1m30s, got "-1s"'),
    ("--grace-period 0s", '--grace-period: expected a duration above 0, such as 10s or 1m30s, got "0s"'),
    ("--proxy.bind-addr 8000", '--proxy.bind-addr: expected host:port or :port, got "8000"'),
    ("--upstream.bind-addr :99999", '--upstream.bind-addr: expected host:port or :port, got ":99999"'),
    ("--log.level loud", '--log.level: expected debug, info, warn or error, got "loud"'),
    ("--engine.loops -1", '--engine.loops: expected a whole number from 0 to 1024, got "-1"'),
    ("--proxy.http.max-header-bytes=1e6", '--proxy.http.max-header-bytes: expected a whole number from 1024 to 16777216, got "1e6"'),
    ("--proxy.access-log.disable=yes", '--proxy.access-log.disable: expected true or false, got "yes"'),
    ("--proxy.timeout", "--proxy.timeout: expected a value"),
    ("--proxy.bindaddr :1", "--proxy.bindaddr: unknown flag, did you mean --proxy.bind-addr?"),
    ("--cluster.join h:x", 'cluster.join: expected a host or host:port, got "h:x"'),
    ("--cluster.join a,:8003", 'cluster.join: expected a host or host:port, got ":8003"'),
    ("--cluster.gossip.interval 0s", '--cluster.gossip.interval: expected a duration above 0, such as 10s or 1m30s, got "0s"'),
    ("--proxy.advertise-addr h", '--proxy.advertise-addr: expected host:port or :port, got "h"'),
    ("--cluster.jion a", "--cluster.jion: unknown flag, did you mean --cluster.join?"),
    ("--frobnicate", "--frobnicate: unknown flag"),
    ("-v", "-v: unknown flag"),
    ("--access-log.disable", "--access-log.disable: unknown flag"),
    ("extra", "unexpected argument: extra"),
    ("-- --help", "unexpected argument: --help"),
]


@pytest.mark.parametrize("words, error", SERVER, ids=[words for words, _ in SERVER])
def test_server(run, words, error):
    assert run("server", *words.split()).error == error


@pytest.mark.parametrize("words, error", [
    ("agent http e 1 --connect.proxy-url socks5://me:secret@h:1", "--connect.proxy-url: expected an http or https URL such as http://user:password@localhost:3128"),
    ("agent http e 1 --connect.tls.cert c", "connect.tls.key: expected a file, since cert is set"),
    ("agent http e 1 --connect.url https://h --connect.tls.root-cas /nowhere", "connect.tls.root_cas: /nowhere: No such file or directory"),
    ("forward 1 e --connect.url wss://h --connect.tls.key k", "connect.tls.cert: expected a file, since key is set"),
])
def test_other_commands_refuse_too(run, words, error):
    assert run(*words.split()).error == error


@pytest.mark.parametrize("words, error", [
    ("frob", "frob: unknown command, expected agent, bench, forward, server, test"),
    ("agent frob", "agent frob: unknown command, expected http, start, tcp"),
    ("server status frob", "server status frob: unknown command, expected cluster, gossip, upstream"),
    ("agent http", "missing argument: ENDPOINT"),
    ("agent http e", "missing argument: ADDR"),
    ("agent tcp e 1 2", "unexpected argument: 2"),
    ("agent http a/b 1", 'ENDPOINT: expected an endpoint id of letters, digits and - . _ ~ : @, got "a/b"'),
    ("agent http e nonsense", 'ADDR: expected a port, host:port or URL, got "nonsense"'),
    ("agent http e 70000", 'ADDR: expected a port, host:port or URL, got "70000"'),
    ("agent tcp e http://h:1", 'ADDR: expected a port or host:port, got "http://h:1"'),
    ("agent tcp e 1 --http-client.max-idle-conns 5", "--http-client.max-idle-conns: unknown flag"),
    ("agent http e 1 --access-log.request-headers.allow-list a --access-log.request-headers.block-list b",
     "--access-log.request_headers: expected allow_list or block_list, not both"),
    ("agent start", "listeners: expected at least one, in the file of --config.path"),
    ("agent http e 1 --connect.url ftp://h", '--connect.url: expected a URL such as http://localhost:8000, got "ftp://h"'),
    ("forward", "missing argument: ADDR"),
    ("forward tcp 1", "missing argument: ENDPOINT"),
    ("forward x e", 'ADDR: expected a port or host:port, got "x"'),
    ("forward start", "ports: expected at least one, in the file of --config.path"),
    ("agent --connect.url http://h --server.enabled http e nonsense", 'ADDR: expected a port, host:port or URL, got "nonsense"'),
    ("agent --connect.token=t tcp --timeout 5s e", "missing argument: ADDR"),
    ("agent --frob http e 1", "--frob: unknown flag"),
    ("agent --connect.url", "agent: missing command, expected http, start, tcp"),
    ("agent --connect.url http://h", "agent: missing command, expected http, start, tcp"),
    ("server status --server.url http://h", "server status: missing command, expected cluster, gossip, upstream"),
    ("--frob", "--frob: unknown flag"),
    ("forward --connect.timeout 5s x e", 'ADDR: expected a port or host:port, got "x"'),
    ("server --log.level info status upstream endpoints", "--log.level: unknown flag"),
    ("bench http --requests 0", '--requests: expected a whole number from 1 to 1000000000, got "0"'),
    ("server --config.path none.yaml", 'config.path: expected a file that can be read, got "none.yaml"'),
])
def test_other_commands(run, words, error):
    assert run(*words.split()).error == error


@pytest.mark.parametrize("words, flag, expected", [
    ("server", "--upstream.auth.hmac-secret-key", "a secret"),
    ("server", "--proxy.auth.rsa-public-key", "a PEM public key or certificate"),
    ("server", "--admin.auth.jwks.endpoint", "an http, https or file URL"),
    ("server", "--upstream.tls.client-cas", "a path"),
    ("server", "--proxy.tls.client.root-cas", "a path"),
    ("server", "--cluster.gossip.keys", "different keys of 32 bytes, each in 64 hex digits or in base64"),
    ("server", "--config.path", "a path"),
    ("agent http e 1", "--connect.token", "visible ASCII characters without blanks"),
    ("agent tcp e 1", "--connect.token-file", "a path"),
    ("forward 1 e", "--connect.token", "visible ASCII characters without blanks"),
])
def test_what_protects_something_is_never_empty(run, words, flag, expected):
    """As with a variable that has no value: nothing starts without the protection that was meant."""
    for given in ([flag, ""], [f"{flag}="]):
        assert run(*words.split(), *given).error == f'{flag}: expected {expected}, got ""'


def test_a_secret_is_not_shown(run):
    error = run("agent", "http", "e", "1", "--connect.token", "s3cret with a blank").error
    assert error == "--connect.token: expected visible ASCII characters without blanks"


@pytest.mark.parametrize("words, shown", [
    ("agent http web http://me:hunter2@h:1", "http://[redacted]@h:1"),
    ("agent http web me:hunter2@h:1", "[redacted]@h:1"),
    ("agent tcp web http://me:hunt/er2@h:1", "http://[redacted]@h:1"),
    ("agent http web 1 --connect.url http://me:hunter2@h", "http://[redacted]@h"),
    ("agent http web 1 --connect.url https://h?token=hunter2", "https://h?[redacted]"),
    ("forward me:hunter2@h:1 web", "[redacted]@h:1"),
    ("forward 1 web --connect.url http://me:hunt@er2@h", "http://[redacted]@h"),
    ("server --cluster.join http://me:hunter2@h", "http://[redacted]@h"),
    ("server --proxy.advertise-addr http://me:hunter2@h", "http://[redacted]@h"),
    ("server --proxy.auth.jwks.endpoint https://me:hunter2@h/keys?key=hunter2", "https://[redacted]@h/keys?[redacted]"),
    ("server --upstream.auth.jwks.endpoint h/keys?key=hunter2", "h/keys?[redacted]"),
    ("server --admin.auth.jwks.endpoint https://h/keys#hunter2", "https://h/keys#[redacted]"),
    ("server status upstream endpoints --server.url http://me:hunter2@h", "http://[redacted]@h"),
    ("bench http --connect.proxy-url http://me:hunter2@h", "http://[redacted]@h"),
    ("agent http web 1 http://me:hunter2@h", "unexpected argument: http://[redacted]@h"),
])
def test_what_a_url_has_of_secrets_is_not_shown(run, words, shown):
    error = run(*words.split()).error
    assert error == shown or error.endswith(f'got "{shown}"'), error


def test_the_query_of_a_key_set_is_not_logged(run):
    words = "server --log.level debug --proxy.auth.jwks.endpoint http://127.0.0.1:1/keys?key=hunter2 --proxy.bind-addr 203.0.113.1:1"
    ended = run(*words.split())
    assert ended.code == 1 and "/keys?[redacted]" in ended.err and "hunter2" not in ended.err


def test_an_error_is_one_line_whatever_was_given(run):
    error = run("server", "--proxy.timeout", "1\n2\x1b[31m" + "x" * 1000).error
    assert error.isprintable() and len(error) < 200
    assert run("frob\nnicate").error.isprintable()


def test_a_port_in_use_is_named(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("forward", f"127.0.0.1:{port}", "e")
        assert ended.code == 1 and f"127.0.0.1:{port}" in ended.err
