# SPDX-License-Identifier: MIT
# h11's reading of a head. Where its body ends is not asked but tried:
# the framing we claim is played behind the head.

import h11

from .reading import Reading, Refusal, body_for

MARK = b"MARK / HTTP/1.1\r\n\r\n"
LIMIT = 1 << 22


def read_request(head, claimed):
    """h11's reading of `head`, with `claimed` as framing where h11 finds the end of such a body in the same place."""
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    return _read(conn, head, claimed, b"")


def read_response(head, claimed, method=b"GET", upgrade=False):
    conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT)
    extra = [(b"Connection", b"upgrade"), (b"Upgrade", b"x")] if upgrade else []
    target = b"a.b:1" if method == b"CONNECT" else b"/"
    conn.send(h11.Request(method=method, target=target, headers=[(b"Host", b"a.b"), *extra]))
    conn.send(h11.EndOfMessage())
    return _read(conn, head, claimed, method)


def _read(conn, head, claimed, method):
    body, payload, ends = body_for(claimed)
    try:
        conn.receive_data(head + body + (MARK if ends else b""))
        event = conn.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED):
            return Refusal(f"h11: {event}")
        interim = isinstance(event, h11.InformationalResponse)
        framing = _interim(conn) if interim else _play(conn, claimed, payload, ends)
    except h11.RemoteProtocolError as error:
        return Refusal(f"h11: {error}")
    request = isinstance(event, h11.Request)
    start = (event.method, event.target) if request else (event.status_code, event.reason)
    return Reading(
        start=start, version=event.http_version, fields=list(event.headers), framing=framing,
        keepalive=conn.their_state not in (h11.MUST_CLOSE, h11.CLOSED), upgrade=conn.their_state is h11.MIGHT_SWITCH_PROTOCOL
        or conn.their_state is h11.SWITCHED_PROTOCOL,
    )


def _interim(conn):
    """An interim head has no body: the mark is next."""
    return "empty" if conn.trailing_data[0] in (MARK, b"") else "other"


def _play(conn, claimed, payload, ends):
    """`claimed`, if the body h11 takes is exactly the one that was played; else what happened."""
    got, event = b"", None
    while True:
        event = conn.next_event()
        if isinstance(event, h11.Data):
            got += event.data
            continue
        break
    if claimed == "close":
        return claimed if event is h11.NEED_DATA and got == payload else "ended"
    if not ends:
        return claimed if event is h11.NEED_DATA and got == payload else f"ended after {len(got)}"
    if event is h11.PAUSED or conn.their_state is h11.SWITCHED_PROTOCOL:
        return claimed if got == payload and conn.trailing_data[0] == MARK else "other"
    whole = isinstance(event, h11.EndOfMessage) and got == payload and conn.trailing_data[0] == MARK
    return claimed if whole else f"other: {event!r} after {len(got)}"
