# SPDX-License-Identifier: MIT
# The figures of each run of a fault: one JSON line each in out/cluster/results.jsonl at the top of the repository, written when the
# test ends, whether it held or not. PIKO_RESULTS names another file.

import json
import os
import pathlib
import time

PATH = pathlib.Path(os.environ.get("PIKO_RESULTS") or pathlib.Path(__file__).resolve().parents[2] / "out" / "cluster" / "results.jsonl")


class Result(dict):
    """Figures of one run; `held` and why not are added at its end."""

    def write(self, fault, failure):
        line = {"fault": fault, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "held": failure is None, **self}
        if failure:
            line["why"] = failure[:2000]
        PATH.parent.mkdir(parents=True, exist_ok=True)
        with open(PATH, "a") as file:
            file.write(json.dumps(line) + "\n")


def read(path=PATH):
    with open(path) as file:
        return [json.loads(line) for line in file]
