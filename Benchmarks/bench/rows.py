# SPDX-License-Identifier: MIT
# The rows of the table: which chains stand in which row, under which load, and the limits they are held to.
# Chains of one row are measured in turn, round after round, so that a slow minute of the machine hits all of them.
"""The rows that `make bench` measures."""

import os
import statistics
import subprocess
import time
import urllib.error
import urllib.request

from . import load, tls_rows
from .figure import Figure
from .process import BenchError, Meter, Stage, free_ports, rss_kib
from .subjects import (Chain, ENDPOINT, REPOSITORY, haproxy_chain, http_service, nginx_chain, piko, piko_guarded_chain,
                       piko_http_chain, piko_server, piko_tcp_chain, server_ports, tcp_service, token)

HOST = ENDPOINT + ".test"
GIBIBYTE = 1 << 30
IDLE_TUNNELS = 8000
ROUND_TRIP_MS = 50


class Plan:
    """How much to measure: rounds, seconds of one measurement, and whether the yardsticks stand alone."""

    def __init__(self, rounds, seconds, yardsticks_only):
        self.rounds, self.seconds, self.yardsticks_only = rounds, seconds, yardsticks_only

    def chains(self, stage, service, yardstick, ours):
        chains = [yardstick(stage, service)] if yardstick else []
        return chains if self.yardsticks_only else chains + [ours(stage, service)]


def alternate(plan, stage, chains, measure):
    """What each round gave, {chain name: [sample]}, each with its CPU and the share of the machine strangers used."""
    samples = {chain.name: [] for chain in chains}
    for number in range(plan.rounds):
        for chain in chains:
            meter = Meter(stage, chain.hops)
            sample = measure(chain)
            sample["cpu"], sample["noise"] = meter.read()
            stage.check()
            samples[chain.name].append(sample)
            print(f"    round {number + 1}, {chain.name}: " + describe(sample), flush=True)
    return samples


def describe(sample):
    if "requests" in sample:
        micros = sample["cpu"] / sample["requests"] * 1e6
        text = f"{sample['requests'] / sample['seconds']:,.0f} requests/s, {micros:.1f} µs CPU each, " \
               f"p50 {sample['p50'] * 1e6:.0f} µs, p99 {sample['p99'] * 1e6:.0f} µs"
    else:
        text = f"{sample['bytes'] / sample['seconds'] / 1e6:,.0f} MB/s, {cpu_per_gib(sample):.2f} CPU s/GiB"
    return text + (f" (strangers used {sample['noise']:.0%} of the machine)" if sample["noise"] > 0.03 else "")


def cpu_per_request(sample):
    return sample["cpu"] / sample["requests"] * 1e6


def requests_per_second(sample):
    return sample["requests"] / sample["seconds"]


def cpu_per_gib(sample):
    return sample["cpu"] / (sample["bytes"] / GIBIBYTE)


def fill(figure, samples, quantity, yardstick):
    """Puts the medians of both sides into a figure."""
    for name, taken in samples.items():
        value = statistics.median(quantity(one) for one in taken)
        if name == yardstick:
            figure.yardstick = value
        else:
            figure.ours = value
        figure.noise = max([figure.noise] + [one["noise"] for one in taken])
    return figure


def http_row(plan, path, connections):
    """nginx's two hops and ours under wrk; returns samples of all rounds."""
    with Stage() as stage:
        chains = plan.chains(stage, http_service(stage), nginx_chain, piko_http_chain)
        for chain in chains:
            wait_answer(stage, chain.port)
            load.wrk(f"http://127.0.0.1:{chain.port}{path}", connections, 1, HOST)

        def measure(chain):
            return load.wrk(f"http://127.0.0.1:{chain.port}{path}", connections, plan.seconds, HOST)

        return alternate(plan, stage, chains, measure)


def wait_answer(stage, port, host=HOST, seconds=20, headers=None):
    """Waits until a request through the chain is answered with 200."""
    deadline = time.monotonic() + seconds
    while True:
        stage.check()
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host, **(headers or {})})
            with urllib.request.urlopen(request, timeout=5) as answer:
                answer.read()
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise BenchError(f"no answer through port {port}: {error}") from error
            time.sleep(0.02)


def small(plan):
    samples = http_row(plan, "/", 32)
    work = "12-byte responses, 32 connections: "
    return [
        fill(Figure("small", work + "CPU a request", "µs", 1.3, True, original="12 to 13 ×"), samples, cpu_per_request, "nginx"),
        fill(Figure("small", work + "throughput", "/s", 0.8, False, original="0.11 ×"), samples, requests_per_second, "nginx"),
        fill(Figure("small", work + "p99", "µs", 1.5, True, original="9 ×"), samples, lambda one: one["p99"] * 1e6, "nginx"),
    ]


