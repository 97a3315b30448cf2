# SPDX-License-Identifier: MIT
# Free ports without a race: below the kernel's ephemeral range, each held by a lock file for as long as this
# process lives, so that parallel workers and other runs on the machine never get the same one.
# (Processes of ours bind with SO_REUSEPORT: a plain bind would not notice a second owner.)

import fcntl
import itertools
import os
import pathlib
import socket

LOCKS = pathlib.Path("/tmp/piko-integration-ports")
FIRST, LAST = 12000, 32000
held = []
order = itertools.cycle(range(FIRST, LAST))


def free_on(family, host, port):
    with socket.socket(family) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port():
    """A port that is ours alone, free on IPv4 and on IPv6, until this process ends."""
    LOCKS.mkdir(exist_ok=True, mode=0o777)
    for port in itertools.islice(order, LAST - FIRST):
        handle = os.open(LOCKS / str(port), os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            continue
        if free_on(socket.AF_INET, "0.0.0.0", port) and free_on(socket.AF_INET6, "::", port):
            held.append(handle)
            return port
        os.close(handle)
    raise RuntimeError("no free port")
