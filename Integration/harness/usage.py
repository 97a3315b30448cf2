# SPDX-License-Identifier: MIT
# What a process uses, from /proc: resident memory, CPU time, descriptors.
# And waiting for a condition.

import contextlib
import os
import pathlib
import time


def rss(pid):
    """Resident bytes."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu(pid):
    """Seconds of CPU, user and system."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_time(pid):
    """Seconds on a processor of all threads that there are now: finer than `cpu`."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def sockets(pid):
    """Those of its descriptors that are sockets: a loop that moves connections keeps one on /dev/null from then on."""
    kinds = []
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            kinds.append(os.readlink(path))
    return sum(kind.startswith("socket:") for kind in kinds)


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def eventually(condition, timeout=10.0, what="the condition"):
    """Polls until the condition gives something true, and gives that; an assertion error after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.01)
