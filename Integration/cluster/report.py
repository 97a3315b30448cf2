#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Prints a table of the runs in out/cluster/results.jsonl: each fault with how many runs, how many held, and each figure's worst case.
# Usage: Integration/cluster/report.py [FILE] [--since 2026-01-31T12:00:00Z] [--why]

import argparse
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from cluster.results import PATH, read  # noqa: E402

HIDDEN = {"fault", "time", "held", "why", "seed", "loops", "failures"}


def spell(value):
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def worst(lines):
    """The largest of every figure; figures of which less is worse are named `least_...`."""
    figures = collections.defaultdict(list)
    for line in lines:
        for name, value in line.items():
            if name not in HIDDEN and isinstance(value, (int, float)) and not isinstance(value, bool):
                figures[name].append(value)
    return ", ".join(f"{name.replace('_', ' ')} {spell((min if name.startswith('least_') else max)(values))}" for name, values in figures.items())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", default=PATH)
    parser.add_argument("--since", default="", help="only runs that ended at or after this time")
    parser.add_argument("--why", action="store_true", help="also why runs did not hold")
    options = parser.parse_args()
    faults = collections.defaultdict(list)
    for line in read(options.file):
        if line["time"] >= options.since:
            faults[line["fault"]].append(line)
    print("| fault | runs | held | worst case |\n|---|---|---|---|")
    for fault, lines in faults.items():
        print(f"| {fault} | {len(lines)} | {sum(line['held'] for line in lines)} | {worst(lines)} |")
    if options.why:
        for line in (line for lines in faults.values() for line in lines if not line["held"]):
            print(f"\n{line['fault']} seed {line.get('seed')} {line['time']}\n  {line['why']}\n  {line.get('failures', '')}")


if __name__ == "__main__":
    main()
