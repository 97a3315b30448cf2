# SPDX-License-Identifier: MIT
# Real programs on both sides: curl and Python's websockets as clients, nginx and websockets as services, a client
# that loads a page as a browser does.

import asyncio
import gzip
import hashlib
import os
import queue
import subprocess
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from harness.piko import Piko
from harness.real import Nginx
from peer.client import Client

BIG = os.urandom(20 << 20)


class Site:
    """nginx behind both kinds of agent: endpoints "http" and "tcp"."""

    def __init__(self, directory, loops, armour):
        self.nginx = Nginx(directory)
        self.fill(self.nginx.www)
        self.piko = Piko(directory, loops, armour)
        self.node = self.piko.server()
        for kind in ("http", "tcp"):
            self.piko.agent(kind, self.node, kind, self.nginx.addr)

    def fill(self, www):
        (www / "index.html").write_bytes(b"<p>hello</p>\n")
        (www / "big").write_bytes(BIG)
        (www / "gzip" / "text.txt").write_bytes(b"compress me " * 1000)
        for number in range(60):
            (www / f"part{number}.txt").write_bytes(b"%d\n" % number * (1 + 997 * number))

    def close(self):
        self.nginx.kill()
        self.piko.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory, loops, armour):
    site = Site(tmp_path_factory.mktemp("site"), loops, armour)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture(params=["http", "tcp"])
def curl(request, site):
    """Runs curl for a path of the site; gives its standard output. Fails where curl does."""

    def run(*arguments, path="/index.html", status=0, data=None):
        command = ["curl", "-sS", "--max-time", "30", "-H", f"x-piko-endpoint: {request.param}", *site.piko.curl, *map(str, arguments),
                   f"{site.node.proxy_url}{path}"]
        done = subprocess.run(command, input=data, capture_output=True, timeout=40)
        assert done.returncode == status, (command, done.returncode, done.stderr)
        return done.stdout

    return run


def test_curl_gets_a_page(curl):
    assert curl() == b"<p>hello</p>\n"
    assert b"200 OK" in curl("-i").splitlines()[0]


def test_curl_downloads_a_large_file_whole(curl):
    assert hashlib.sha256(curl(path="/big")).digest() == hashlib.sha256(BIG).digest()


def test_curl_asks_for_ranges(curl):
    assert curl("-r", "1000-1999", path="/big") == BIG[1000:2000]
    assert curl("-r", "-5", path="/big") == BIG[-5:]
    assert b"206" in curl("-i", "-r", "0-1", path="/big").splitlines()[0]


def test_curl_gets_compressed_bytes_as_nginx_made_them(curl):
    assert gzip.decompress(curl("-H", "Accept-Encoding: gzip", path="/gzip/text.txt")) == b"compress me " * 1000
    assert curl("--compressed", path="/gzip/text.txt") == b"compress me " * 1000
    assert curl(path="/gzip/text.txt") == b"compress me " * 1000


def test_curl_head_redirect_no_content_and_not_found(curl):
    assert b"Content-Length: %d" % len(BIG) in curl("-I", path="/big")
    assert b"301" in curl("-i", path="/moved").splitlines()[0]
    assert b"204" in curl("-i", path="/none").splitlines()[0]
    assert b"404" in curl("-i", path="/nothing").splitlines()[0]


def test_curl_revalidates(curl):
    etag = next(line for line in curl("-I").splitlines() if line.lower().startswith(b"etag")).split(b": ")[1].decode()
    assert b"304" in curl("-i", "-H", f"If-None-Match: {etag}").splitlines()[0]


def test_curl_speaks_http_1_0(curl):
    assert curl("-0", "--no-alpn") == b"<p>hello</p>\n"  # else it offers http/1.0 over TLS, which nobody speaks


def test_curl_posts_with_length_and_chunked(curl):
    assert b"POST /echo?a=b" in curl("--data-binary", "x=y", path="/echo?a=b")
    assert b"PUT /echo" in curl("-T", "-", path="/echo", data=b"chunked by curl")


