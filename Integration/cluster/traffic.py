# SPDX-License-Identifier: MIT
# Load and streams as a test sees them: programs of their own (programs/), so that they keep their pace while the test waits,
# and what they wrote, read and judged here. Times are seconds of the monotonic clock, the same in every process.

import collections
import pathlib
import sys

from harness.piko import listening
from harness.ports import free_port
from harness.process import Process
from harness.usage import eventually

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"

Request = collections.namedtuple("Request", "start end worker kind outcome")
Talk = collections.namedtuple("Talk", "start end stream longest sent back how")


def spread(addr):
    """Host and port as two arguments."""
    host, _, port = addr.rpartition(":")
    return [host, port]


class Program(Process):
    def __init__(self, directory, name, *arguments):
        super().__init__([sys.executable, PROGRAMS / f"{name.partition('-')[0]}.py", *arguments], directory, name)

    def finish(self, timeout=30.0):
        """Ends it and checks that it had nothing to say."""
        self.signal(15)
        status = self.wait(timeout)
        assert status == 0 and not self.log, f"{self.name} ended with {status}: {self.log[-3000:]}"

    def kill(self):
        """After a test that failed."""
        super().kill()


class Service:
    """Starts and restarts the service program at the same two ports."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = free_port(), free_port()
        self.web, self.echo = (f"127.0.0.1:{port}" for port in self.ports)
        self.posts = directory / "posts"
        self.starts = 0

    def start(self, *flags):
        self.starts += 1
        self.program = Program(self.directory, f"service-{self.starts}", "--web", self.ports[0], "--echo", self.ports[1], "--posts", self.posts, *flags)
        eventually(self.serves, what="the service listens")
        return self

    def serves(self):
        assert self.program.running, f"the service ended with {self.program.child.returncode}: {self.program.log[-2000:]}"
        return listening(self.web) and listening(self.echo)

    def stop(self):
        self.program.finish()

    def duplicates(self):
        """POSTs that it acted on more than once. After `stop`, which writes all down."""
        seen = collections.Counter(self.posts.read_bytes().split())
        return {name.decode(): count for name, count in seen.items() if count > 1}


class Load(Program):
    def __init__(self, directory, addr, endpoint, workers=12, rate=40, seed=0, tokens=None):
        self.path = directory / "requests"
        token = ["--token", tokens.token] if tokens else []
        super().__init__(directory, "load", *spread(addr), endpoint, self.path, "--workers", workers, "--rate", rate, "--seed", seed, *token)
        eventually(lambda: self.path.exists() and self.path.stat().st_size > 0, what="load that runs")

    def count(self):
        """Requests so far, about."""
        with open(self.path, "rb") as file:
            return file.read().count(b"\n")

    def result(self):
        return Requests(self.path.read_text())


class Requests:
    """What became of every request."""

    def __init__(self, text):
        self.all = []
        for line in text[: text.rfind("\n") + 1].splitlines():
            start, end, worker, kind, outcome = line.split(" ", 4)
            self.all.append(Request(float(start), float(end), int(worker), kind, outcome))

    def __len__(self):
        return len(self.all)

    @property
    def failed(self):
        return [request for request in self.all if request.outcome != "ok"]

    def failed_from(self, start, end=float("inf")):
        """Failures of requests that were sent within the time."""
        return [request for request in self.failed if start <= request.start < end]

    def reasons(self):
        return dict(collections.Counter(f"{request.kind}:{request.outcome}" for request in self.failed).most_common(8))

    def gap(self, since=0.0, until=float("inf")):
        """The longest time that any worker was without an answer, from `since` on: (seconds, when it began, worker)."""
        worst, last = (0.0, 0.0, -1), {}
        for request in sorted(self.all, key=lambda request: request.end):
            if request.outcome != "ok" or request.end >= until:
                continue
            before = last.get(request.worker, request.start)
            last[request.worker] = request.end
            if request.end >= since:
                worst = max(worst, (request.end - max(before, since), before, request.worker))
        finish = min(until, max(request.end for request in self.all))
        return max([worst, *((finish - max(end, since), end, worker) for worker, end in last.items())])

    def slowest(self):
        return max(request.end - request.start for request in self.all)


class Streams(Program):
    def __init__(self, directory, addr, number, streams=4, interval=0.05):
        self.path = directory / f"talks-{number}"
        super().__init__(directory, f"streams-{number}", *spread(addr), self.path, "--streams", streams, "--interval", interval)
        eventually(lambda: self.path.exists() and self.path.read_text().count("first") >= streams, what="streams that run")

    def result(self):
        talks = []
        text = self.path.read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():
            if line == "first":
                continue
            start, end, stream, longest, sent, back, how = line.split(" ", 6)
            talks.append(Talk(float(start), float(end), int(stream), float(longest), int(sent), int(back), how))
        return Talks(talks)


class Talks:
    """What became of every TCP connection."""

    def __init__(self, talks):
        self.all = talks

    @property
    def cut(self):
        """Those that ran and were ended by another than us."""
        return [talk for talk in self.all if talk.how != "alive" and talk.back > 0]

    @property
    def refused(self):
        """Those that never carried a byte."""
        return [talk for talk in self.all if talk.how != "alive" and talk.back == 0]

    @property
    def wrong(self):
        return [talk for talk in self.all if talk.how == "wrong"]

    def early(self, leavings, slack=0.1):
        """Cut before a leaving process's grace period was over. `leavings`: (when it was told, grace in seconds, when it was gone)."""
        def is_due(talk):
            return any(told + grace - slack <= talk.end <= gone + slack for told, grace, gone in leavings)
        return [talk for talk in self.cut if not is_due(talk)]