def tokens(plan):
    figure = Figure("tokens", "12-byte responses with a token, 32 connections, beside the same without: CPU a request", "µs", 1.1, True)
    if plan.yardsticks_only:
        return [figure]
    bearer = token()
    with Stage() as stage:
        service = http_service(stage)
        chains = [piko_http_chain(stage, service), piko_guarded_chain(stage, service, bearer)]

        def measure(chain, seconds=plan.seconds):
            headers = [f"x-piko-authorization: Bearer {bearer}"] if chain.name == "tokens" else []
            return load.wrk(f"http://127.0.0.1:{chain.port}/", 32, seconds, HOST, headers=headers)

        for chain in chains:
            wait_answer(stage, chain.port, headers={"Authorization": f"Bearer {bearer}"})
            measure(chain, 1)
        return [fill(figure, alternate(plan, stage, chains, measure), cpu_per_request, "piko")]


def latency(plan):
    figure = Figure("latency", "12-byte responses, 1 connection: p50", "µs", 1.5, True, original="4 ×")
    return [fill(figure, http_row(plan, "/", 1), lambda one: one["p50"] * 1e6, "nginx")]


def large(plan):
    figure = Figure("large", "1 MiB responses, 4 connections: CPU a request", "µs", 1.5, True, original="2.9 ×")
    return [fill(figure, http_row(plan, "/1m", 4), cpu_per_request, "nginx")]


def tcp(plan):
    figures = []
    with Stage() as stage:
        chains = plan.chains(stage, tcp_service(stage), haproxy_chain, piko_tcp_chain)
        for reverse, direction, original in ((False, "up", "7.6 ×"), (True, "down", "3.6 ×")):
            for chain in chains:
                wait_stream(stage, chain.port, reverse)
            samples = alternate(plan, stage, chains, lambda chain, r=reverse: load.iperf3(chain.port, plan.seconds, r))
            figure = Figure("tcp", f"TCP through three hops, {direction}: CPU s/GiB", "s", 1.3, True, original=original)
            figures.append(fill(figure, samples, cpu_per_gib, "haproxy"))
    return figures


def wait_stream(stage, port, reverse, seconds=20):
    """Warms a chain up; until the chain is whole iperf3 fails."""
    deadline = time.monotonic() + seconds
    while True:
        stage.check()
        try:
            return load.iperf3(port, 1, reverse)
        except BenchError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def delay(plan):
    figures = [Figure("delay", f"one stream, {ROUND_TRIP_MS} ms round trip on the tunnel, {way}", "MB/s", 100, False,
                      compares=False, original=original) for way, original in (("up", "2.4 MB/s"), ("down", "4.9 MB/s"))]
    if plan.yardsticks_only:
        return figures
    with Stage() as stage:
        chain = piko_tcp_chain(stage, tcp_service(stage), through=lambda upstream: delay_relay(stage, upstream))
        for figure, reverse in zip(figures, (False, True)):
            wait_stream(stage, chain.port, reverse)
            samples = alternate(plan, stage, [chain], lambda one, r=reverse: load.iperf3(one.port, 2 * plan.seconds, r))
            fill(figure, samples, lambda one: one["bytes"] / one["seconds"] / 1e6, None)
    return figures


