# SPDX-License-Identifier: MIT
# `--help` and `--version` of every command: where they are understood, what they show, and that nothing starts.
# Help goes to standard output with exit 0.

import re

import pytest

GROUPS = ["", "agent", "bench", "test", "server status", "server status upstream", "server status cluster", "server status gossip"]
LEAVES = [
    "server", "agent http", "agent tcp", "agent start", "forward", "forward tcp", "forward start", "bench http", "test cluster",
    "server status upstream endpoints", "server status cluster nodes", "server status cluster node",
    "server status gossip nodes", "server status gossip node",
]


@pytest.mark.parametrize("command", [*GROUPS, *LEAVES])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(run, command, flag):
    text = run(*command.split(), flag).text
    assert re.search(r"usage: ", text, re.IGNORECASE)
    assert "arguments>" not in text


@pytest.mark.parametrize("command", [*GROUPS, *LEAVES])
def test_every_command_has_the_version(run, command):
    assert re.fullmatch(r"piko version \d+\.\d+\.\d+\n", run(*command.split(), "--version").text)


@pytest.mark.parametrize("command", GROUPS)
def test_a_group_alone_shows_its_commands(run, command):
    assert "SUBCOMMANDS:" in run(*command.split()).text


def test_help_is_a_command_too(run):
    assert run("help", "agent", "http").text == run("agent", "http", "--help").text
    assert run("help").text == run("--help").text


def test_help_is_shown_whatever_else_is_wrong(run):
    assert run("server", "--nonsense", "--proxy.timeout=x", "--help").text == run("server", "--help").text


@pytest.mark.parametrize("command", [leaf for leaf in LEAVES if "status" not in leaf])
def test_help_names_each_flag_with_its_default(run, command):
    text = run(*command.split(), "--help").text
    flags = re.findall(r"^  (--[a-z0-9.-]+)( [A-Z]+)?", text, re.MULTILINE)
    assert len(flags) == len({name for name, _ in flags}) and ("--log.level", " LEVEL") in flags
    assert re.search(r"--log.level LEVEL  \(default: info\)", text)
    assert re.search(r"--config.path FILE\n", text)


@pytest.mark.parametrize("command, flags", [
    ("server", ["--proxy.bind-addr ADDRESS  (default: :8000)", "--cluster.join LIST", "--grace-period DURATION  (default: 1m)"]),
    ("agent http", ["--timeout DURATION  (default: 10s)", "--http-client.max-idle-conns NUMBER  (default: 100)", "--access-log.disable  (default: false)"]),
    ("agent tcp", ["--timeout DURATION  (default: 10s)", "--connect.url URL  (default: http://localhost:8001)"]),
    ("forward", ["--connect.url URL  (default: http://localhost:8000)"]),
    ("test cluster", ["--nodes NUMBER  (default: 3)", "--proxy.bind-addr ADDRESS  (default: 127.0.0.1:8000)"]),
    ("bench http", ["--requests NUMBER  (default: 100000)", "--clients NUMBER  (default: 50)", "--size NUMBER  (default: 1024)"]),
])
def test_help_shows_the_documented_defaults(run, command, flags):
    text = run(*command.split(), "--help").text
    for flag in flags:
        assert f"  {flag}\n" in text
