#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The service behind the agents: answers each HTTP request with the id that it carries, echoes TCP, and writes down the id of
# every POST that it acted on, so that one that arrived twice is seen. Runs until SIGTERM. One thread, asyncio.
# It can misbehave on purpose (--drop, --wrong, --stall), so that the load beside it can be proven to notice.

import argparse
import asyncio
import signal
import sys

SLOW = 0.1


class Record:
    """The POSTs, one id a line."""

    def __init__(self, path):
        self.file = open(path, "ab", buffering=1 << 16)

    def add(self, name):
        self.file.write(name + b"\n")


class Web(asyncio.Protocol):
    """HTTP/1.1 with Content-Length only, requests one after another."""

    count = 0

    def __init__(self, options, record):
        self.options = options
        self.record = record
        self.buffer = b""
        self.busy = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        self.next()

    def next(self):
        while not self.busy and self.step():
            pass

    def step(self):
        head, mark, rest = self.buffer.partition(b"\r\n\r\n")
        if not mark:
            return False
        request, *lines = head.split(b"\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        length = int(fields.get(b"content-length", 0))
        if len(rest) < length:
            return False
        self.buffer = rest[length:]
        if b"x-id" not in fields:
            print(f"not a request of ours: {head!r}, {len(self.buffer)} more bytes: {self.buffer[:200]!r}", file=sys.stderr, flush=True)
            self.transport.abort()
            return False
        self.act(request, fields[b"x-id"], rest[:length])
        return True

    def act(self, request, name, body):
        Web.count += 1
        if request.startswith(b"POST"):
            self.record.add(name)
            if not body.startswith(name + b" "):
                return self.answer(400, b"not the body of " + name)
        if self.hits(self.options.drop):
            return self.transport.abort()
        if self.hits(self.options.wrong):
            name = b"another"
        self.later(self.delay(request), name)

    def hits(self, every):
        return every and Web.count % every == 0

    def delay(self, request):
        if self.hits(self.options.stall):
            return 2.0
        return SLOW if b" /slow " in request else 0

    def later(self, delay, name):
        if not delay:
            return self.answer(200, name)
        self.busy = True
        asyncio.get_running_loop().call_later(delay, self.finish, name)

    def finish(self, name):
        self.busy = False
        self.answer(200, name)
        self.next()

    def answer(self, status, body):
        self.transport.write(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def serve(options, record):
    loop = asyncio.get_running_loop()
    # First: who sees the ports listen may send the signal.
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    servers = [
        await loop.create_server(lambda: Web(options, record), "127.0.0.1", options.web, backlog=1000),
        await loop.create_server(Echo, "127.0.0.1", options.echo, backlog=1000),
    ]
    await stop.wait()
    for server in servers:
        server.close()
    # asyncio takes each new connection in a task of its own, and complains of one that the end of the loop finds unfinished.
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--web", type=int, required=True, help="port of the HTTP service")
    parser.add_argument("--echo", type=int, required=True, help="port of the TCP echo")
    parser.add_argument("--posts", required=True, help="file that the ids of POSTs are added to")
    parser.add_argument("--drop", type=int, default=0, help="end every Nth request's connection instead of an answer")
    parser.add_argument("--wrong", type=int, default=0, help="answer every Nth request with another's id")
    parser.add_argument("--stall", type=int, default=0, help="answer every Nth request after 2 s")
    options = parser.parse_args()
    record = Record(options.posts)
    asyncio.run(serve(options, record))
    record.file.close()


main()
