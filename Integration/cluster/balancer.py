# SPDX-License-Identifier: MIT
# A real HAProxy in front of the nodes: one frontend for clients, one for agents, a check of /ready every 100 ms.
# What it believes of a node is asked over its own socket.
# Where nodes speak TLS: agents talk to them through it; clients' connections end here, plain at one port and TLS at another, and go on in TLS.

import signal
import socket
import tempfile
import time

from harness.ports import free_port
from harness.process import Process
from harness.usage import eventually

CONFIG = """
global
  nbthread 1
  maxconn 9000
  stats socket {socket} mode 600 level admin
defaults
  timeout connect 1s
  timeout check 400ms
  timeout client 5m
  timeout server 5m
  timeout tunnel 1h
  timeout http-keep-alive 1m
  retries 3
  option redispatch 1
  option httpchk GET /ready
  balance roundrobin
  default-server check inter 100ms fall 2 rise 2 {cut}
frontend clients
  mode {mode}
  bind 127.0.0.1:{proxy}
{secure}
  default_backend proxies
frontend agents
  mode tcp
  bind 127.0.0.1:{upstream}
  default_backend upstreams
backend proxies
  mode {mode}
{proxies}
backend upstreams
  mode tcp
{upstreams}
"""


class Balancer(Process):
    """`mode`: http balances each request, tcp each connection. `cut`: end a node's connections when its check fails."""

    def __init__(self, directory, members, mode="http", cut=False, armour=None):
        self.proxy, self.upstream, self.secure = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.scheme = "https" if armour else "http"
        self.place = tempfile.mkdtemp(prefix="piko-balancer-", dir="/tmp")
        config = directory / "haproxy.cfg"
        check = f"check-ssl verify required ca-file {armour.authority.roots}" if armour else ""
        options = {"proxy": f"ssl {check}" if armour else "", "upstream": check}
        lines = {port: "\n".join(f"  server {m.id} {m.address(port)} port {m.address('admin').rpartition(':')[2]} {options[port]}" for m in members)
                 for port in ("proxy", "upstream")}
        config.write_text(CONFIG.format(
            socket=self.socket, mode=mode, cut="on-marked-down shutdown-sessions" if cut else "",
            proxy=self.proxy.rpartition(":")[2], upstream=self.upstream.rpartition(":")[2],
            secure=f"  bind {self.secure} ssl crt {armour.bundle} alpn http/1.1" if armour else "",
            proxies=lines["proxy"], upstreams=lines["upstream"]))
        super().__init__(["haproxy", "-db", "-f", config], directory, "haproxy")

    @property
    def socket(self):
        return f"{self.place}/socket"

    @property
    def upstream_url(self):
        return f"{self.scheme}://{self.upstream}"

    @property
    def proxy_url(self):
        return f"https://{self.secure}" if self.scheme == "https" else f"http://{self.proxy}"

    def up(self, member):
        """Whether both backends send to the node."""
        try:
            lines = self.ask("show stat").splitlines()
        except OSError:
            return False
        states = [line.split(",")[17] for line in lines if line.split(",")[1:2] == [member.id]]
        return len(states) == 2 and all(state.startswith("UP") and "/" not in state for state in states)

    def looked(self):
        """A moment by which it has read every end of a connection that came before this call: one thread of it does both, in turn."""
        self.ask("show info")
        return time.monotonic()

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(self.socket)
            sock.sendall(command.encode() + b"\n")
            data = b""
            while part := sock.recv(65536):
                data += part
        return data.decode()

    def wait_up(self, members, timeout=15.0):
        eventually(lambda: all(self.up(member) for member in members), timeout, "the balancer sees every node")

    def close(self):
        self.end(signal.SIGTERM)
