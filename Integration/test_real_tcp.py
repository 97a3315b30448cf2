# SPDX-License-Identifier: MIT
# Real databases through forward, server and TCP agent: psql and pgbench, redis-cli and redis-benchmark.
# The databases are started by the tests, in a directory of their own, on loopback.

import re
import shutil
import subprocess

import pytest

from harness.piko import Piko
from harness.real import Postgres, Redis, postgres_tools


class Path:
    def __init__(self, directory, loops, service):
        self.service = service
        self.piko = Piko(directory, loops)
        node = self.piko.server()
        self.piko.agent("tcp", node, "db", service.addr)
        self.port = self.piko.forward(node, "db").addr.rsplit(":", 1)[1]

    def close(self):
        self.piko.stop()
        self.service.kill()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory, loops):
    directory = tmp_path_factory.mktemp("postgres")
    path = Path(directory, loops, Postgres(directory))
    yield path
    path.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory, loops):
    directory = tmp_path_factory.mktemp("redis")
    path = Path(directory, loops, Redis(directory))
    yield path
    path.close()


def run(*command, data=None, timeout=50):
    done = subprocess.run([str(part) for part in command], input=data, capture_output=True, timeout=timeout, text=True)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def psql(path, *arguments, data=None):
    return run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", path.port, "-U", "postgres", *arguments, data=data)


def test_psql_asks_and_is_answered(postgres):
    assert psql(postgres, "-c", "select 6 * 7").strip() == "42"


def test_psql_moves_large_rows_both_ways(postgres):
    psql(postgres, "-c", "create table big (n int, v text)", "-c", "insert into big select i, repeat(md5(i::text), 100) from generate_series(1, 3000) i")
    assert psql(postgres, "-c", "select count(*), sum(length(v)) from big").strip() == "3000|9600000"
    rows = psql(postgres, "-c", "copy big to stdout")
    assert rows.count("\n") == 3000
    psql(postgres, "-c", "create table back (n int, v text)", "-c", "copy back from stdin", data=rows)
    assert psql(postgres, "-c", "select count(*) from big join back using (n, v)").strip() == "3000"


def test_a_query_can_be_cancelled_and_notified(postgres):
    assert "canceling" in subprocess.run(
        ["psql", "-X", "-h", "127.0.0.1", "-p", postgres.port, "-U", "postgres", "-c", "set statement_timeout = 300; select pg_sleep(20)"],
        capture_output=True, text=True, timeout=20).stderr


def test_pgbench_runs_without_a_failed_transaction(postgres):
    bench = shutil.which("pgbench") or postgres_tools() / "pgbench"
    where = ["-h", "127.0.0.1", "-p", postgres.port, "-U", "postgres", "postgres"]
    run(bench, "-i", "-q", "-s", "1", *where)
    for options in (["-c", "8", "-t", "50"], ["-S", "-c", "10", "-t", "100"], ["-S", "-C", "-c", "4", "-t", "20"]):
        out = run(bench, "-n", *options, *where)
        done, wanted = re.search(r"actually processed: (\d+)/(\d+)", out).groups()
        assert done == wanted and "number of failed transactions: 0" in out


def cli(path, *arguments, data=None):
    return run("redis-cli", "-h", "127.0.0.1", "-p", path.port, *arguments, data=data)


def test_redis_cli_sets_and_gets(redis):
    assert cli(redis, "set", "key", "value").strip() == "OK"
    assert cli(redis, "get", "key").strip() == "value"
    assert cli(redis, "-x", "set", "large", data="x" * 3_000_000).strip() == "OK"
    assert len(cli(redis, "get", "large").strip()) == 3_000_000


def test_redis_cli_pipes_many_commands(redis):
    commands = "".join(f"SET pipe{i} {i}\r\n" for i in range(20_000))
    assert "errors: 0, replies: 20000" in cli(redis, "--pipe", data=commands)


@pytest.mark.parametrize("pipeline", [1, 16])
def test_redis_benchmark_completes(redis, pipeline):
    out = run("redis-benchmark", "-h", "127.0.0.1", "-p", redis.port, "-P", pipeline, "-c", "50", "-n", 40_000 if pipeline > 1 else 10_000, "-t", "set,get,lrange_100", "--csv")
    rows = [line for line in out.splitlines() if line.startswith('"') and "test" not in line]
    assert len(rows) >= 3 and all(float(line.split(",")[1].strip('"')) > 0 for line in rows), out
