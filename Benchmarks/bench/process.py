# SPDX-License-Identifier: MIT
# Processes under measurement: starting and ending them by pid, and what /proc says about them.
# Everything started here is ended here, also when a measurement fails: use Stage as a context.
"""Starting, ending and reading processes."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """A measurement that could not be made; the text says why, in one line."""


class Stage:
    """A temporary directory and the processes that live in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="piko-bench-")
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            end(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, name, *args):
        """Starts a process whose output goes to NAME.log in the stage's directory."""
        with open(self.path(name + ".log"), "ab") as log:
            process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        process.stage_name = name
        self.running.append(process)
        return process

    def stop(self, process):
        end(process)
        self.running.remove(process)

    def check(self):
        """Raises where a process has ended although nobody asked it to."""
        for process in self.running:
            if process.poll() is not None:
                raise BenchError(f"{process.stage_name} ended with {process.returncode}: {self.last_line(process)}")

    def last_line(self, process):
        with open(self.path(process.stage_name + ".log"), "rb") as log:
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(no output)"

    def wait_port(self, port, seconds=10):
        """Waits until something accepts connections on a loopback port."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise BenchError(f"nothing listens on port {port} after {seconds} s")


def end(process):
    """Ends one process: politely, and after five seconds not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_ports(count):
    """Loopback ports that nobody uses now; all are held until all are known, so none comes twice."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def cpu_seconds(processes):
    """CPU time of processes, of all their living threads, in seconds with the scheduler's own resolution.

    /proc/PID/stat counts in ticks of 10 ms; schedstat counts nanoseconds.
    """
    total = 0
    for process in processes:
        tasks = f"/proc/{process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def rss_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise BenchError(f"pid {process.pid} has no memory any more")


class Meter:
    """CPU spent between two points: by the hops that are compared, and by strangers on the same machine."""

    def __init__(self, stage, hops):
        self.stage, self.hops = stage, hops
        self.at = time.monotonic()
        self.hops_at, self.ours_at, self.machine_at = cpu_seconds(hops), self._ours(), machine_busy()

    def read(self):
        """Returns (CPU seconds of the hops, share of the machine that others used)."""
        cpu = cpu_seconds(self.hops) - self.hops_at
        busy = machine_busy() - self.machine_at
        strangers = max(0.0, busy - (self._ours() - self.ours_at))
        return cpu, strangers / ((time.monotonic() - self.at) * os.cpu_count())

    def _ours(self):
        own = resource.getrusage(resource.RUSAGE_SELF)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        reaped = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
        return reaped + cpu_seconds(self.stage.running)


def machine_busy():
    """CPU seconds the whole machine has worked since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK
