# SPDX-License-Identifier: MIT
# The heads both sides read: hand-written rows on which parsers are known to differ, h2o's fuzzing corpus (MIT),
# and mutations from a fixed seed. Bytes only; the same ones in every run.

import pathlib
import random
import tarfile

SEEDS = pathlib.Path(__file__).resolve().parents[2] / "Fuzz" / "seeds" / "http1.tar.gz"

METHODS = [
    b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"PROPFIND", b"M-SEARCH", b"PRI", b"X!#$%&'*+-.^_`|~1", b"G(T", b"", b"DELETE",
]
TARGETS = [
    b"/", b"/a?b=c", b"/%zz", b"/a#b", b"//a", b"/\\", b"/|^`{}\"<>", b"/a b", b"*", b"a.b:80", b"a.b", b"http://a.b/x",
    b"http://a.b", b"HTTP://A.b?q",
    b"https://a.b:443/", b"http://c.d/", b"http://u@a.b/", b"http:///", b"ftp://a.b/", b"?a", b"/\xe9", b"/\x7f", b"/\x01",
    b"/\t", b"http://a.b:80:80/",
    b"http://[::1]/", b"/" + b"a" * 3000, b"http://a.b\\@c.d/", b"http://a.b%2ec/", b"/..;/", b"http:a.b/", b"/http://a.b",
]
VERSIONS = [
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.10", b"HTTP/11", b"HTTP/1.",
    b"ICY/1.1", b"HTTP/1.1 ", b"",
    b"HTTP /1.1", b"HTTP/1. 1", b"HTTP/01.1", b"HTTP/+1.1",
]
HOSTS = [
    b"a.b", b"a.b:80", b"A.B", b"", b"a b", b"a,b", b"a/b", b"u@a.b", b"a.b:", b"a.b:x", b"[::1]", b"[::1]:80", b"::1",
    b"a.b:80:80", b"a..b", b".b", b"1.2.3.4",
    b"a_b.c", b"a%2eb", b"\xe9.b", b"a.b\t", b"a.b:99999", b"*", b"a.b, a.b", b"a.b.", b"[::1", b"[::1]x",
]
LENGTHS = [
    b"0", b"1", b"5", b"007", b"100", b"5000", b"+1", b"-1", b"0x5", b"5,5", b"5, 5", b"5;", b"5 5", b"", b" ", b"\t5\t",
    b"5\x0b", b"1e1", b"5.0", b"\"5\"",
    b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"18446744073709551616",
    b"99999999999999999999999", b"0" * 30 + b"5",
    b"1_0", b"\xd9\xa5", b"5\x00",
]
CODINGS = [
    b"chunked", b"Chunked", b"CHUNKED", b" chunked ", b"\tchunked\t", b"chunked,", b",chunked", b"chunked, chunked",
    b"gzip, chunked", b"chunked, gzip",
    b"chunked, identity", b"identity", b"gzip", b"", b"\x0bchunked", b"chunked\x0b", b"xchunked", b"chunkedx",
    b"\"chunked\"", b"'chunked'", b"chunked;q=1",
    b"chunked chunked", b"chun\tked", b"chunked\x00", b"\xe9chunked", b"identity, chunked", b"chunke",
]
CONNECTIONS = [
    b"close", b"Close", b"keep-alive", b"Keep-Alive", b"keep-alive, close", b"close, keep-alive", b"closed", b" close ",
    b",close,", b"x, close", b"close x",
    b"close;x", b"upgrade", b"Upgrade", b"keep-alive, Upgrade", b"upgrade, close", b"", b"\"close\"", b"close\t,\tx",
    b"host", b"content-length", b"x-a, x-b",
    b"transfer-encoding", b"te", b"keep-alivex", b"xkeep-alive", b"clos", b"upgrades",
]
LINES = [
    b"X : 1", b"X\t: 1", b" X: 1", b"X: 1\r\n 2", b"X: 1\r\n\t2", b": 1", b"X", b"X y: 1", b"X\x00: 1", b"X: a\x00b",
    b"X: a\rb", b"X: a\nb", b"X: a\r", b"X: \x01",
    b"X: \x7f", b"X: \xe9\xff\x80", b"X: \t a \t b \t", b"X:", b"X: ", b"X:a:b", b"X(: 1", b"X\xe9: 1", b"X@: 1",
    b"!#$%&'*+-.^_`|~1: 1", b"x: " + b"v" * 5000,
    b"X" * 300 + b": 1", b"X: \x0b", b"X: \x0ca", b"X: \x1b[0m", b"Content_Length: 5", b"Content-Length : 5",
    b"Transfer-Encoding : chunked", b"Content-Length\x00: 5",
    b"Content-Length", b"\x0bContent-Length: 5", b"Content-Length:5\rContent-Length: 6", b"Upgrade:", b"Upgrade: websocket",
    b"Upgrade: a/1, b", b"Expect: 100-continue",
    b"Expect: x", b"TE: trailers", b"Trailer: X", b"Keep-Alive: 5", b"Proxy-Connection: close",
    b"Proxy-Connection: keep-alive", b"x-piko-forward: true",
    b"X-Forwarded-For: 1, 2", b"Cookie: a=\"b\"; c", b"Connection: upgrade\r\nUpgrade: x",
    b"Connection: close\r\nConnection: keep-alive",
    b"Connection: keep-alive\r\nConnection: close", b"Set-Cookie: a\r\nSet-Cookie: b", b"\r\nX: 1", b"\nX: 1",
]
STATUSES = [
    b"200 OK", b"200", b"200 ", b"200  two", b"204 No Content", b"304 Not Modified", b"100 Continue", b"103 Early Hints",
    b"101 Switching", b"426 Up", b"999 x", b"600 x",
    b"099 x", b"20 x", b"2000 x", b"200x", b"+20 x", b"200\tOK", b" 200 OK", b"-1 x", b"200 a\tb", b"200 \xe9", b"200 \x01",
    b"200 \x7f", b"20x y", b"1e2 x", b"000 x",
]


def request(method=b"POST", target=b"/", version=b"HTTP/1.1", lines=(b"Host: a.b",)):
    return method + b" " + target + b" " + version + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def response(status=b"200 OK", version=b"HTTP/1.1", lines=()):
    return version + b" " + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def framing_lines():
    """Ways to announce a body, alone and in pairs."""
    lengths = [b"Content-Length: " + value for value in LENGTHS]
    codings = [b"Transfer-Encoding: " + value for value in CODINGS]
    yield from ([line] for line in lengths + codings)
    for first in lengths[:6] + codings[:6]:
        for second in lengths[:6] + codings[:12]:
            yield [first, second]
    colons = (b":", b" : ", b":\t", b"\t:", b": \r\n ", b":\n")
    yield from ([line.replace(b": ", colon)] for line in (lengths[2], codings[0]) for colon in colons)


def shared_lines():
    yield from framing_lines()
    yield from ([b"Connection: " + value] for value in CONNECTIONS)
    yield from ([line] for line in LINES)


def requests():
    """The hand-written requests."""
    host = b"Host: a.b"
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        yield from (request(version=version, lines=[host, *lines]) for lines in shared_lines())
        yield from (request(version=version, lines=[*lines, host]) for lines in shared_lines())
        yield from (request(version=version, lines=[b"Host: " + value]) for value in HOSTS)
        yield from (request(version=version, lines=[b"Host: " + one, b"Host: a.b"]) for one in HOSTS[:3])
        yield request(version=version, lines=[])
        yield from (request(method, target, version) for method in METHODS for target in TARGETS)
    yield from (request(method, version=version) for method in METHODS for version in VERSIONS)
    yield from (request(b"CONNECT", b"a.b:80", lines=[b"Host: a.b:80", *lines]) for lines in framing_lines())
    for more in ([], [b"Content-Length: 3"]):
        yield from (request(lines=[host, b"Connection: " + value, b"Upgrade: x", *more]) for value in CONNECTIONS)
    yield from raw_requests()


def raw_requests():
    plain = request()
    yield from (prefix + plain for prefix in (b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\r", b"\x00", b"\xef\xbb\xbf"))
    yield from (plain.replace(b"\r\n", end) for end in (b"\n", b"\r", b"\r\r\n"))
    yield from (plain[:-2] + b"\n", plain[:-1], b"GET /\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n", b"")
    yield from (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: a.b\r\n\r\n")
    yield request(lines=[b"Host: a.b", *(b"X-%d: y" % index for index in range(127))])
    yield request(lines=[b"Host: a.b", *(b"X-%d: y" % index for index in range(128))])


def responses():
    """The hand-written responses."""
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        yield from (response(version=version, lines=lines) for lines in shared_lines())
        yield from (response(status, version) for status in STATUSES)
        yield from (response(status, version, lines) for status in (b"204 x", b"304 x", b"100 x") for lines in framing_lines())
    yield from (response(version=version) for version in VERSIONS)
    plain = response()
    yield from (plain.replace(b"\r\n", b"\n"), plain.replace(b"\r\n", b"\r"), b"\r\n" + plain, b" " + plain)
    yield from (b"ICY 200 OK\r\n\r\n", plain[:-1], b"")


def corpus():
    """The inputs of h2o's fuzzing. Each holds client's and server's bytes with a mark between them; both halves are inputs."""
    with tarfile.open(SEEDS) as archive:
        for member in archive:
            if member.isfile():
                yield from archive.extractfile(member).read().split(b"\n--MARK--\n")


PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"\x00", b"\x7f", b"\xe9", b"\x0b", b"0", b"chunked",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Host: a.b\r\n", b"Connection: close\r\n", b"Connection: keep-alive, Upgrade\r\nUpgrade: x\r\n", b"X: 1\r\n",
    b"\r\n\r\n", b"HTTP/1.0", b"HTTP/1.1", b"-", b"_", b"\"",
]


def mutate(rng, head, others):
    """One to three changes: a byte, a piece put in, a cut, a line doubled or moved, a line of another head."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at, kind = rng.randrange(len(head) + 1), rng.randrange(6)
        lines = head.split(b"\r\n")
        if kind == 0:
            head = head[:at] + bytes([rng.randrange(256)]) + head[at + 1:]
        elif kind == 1:
            head = head[:at] + rng.choice(PIECES) + head[at:]
        elif kind == 2:
            head = head[:at] + head[at + rng.choice((1, 1, 2, 8)):]
        elif kind == 3:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            head = b"\r\n".join(lines)
        elif kind == 4:
            lines.insert(rng.randrange(len(lines)), lines.pop(rng.randrange(len(lines))))
            head = b"\r\n".join(lines)
        else:
            lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(rng.choice(others).split(b"\r\n")))
            head = b"\r\n".join(lines)
    return head


def mutations(pool, count, seed):
    """So many mutations of the heads in the pool; the same ones in every run."""
    rng = random.Random(seed)
    return [mutate(rng, rng.choice(pool), pool) for _ in range(count)]
