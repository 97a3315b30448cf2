# SPDX-License-Identifier: MIT
# Runs HeadDump, our side of the comparison: inputs in, readings out.
# One process for one batch; it ends with its input.

import json
import os
import pathlib
import struct
import subprocess

from .reading import Reading, Refusal

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    """HeadDump: PIKO_HEADDUMP, else the release build, else the debug build."""
    if path := os.environ.get("PIKO_HEADDUMP"):
        return pathlib.Path(path).resolve()
    for kind in ("release", "debug"):
        if (path := ROOT / ".build" / kind / "HeadDump").exists():
            return path
    raise FileNotFoundError("no HeadDump: build it (swift build -c release --product HeadDump) or set PIKO_HEADDUMP")


def dump(kind, inputs):
    """Our readings of `inputs`, in order. Kind: Q a request; R, H, C, U responses to GET, HEAD, CONNECT, an upgrade."""
    records = b"".join(kind.encode() + struct.pack(">I", len(one)) + one for one in inputs)
    done = subprocess.run([binary()], input=records, stdout=subprocess.PIPE, timeout=120, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(inputs), f"HeadDump answered {len(lines)} of {len(inputs)}"
    return [reading(json.loads(line)) for line in lines]


def reading(told):
    if not told["ok"]:
        return Refusal(told["fault"])
    raw = {key: value.encode("latin-1") for key, value in told.items() if isinstance(value, str)}
    start = (raw["method"], raw["target"]) if "method" in raw else (told["code"], raw["reason"])
    return Reading(
        start=start, version=raw["version"], framing=told["framing"], keepalive=told["keepalive"], upgrade=told["upgrade"],
        fields=[(name.encode("latin-1").lower(), value.encode("latin-1")) for name, value in told["fields"]],
        consumed=told["consumed"], path=raw.get("path", b""), out=raw["out"],
    )
