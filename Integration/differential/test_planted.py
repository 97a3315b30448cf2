# SPDX-License-Identifier: MIT
# The differential test is held to account: a parser of ours that read a head wrongly,
# in any one way, would be found out.

import pytest

from differential import heads
from differential.compare import changes
from differential.ours import dump
from differential.reading import Reading, replace
from differential.verdict import disagreements, judge

LENGTH = heads.request(lines=[b"Host: a.b", b"Content-Length: 5", b"X: y"])
CHUNKED = heads.request(lines=[b"Host: a.b", b"Transfer-Encoding: chunked", b"Connection: close"])
EMPTY = heads.request(b"GET", lines=[b"Host: a.b"])

# What a wrong parser would have read: each is to be noticed.
WRONG = {
    "no body": (LENGTH, {"framing": "empty"}),
    "shorter body": (LENGTH, {"framing": "length 4"}),
    "longer body": (LENGTH, {"framing": "length 6"}),
    "much longer body": (LENGTH, {"framing": "length 5000"}),
    "chunked instead of length": (LENGTH, {"framing": "chunked"}),
    "length instead of chunked": (CHUNKED, {"framing": "length 5"}),
    "no body instead of chunked": (CHUNKED, {"framing": "empty"}),
    "a body where none is": (EMPTY, {"framing": "length 5"}),
    "another method": (EMPTY, {"start": (b"HEAD", b"/")}),
    "another target": (EMPTY, {"start": (b"GET", b"/x")}),
    "another version": (EMPTY, {"version": b"1.0"}),
    "a connection that goes on": (CHUNKED, {"keepalive": True}),
    "a field less": (LENGTH, {"fields": [(b"host", b"a.b"), (b"content-length", b"5")]}),
    "another value": (LENGTH, {"fields": [(b"host", b"a.b"), (b"content-length", b"5"), (b"x", b"y ")]}),
    "another name": (LENGTH, {"fields": [(b"host", b"a.b"), (b"content-length", b"5"), (b"x ", b"y")]}),
}

# Heads that we refuse: accepting them would be noticed.
REFUSED = [
    b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: +5", b"Content-Length: 5, 6", b"Content-Length: 0x5",
    b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"X : 1", b"X", b"X\x00: 1", b"X: a\x00b", b": 1", b"X: a\rb",
]


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_reading_is_noticed(what):
    head, change = WRONG[what]
    (ours,) = dump("Q", [head])
    assert not disagreements("Q", head, ours)
    found = disagreements("Q", head, replace(ours, **change))
    assert any(one.startswith("h11") for one in found) and any(one.startswith("httptools") for one in found), found


@pytest.mark.parametrize("line", REFUSED)
def test_accepting_what_we_refuse_is_noticed(line):
    head = heads.request(lines=[b"Host: a.b", line])
    as_if, refused = dump("Q", [heads.request(lines=[b"Host: a.b", b"X: 1"]), head])
    assert not isinstance(refused, Reading)
    assert disagreements("Q", head, as_if)


@pytest.mark.parametrize("change", [
    {"framing": "empty"}, {"upgrade": True}, {"version": b"1.0"}, {"start": (b"POST", b"/x")}, {"start": (b"GET", b"/")},
    {"fields": [(b"host", b"a.b"), (b"content-length", b"5")]},
    {"fields": [(b"host", b"c.d"), (b"content-length", b"5"), (b"x", b"y")]},
])
def test_a_wrong_head_sent_on_is_noticed(change):
    ours, = dump("Q", [LENGTH])
    out, = dump("Q", [ours.out])
    assert not changes(ours, out)
    assert changes(ours, replace(out, **change))


def test_one_wrong_reading_in_a_batch_is_noticed():
    def lying(kind, inputs):
        readings = dump(kind, inputs)
        return [replace(one, framing="empty") if one == LENGTH_READING else one for one in readings]

    LENGTH_READING, = dump("Q", [LENGTH])
    batch = [EMPTY] * 50 + [LENGTH] + [CHUNKED] * 50
    assert not judge("Q", batch).wrong
    verdict = judge("Q", batch, dump=lying)
    assert len(verdict.wrong) == 1 and repr(LENGTH) in verdict.explain()
