# SPDX-License-Identifier: MIT
# Runs a batch of heads through ours and the others and says on which they disagree.
# No list of permitted differences: where another parser is narrower than the RFC, the note at the place says so.

import collections
from dataclasses import dataclass, replace

from . import by_h11, by_httptools
from .compare import changes, differences
from .ours import dump
from .reading import Reading

# What the request was, for each kind of HeadDump's responses: method, and whether it asked for an upgrade.
ASKED = {"R": (b"GET", False), "H": (b"HEAD", False), "C": (b"CONNECT", False), "U": (b"GET", True)}


@dataclass
class Verdict:
    given: int
    accepted: int
    refused: collections.Counter
    wrong: list

    def __str__(self):
        why = ", ".join(f"{why} {count}" for why, count in self.refused.most_common())
        return f"{self.given} heads, {self.accepted} accepted, {len(self.wrong)} read differently; refused: {why}"

    def explain(self):
        return "\n".join(f"{head!r}\n    " + "\n    ".join(found) for head, found in self.wrong[:20])


def read_by_others(kind, head, framing):
    """The others' readings by name, with our framing played behind the head."""
    if kind == "Q":
        return {"h11": by_h11.read_request(head, framing), "httptools": by_httptools.read_request(head, framing)}
    readings = {"h11": by_h11.read_response(head, framing, *ASKED[kind])}
    if kind == "R":
        # llhttp cannot be told what was asked.
        readings["httptools"] = by_httptools.read_response(head, framing)
    return readings


def disagreements(kind, head, ours):
    """All ways in which others read this head, accepted as `ours`, differently."""
    found = []
    for who, theirs in read_by_others(kind, head, ours.framing).items():
        # h11 by its own documentation never goes on with a connection after HTTP/1.0; keep-alive there is RFC 9112 C.2.2.
        told = replace(ours, keepalive=False) if who == "h11" and ours.version == b"1.0" else ours
        found += [f"{who}: {what}" for what in differences(told, theirs)]
    return found


def judge(kind, heads, dump=dump):
    """Everything about a batch: what came in as others read it, what goes out, and how others read that."""
    readings = dump(kind, heads)
    accepted = [(head, ours) for head, ours in zip(heads, readings) if isinstance(ours, Reading)]
    wrong = []
    for (head, ours), out in zip(accepted, dump(kind, [ours.out for _, ours in accepted])):
        # An empty line in front is skipped by whoever reads the connection (RFC 9112 2.2); it never goes on.
        found = disagreements(kind, head[:ours.consumed].removeprefix(b"\r\n"), ours) + changes(ours, out)
        if isinstance(out, Reading):
            found += [f"sent on: {what}" for what in disagreements(kind, ours.out, out)]
        if found:
            wrong.append((head[:300], found))
    refused = collections.Counter(one.why for one in readings if not isinstance(one, Reading))
    return Verdict(len(heads), len(accepted), refused, wrong)
