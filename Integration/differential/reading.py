# SPDX-License-Identifier: MIT
# What a parser made of a head, in one shape for all parsers, so that two readings can be compared.
# No I/O.

from dataclasses import dataclass, field, replace  # noqa: F401

# Pieces of a body and what must follow it. Behind a head that is read the same everywhere, every parser finds the same end.
CHUNKED = b"3\r\nabc\r\n0\r\n\r\n"
PART = b"x" * 64
# Bodies longer than this are only begun.
WHOLE = 4096


@dataclass
class Reading:
    """A head that was accepted. Names are lower case; values have no spaces around them."""

    start: tuple
    version: bytes
    fields: list
    framing: str
    keepalive: bool
    upgrade: bool
    consumed: int = 0
    path: bytes = b""
    out: bytes = b""
    extra: dict = field(default_factory=dict)


@dataclass
class Refusal:
    """A head that was refused, and why."""

    why: str


def length_of(framing):
    return int(framing.split()[1]) if framing.startswith("length") else None


def body_for(framing):
    """Body bytes to follow a head of this framing, and whether they end it. A long one is only begun."""
    if framing == "chunked":
        return CHUNKED, b"abc", True
    length = length_of(framing)
    if length is None:
        return b"", b"", framing == "empty"
    if length > WHOLE:
        return PART, PART, False
    return b"x" * length, b"x" * length, True
