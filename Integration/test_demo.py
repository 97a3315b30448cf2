# SPDX-License-Identifier: MIT
# `make run` as its reader uses it: the lines it prints work when pasted, and Ctrl-C leaves nothing behind.
# Runs the real script and ends it by its process id; everything stays on loopback.

import json
import os
import signal
import subprocess

import pytest

from harness.piko import ROOT, binary
from harness.usage import eventually

LAST_LINE = "Ctrl-C ends"


def parent(pid):
    """The parent of a process; None where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


class Demo:
    """The demonstration in a process group of its own, as a terminal starts it."""

    def __init__(self, directory):
        self.directory = directory
        self.child = subprocess.Popen(
            [ROOT / "scripts/demo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "TMPDIR": str(directory), "PIKO_BIN": str(binary())})
        self.story = []
        for line in self.child.stdout:
            self.story.append(line.rstrip("\n"))
            if line.startswith(LAST_LINE):
                return
        raise AssertionError("\n".join(self.story))

    def commands(self):
        return [line.strip() for line in self.story if line.startswith("  curl ")]

    def children(self):
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(pid) == self.child.pid]

    def press_ctrl_c(self):
        os.killpg(self.child.pid, signal.SIGINT)
        return self.child.wait(15)


@pytest.fixture
def demo(tmp_path):
    demo = Demo(tmp_path)
    yield demo
    if demo.child.poll() is None:
        demo.press_ctrl_c()


def paste(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=20, check=True)
    return json.loads(done.stdout)


def test_the_printed_curl_lines_reach_the_service(demo):
    get, post = demo.commands()[:2]
    assert (paste(get)["method"], paste(get)["path"]) == ("GET", "/any/path")
    assert paste(post)["method"] == "POST"


def test_ctrl_c_leaves_no_process_and_no_file(demo):
    children = demo.children()
    assert len(children) == 2
    assert demo.press_ctrl_c() == 0
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), 5.0, "the end of every process")
    assert os.listdir(demo.directory) == []


def test_a_service_of_ones_own_is_reached_by_the_printed_agent_line(demo, piko, service):
    line = next(line for line in demo.story if " agent http my-service " in line)
    url = line.split("--connect.url ")[1].strip()
    agent = piko.agent("http", url, "my-service", service.addr)
    curl = demo.commands()[2]
    eventually(lambda: subprocess.run(curl + " -sf -o /dev/null", shell=True, timeout=20, check=False).returncode == 0, 10.0,
               f"an answer by {curl}\n{agent.log}")