def delay_relay(stage, to):
    """Half the round trip in each direction, in front of a port. Returns the port to use instead."""
    source = os.path.join(REPOSITORY, "Benchmarks/delay_relay.c")
    subprocess.run(["cc", "-O2", "-Wall", "-o", stage.path("delay_relay"), source], check=True)
    (port,) = free_ports(1)
    stage.start("delay_relay", stage.path("delay_relay"), str(port), str(to), str(ROUND_TRIP_MS // 2))
    stage.wait_port(port)
    return port


def listeners_file(stage, name, endpoints, service, upstream):
    lines = ["connect:", f"  url: http://127.0.0.1:{upstream}", "listeners:"]
    for endpoint in endpoints:
        lines += [f"  - endpoint_id: {endpoint}", f"    addr: 127.0.0.1:{service}", "    access_log:", "      disable: true"]
    return stage.write(name, "\n".join(lines) + "\n")


def idle(plan):
    figures = [Figure("idle", f"idle tunnel, one of {IDLE_TUNNELS:,}: memory on the {side}", "KiB", limit, True, compares=False,
                      original=original) for side, limit, original in (("server", 6, "35 to 39 KiB"), ("agent", 8, "48 KiB"))]
    if plan.yardsticks_only:
        return figures
    with Stage() as stage:
        service = http_service(stage)
        server, proxy, upstream = piko_server(stage)
        one = listeners_file(stage, "one.yaml", ["first"], service, upstream)
        small_agent = piko(stage, "piko-agent-one", "agent", "start", "--config.path", one, "--engine.loops", "1")
        wait_answer(stage, proxy, "first.test")
        before = rss_kib(server), rss_kib(small_agent)
        many = listeners_file(stage, "many.yaml", [f"idle-{number}" for number in range(IDLE_TUNNELS)], service, upstream)
        agent = piko(stage, "piko-agent-many", "agent", "start", "--config.path", many, "--engine.loops", "1")
        wait_tunnels(stage, upstream, IDLE_TUNNELS + 1)
        wait_answer(stage, proxy, f"idle-{IDLE_TUNNELS - 1}.test")
        after = rss_kib(server), rss_kib(agent)
        print(f"    server {before[0]} to {after[0]} KiB, agent {before[1]} to {after[1]} KiB")
    for figure, start, end in zip(figures, before, after):
        figure.ours = (end - start) / IDLE_TUNNELS
    return figures


def wait_tunnels(stage, port, count, seconds=60):
    """Waits until as many connections to a port are established, seen from the kernel."""
    deadline = time.monotonic() + seconds
    while established(port) < count:
        stage.check()
        if time.monotonic() > deadline:
            raise BenchError(f"{established(port)} of {count} tunnels after {seconds} s")
        time.sleep(0.2)
    time.sleep(2)  # The last handshakes; what is measured is memory at rest.


def established(port):
    wanted = f"0100007F:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as file:
        return sum(1 for line in file if line.split()[1] == wanted and line.split()[3] == "01")


TWO_HOSTS = """
local number = 0
function setup(thread) thread:set("number", number); number = number + 1 end
function init(args) wrk.headers["Host"] = "two-" .. number .. ".test" end
"""


def loops(plan):
    figure = Figure("loops", "two loops instead of one, two tunnels: CPU a request", "µs", 1.15, True)
    if plan.yardsticks_only:
        return [figure]
    with Stage() as stage:
        service, script, chains = http_service(stage), stage.write("hosts.lua", TWO_HOSTS), []
        for count in (1, 2):
            chains.append(two_tunnels(stage, service, count))
            wait_answer(stage, chains[-1].port, "two-0.test")
            wait_answer(stage, chains[-1].port, "two-1.test")

        def measure(chain):
            return load.wrk(f"http://127.0.0.1:{chain.port}/", 32, plan.seconds, HOST, threads=2, script=script)

        for chain in chains:
            measure(chain)
        return [fill(figure, alternate(plan, stage, chains, measure), cpu_per_request, "1 loop")]


def two_tunnels(stage, service, count):
    """server and agent with COUNT loops each, and two endpoints."""
    server, proxy, upstream = piko_server(stage, loops=count, name=f"piko-server-{count}")
    config = listeners_file(stage, f"two-{count}.yaml", ["two-0", "two-1"], service, upstream)
    agent = piko(stage, f"piko-agent-{count}", "agent", "start", "--config.path", config, "--engine.loops", str(count))
    return Chain(f"{count} loop" + "s" * (count > 1), proxy, [server, agent])


def start(plan):
    figure = Figure("start", "server: start to first accepted request", "ms", 100, True, compares=False, original="60 ms")
    if plan.yardsticks_only:
        return [figure]
    taken = []
    for _ in range(3 * plan.rounds):
        with Stage() as stage:
            taken.append(start_once(stage) * 1e3)
    print("    " + ", ".join(f"{one:.1f}" for one in taken) + " ms")
    figure.ours = statistics.median(taken)
    return [figure]


def start_once(stage):
    """Seconds until a new server answers; that it answers 502 is right, it has no tunnel."""
    proxy, _, binds = server_ports()
    began = time.monotonic()
    piko(stage, "piko-server", "server", *binds)
    while time.monotonic() < began + 10:
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{proxy}/", headers={"Host": HOST}), timeout=5)
        except urllib.error.HTTPError:
            return time.monotonic() - began
        except OSError:
            stage.check()
            time.sleep(0.001)
    raise BenchError("the server did not answer within 10 s")


def tls_small(plan):
    return [fill(tls_rows.small_figure(), tls_rows.requests(plan, alternate, "/", 32), cpu_per_request, "nginx")]


def tls_big(plan):
    return [fill(tls_rows.big_figure(), tls_rows.requests(plan, alternate, "/1m", 4), cpu_per_request, "nginx")]


def handshakes(plan):
    rate, capacity = tls_rows.handshake_figures()
    samples = tls_rows.handshakes(plan, alternate)
    return [fill(rate, samples, requests_per_second, "nginx"),
            fill(capacity, samples, lambda one: one["requests"] / one["cpu"], "nginx")]


ROWS = {"small": small, "tokens": tokens, "latency": latency, "large": large, "tcp": tcp, "delay": delay, "idle": idle, "loops": loops, "start": start,
        "tls-small": tls_small, "tls-big": tls_big, "handshakes": handshakes}
