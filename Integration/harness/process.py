# SPDX-License-Identifier: MIT
# One child process: its output in files, its JSON log, its end. Every child dies with the test run, and is
# ended by its id. A piko process must leave with 0 on SIGTERM and must never have trapped.

import ctypes
import json
import os
import pathlib
import resource
import signal
import subprocess

from .usage import eventually

LIBC = ctypes.CDLL(None)
TRAPS = ("Fatal error", "Crash", "AddressSanitizer", "ThreadSanitizer", "UndefinedBehavior", "runtime error", "Precondition")


def prepare(descriptor_limit, user, death):
    """What the child does before exec: take its limit (or the pair soft, hard), drop its rights, get the signal `death` when we die."""

    def run():
        if descriptor_limit:
            both = descriptor_limit if isinstance(descriptor_limit, tuple) else (descriptor_limit, descriptor_limit)
            resource.setrlimit(resource.RLIMIT_NOFILE, both)
        if user:
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        LIBC.prctl(1, death)  # after setuid, which clears it

    return run


class Process:
    """Runs `command`; `log` is what it wrote on standard error, `out` on standard output."""

    death = signal.SIGTERM

    def __init__(self, command, directory, name, descriptor_limit=None, user=None, env=None, cwd=None):
        self.command = [str(part) for part in command]
        self.name = name
        self.log_path = pathlib.Path(directory) / f"{name}.err"
        self.out_path = pathlib.Path(directory) / f"{name}.out"
        self.checked = False
        with open(self.log_path, "wb") as err, open(self.out_path, "wb") as out:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
                env={**os.environ, **(env or {})}, preexec_fn=prepare(descriptor_limit, user, self.death))

    @property
    def pid(self):
        return self.child.pid

    @property
    def running(self):
        return self.child.poll() is None

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def out(self):
        return self.out_path.read_text(errors="replace")

    def lines(self):
        """The log as JSON objects; a line that is not JSON is an assertion error. While it runs the last one may be half written, and is left out."""
        running, log = self.running, self.log
        out = []
        for line in (log.rpartition("\n")[0] if running else log).splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                raise AssertionError(f"{self.name}: a log line that is not JSON: {line!r}")
        return out

    def wait_line(self, condition, timeout=10.0):
        """The first log line (a dict) for which the condition holds."""
        return eventually(lambda: next(filter(condition, self.lines()), None), timeout, f"a log line of {self.name}")

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=10.0):
        """The exit status; an assertion error where it does not end."""
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout} s\n{self.log[-3000:]}")

    def end(self, number, timeout=20.0):
        """Ends a program that takes its children with it on this signal."""
        if self.running:
            self.signal(number)
            self.wait(timeout)

    def kill(self):
        if self.running:
            self.child.kill()
            self.child.wait()


class PikoProcess(Process):
    """A process of ours; `stop` checks its end."""

    death = signal.SIGKILL

    def check(self):
        """No trap and no line outside the JSON log."""
        self.checked = True
        log = self.log
        assert not any(word in log for word in TRAPS), f"{self.name} trapped:\n{log[-6000:]}"
        bad = [line for line in self.lines() if line.get("level") in ("fatal", "panic", "critical")]
        assert not bad, f"{self.name}: {bad}"

    def stop(self, timeout=15.0, number=signal.SIGTERM):
        """Asks it to end, and checks that it did so with 0."""
        if self.checked:
            return
        if self.running:
            self.signal(number)
        try:
            status = self.wait(timeout)
        finally:
            self.kill()
        self.check()
        assert status == 0, f"{self.name} ended with {status}\n{self.log[-3000:]}"
        self.check_nothing_left()

    def check_nothing_left(self):
        """Its last line counts what its loops still held: nothing."""
        last = self.lines()[-1]
        counters = {key: last.get(key) for key in ("connections", "streams", "sessions", "flows", "buffers", "timers")}
        assert last.get("msg") == "stopped" and not any(counters.values()), f"{self.name}: {last}"