def test_curl_uploads_with_expect_100(site, tmp_path):
    """A body that curl holds back until it is told to go on."""
    source = tmp_path / "up"
    source.write_bytes(BIG[: 2 << 20])
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *site.piko.curl, "-H", "x-piko-endpoint: http", "-H", "Expect: 100-continue",
                           "--data-binary", f"@{source}",
                           "-w", "%{http_code} %{size_upload}", f"{site.node.proxy_url}/echo"], capture_output=True, timeout=40)
    assert done.returncode == 0 and done.stdout.endswith(b"200 %d" % (2 << 20)), (done.stdout, done.stderr)


def test_curl_keeps_one_connection_for_many_urls(site):
    urls = [f"{site.node.proxy_url}/part{n}.txt" for n in range(30)] + [f"{site.node.proxy_url}/close"]
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *site.piko.curl, "-H", "x-piko-endpoint: http", "-w", "[%{num_connects}]", *urls], capture_output=True, timeout=40)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"[1]") <= 2 and done.stdout.count(b"[0]") >= 29


def test_curl_runs_many_transfers_in_parallel(site, tmp_path):
    names = [f"part{n}.txt" for n in range(60)]
    config = "\n".join(f'url = "{site.node.proxy_url}/{name}"\noutput = "{tmp_path}/{name}"' for name in names)
    done = subprocess.run(["curl", "-sS", "--max-time", "60", "-Z", "--parallel-max", "30", *site.piko.curl, "-H", "x-piko-endpoint: tcp", "-K", "-"],
                          input=config.encode(), capture_output=True, timeout=70)
    assert done.returncode == 0, done.stderr
    for number, name in enumerate(names):
        assert (tmp_path / name).read_bytes() == b"%d\n" % number * (1 + 997 * number)


@pytest.mark.parametrize("endpoint", ["http", "tcp"])
def test_a_browser_loads_a_page_over_six_connections(site, endpoint):
    """Six keep-alive connections take the parts of a page from one list, three times."""
    work, failures = queue.Queue(), []
    for number in [*range(60)] * 3:
        work.put(number)

    def load():
        try:
            with Client(site.node.proxy) as client:
                while True:
                    try:
                        number = work.get_nowait()
                    except queue.Empty:
                        return
                    message = client.request(endpoint, f"/part{number}.txt", headers=[("Accept-Encoding", "gzip, br"), ("User-Agent", "Mozilla/5.0")]).response()
                    assert message.body == b"%d\n" % number * (1 + 997 * number)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert not failures and work.empty(), failures


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def dial(piko, node, path):
    """The websockets library's client at the node's endpoint "ws"."""
    scheme, context = ("wss", piko.armour.context) if piko.armour else ("ws", None)
    headers = {"x-piko-endpoint": "ws", **(piko.tokens.headers if piko.tokens else {})}
    return connect(f"{scheme}://{node.proxy}{path}", ssl=context, additional_headers=headers, max_size=None, proxy=None)


async def talk(connection, number):
    async with connection as socket:
        for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
            data = os.urandom(size)
            await socket.send(data)
            assert await socket.recv() == data
        await socket.send(f"text {number} äöü")
        assert await socket.recv() == f"text {number} äöü"
        await (await socket.ping())


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_websockets_library_at_both_ends(piko, kind):
    async def run():
        async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            node = piko.server()  # not on another thread: a child dies with the thread that started it
            piko.agent(kind, node, "ws", f"127.0.0.1:{port}")
            await asyncio.gather(*(talk(dial(piko, node, "/chat"), number) for number in range(20)))

    asyncio.run(asyncio.wait_for(run(), 40))


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_websockets_close_codes_pass(piko, kind):
    async def leave(socket):
        await socket.recv()
        await socket.close(4001, "reason")

    async def run():
        async with serve(leave, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            node = piko.server()  # not on another thread: a child dies with the thread that started it
            piko.agent(kind, node, "ws", f"127.0.0.1:{port}")
            async with dial(piko, node, "/") as socket:
                await socket.send("bye")
                await socket.wait_closed()
                assert (socket.close_code, socket.close_reason) == (4001, "reason")

    asyncio.run(asyncio.wait_for(run(), 40))
