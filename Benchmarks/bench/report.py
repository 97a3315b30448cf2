# SPDX-License-Identifier: MIT
# The table of figures, for the terminal and for docs/benchmarks.md.
# The page is written whole except for what people wrote under "## Notes", which stays.
"""Writing down what was measured."""

import datetime
import os
import subprocess

HEADINGS = ["work", "yardstick", "piko", "ratio", "limit", "", "Piko 0.9"]
NOTES = "## Notes"
PAGE = """# Benchmarks

Measured {date} on {machine}, {plan}.
Commit {commit}. {noise}

`make bench` makes this page; `make bench ROWS="small idle"` measures some rows and only prints them.
Yardsticks: nginx → nginx → service for HTTP, three HAProxy hops for TCP, each process with one worker or thread, keep-alive
on each leg, access logs off on both sides. Piko's side is server + agent, and forward + server + agent for TCP, with one loop
each. CPU is that of the hops alone, user and system, from `/proc/PID/task/*/schedstat`; the service (nginx, iperf3) and the
load generator (wrk, iperf3) share the machine but do not count. Both sides are measured in turn, and each figure is the
median of the rounds. The last column is the original's figure on a machine like this one, for comparison.

{table}

"""


def table(figures):
    lines = [HEADINGS, ["---"] * len(HEADINGS)] + [figure.cells() for figure in figures]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write(path, figures, plan):
    noise = max((figure.noise for figure in figures), default=0)
    page = PAGE.format(
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        plan=f"{plan.rounds} rounds of {plan.seconds} s",
        commit=commit(),
        noise=f"Other programs used up to {noise:.0%} of the machine meanwhile." if noise > 0.03 else "The machine was quiet.",
        table=table(figures),
    )
    page += notes(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)


def notes(path):
    """What was written by hand in the page that is there."""
    if not os.path.exists(path):
        return NOTES + "\n"
    with open(path, encoding="utf-8") as file:
        return NOTES + (file.read().partition(NOTES)[2] or "\n")


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown CPU")
    return f"{os.cpu_count()} × {model}, Linux {os.uname().release.split('-')[0]}"


def commit():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
