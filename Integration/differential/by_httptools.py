# SPDX-License-Identifier: MIT
# httptools' (llhttp's) reading of a head. Where its body ends is not asked but tried:
# the framing we claim is played behind the head.

import httptools

from .reading import Reading, Refusal, body_for

# The methods llhttp knows; it refuses all others, which RFC 9110 9.1 does not allow a general parser to do.
METHODS = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL "
    b"REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK SOURCE".split()
)


class Told:
    """What the callbacks told."""

    def __init__(self):
        self.target, self.reason, self.body, self.fields = b"", b"", b"", []
        self.headed = self.done = 0
        self.upgraded = None
        self.parser, self.keepalive = None, False

    def on_url(self, part):
        self.target += part

    def on_status(self, part):
        self.reason += part

    def on_header(self, name, value):
        self.fields.append((bytes(name).lower(), bytes(value or b"").strip(b" \t")))

    def on_headers_complete(self):
        self.headed += 1
        self.keepalive = self.keepalive or self.headed == 1 and self.parser.should_keep_alive()

    def on_body(self, part):
        self.body += part

    def on_message_complete(self):
        self.done += 1


def feed(parser, told, data):
    """Feeds; an upgrade stops the parser and says where."""
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade as upgrade:
        told.upgraded = upgrade.args[0] if upgrade.args else 0


def read_request(head, claimed):
    """The reading of `head`. A method llhttp does not know is read as POST: the other bytes keep their meaning."""
    sent, rest = head.removeprefix(b"\r\n").split(b" ", 1)
    known = sent in METHODS
    return _read(httptools.HttpRequestParser, head if known else b"POST " + rest, claimed, None if known else sent)


def read_response(head, claimed):
    return _read(httptools.HttpResponseParser, head, claimed, None)


def _read(make, head, claimed, method):
    told = Told()
    told.parser = parser = make(told)
    try:
        feed(parser, told, head)
        if not told.headed:
            return Refusal("httptools: head is not complete")
        version, upgrade = parser.get_http_version(), parser.should_upgrade()
        framing = _play(parser, told, claimed)
    except httptools.HttpParserError as error:
        return Refusal(f"httptools: {error!r}")
    request = isinstance(parser, httptools.HttpRequestParser)
    start = (method or parser.get_method(), told.target) if request else (parser.get_status_code(), told.reason)
    return Reading(
        start=start, version=version.encode(), fields=told.fields, framing=framing, keepalive=told.keepalive, upgrade=upgrade)


def _play(parser, told, claimed):
    """`claimed`, if the body llhttp takes is exactly the one that is played; else what happened."""
    body, payload, ends = body_for(claimed)
    if not body:
        return claimed if told.done == (1 if ends else 0) or told.upgraded is not None else "not empty"
    if told.upgraded is not None and parser.get_method() != b"CONNECT":
        # httptools (not llhttp) takes an upgrade for the end of the request although a body was announced. RFC 9110 7.8: the
        # body comes first; and clients do that (`docker exec`). A connection that carried such a request is not used again
        # (ResponseHead).
        return claimed
    if told.done:
        return "empty"
    feed(parser, told, body[:-1])
    if told.done:
        return "shorter"
    feed(parser, told, body[-1:])
    if told.body != payload or told.done != (1 if ends else 0):
        return f"other: {told.body[:80]!r}, done {told.done}"
    return claimed
