# SPDX-License-Identifier: MIT
# What a request costs: CPU of whole processes under the load of wrk.
# For tests that hold one chain of ours against another, in turn, so that both have the same machine.

import re
import subprocess

from .usage import cpu_time


def microseconds(processes, addr, *fields, seconds=1):
    """CPU of the processes for a request, under load of 32 connections; `fields` are further arguments of wrk."""
    before = sum(cpu_time(process.pid) for process in processes)
    command = ["wrk", "-t", "1", "-c", "32", "-d", f"{seconds}s", "-H", "Host: web.example.com", *fields, f"http://{addr}/hello"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Socket errors" not in text and "Non-2xx" not in text, text
    used = sum(cpu_time(process.pid) for process in processes) - before
    return used * 1e6 / int(re.search(r"(\d+) requests in", text).group(1))
