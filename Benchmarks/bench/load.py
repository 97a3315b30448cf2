# SPDX-License-Identifier: MIT
# The load generators, wrk and iperf3: one bounded run each, and what it printed as numbers.
# Nothing here knows what is measured; a run with errors is no measurement and raises.
"""Running wrk and iperf3."""

import json
import re
import subprocess
import time

from .process import BenchError

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def wrk(url, connections, seconds, host, threads=1, script=None, headers=()):
    """Returns requests, seconds, p50, p99 (seconds) of one run."""
    command = ["wrk", "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s", "--latency", "--timeout", "10s"]
    command += ["-H", f"Host: {host}"] if script is None else ["-s", script]
    command += [word for header in headers for word in ("-H", header)]
    text = _run(command + [url], seconds + 30)
    if "Socket errors" in text or "Non-2xx" in text:
        raise BenchError("wrk saw errors: " + " ".join(re.findall(r"(?:Socket errors|Non-2xx).*", text)))
    requests, took = re.search(r"(\d+) requests in ([\d.]+[a-z]+)", text).groups()
    if int(requests) == 0:
        raise BenchError("wrk got no answer")
    return {"requests": int(requests), "seconds": _duration(took), "p50": _percentile(text, 50), "p99": _percentile(text, 99)}


def iperf3(port, seconds, reverse):
    """Returns bytes received and seconds of one stream; reverse: from the service to the client."""
    command = ["iperf3", "-J", "-c", "127.0.0.1", "-p", str(port), "-t", str(seconds)] + (["-R"] if reverse else [])
    for _ in range(20):
        answer = json.loads(_run(command, seconds + 30, accept_failure=True))
        if "busy" not in answer.get("error", ""):
            break
        time.sleep(0.1)  # The end of the run before is still on a long line.
    if "error" in answer:
        raise BenchError("iperf3: " + answer["error"])
    received = answer["end"]["sum_received"]
    return {"bytes": received["bytes"], "seconds": received["seconds"]}


def handshakes(port, seconds, clients):
    """Full TLS handshakes of so many clients at once, one after the other each. Returns how many, and the seconds."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds)]
    running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(clients)]
    began, total = time.monotonic(), 0
    for client in running:
        text = client.communicate(timeout=seconds + 30)[0]
        found = re.search(r"(\d+) connections in [\d.]+ real seconds", text)
        if client.returncode != 0 or not found:
            raise BenchError("openssl s_time: " + text.strip()[-200:])
        total += int(found.group(1))
    return {"requests": total, "seconds": time.monotonic() - began, "p50": 0, "p99": 0}


def _run(command, timeout, accept_failure=False):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{command[0]} did not end within {timeout} s") from late
    if done.returncode != 0 and not accept_failure:
        raise BenchError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _percentile(text, percent):
    return _duration(re.search(rf"^\s+{percent}%\s+(\S+)", text, re.MULTILINE).group(1))


def _duration(text):
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * UNITS[unit]
