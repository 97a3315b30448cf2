# SPDX-License-Identifier: MIT
# What is compared: chains of proxies in front of one service, every process with one worker, one thread, one loop
# and no access log. A chain knows the port its clients use and the processes whose CPU counts.
# The service itself (nginx, iperf3) is the same for all and its CPU counts for none.
"""The service and the chains in front of it."""

import base64
import hashlib
import hmac
import json
import os
import time

from .process import BenchError, free_ports

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PIKO = os.environ.get("PIKO_BIN", os.path.join(REPOSITORY, ".build/release/piko"))
ENDPOINT = "bench"
MEBIBYTE = 1 << 20


class Chain:
    """A name, the port for clients, and the processes whose CPU is the chain's."""

    def __init__(self, name, port, hops):
        self.name, self.port, self.hops = name, port, hops


# One process without a master, so that its pid is all of it.
NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.err warn;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type text/plain;
    client_body_temp_path {dir}/{name}.body; proxy_temp_path {dir}/{name}.proxy; fastcgi_temp_path {dir}/{name}.fcgi;
    uwsgi_temp_path {dir}/{name}.uwsgi; scgi_temp_path {dir}/{name}.scgi;
    {http}
}}
"""

SERVICE = """
    sendfile on; tcp_nopush on;
    server {{
        listen 127.0.0.1:{port} backlog=1024; root {dir}/www;
        location = / {{ return 200 "Hello World!"; }}
    }}
"""

# No spilling to files: the yardstick at its best, not waiting for a disk.
HOP = """
    upstream next {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 1000000000; }}
    proxy_max_temp_file_size 0;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://next; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen hop
    bind 127.0.0.1:{port}
    server next 127.0.0.1:{to}
"""


def nginx(stage, name, http, port):
    config = stage.write(name + ".conf", NGINX.format(dir=stage.dir, name=name, http=http))
    process = stage.start(name, "nginx", "-p", stage.dir, "-c", config, "-e", stage.path(name + ".err"))
    stage.wait_port(port)
    return process


def http_service(stage):
    """The web service: 12 bytes at /, 1 MiB at /1m. Returns its port."""
    (port,) = free_ports(1)
    os.makedirs(stage.path("www"), exist_ok=True)
    with open(stage.path("www/1m"), "wb") as file:
        file.write(os.urandom(MEBIBYTE))
    nginx(stage, "service", SERVICE.format(port=port, dir=stage.dir), port)
    return port


def tcp_service(stage):
    """An iperf3 server. Returns its port."""
    (port,) = free_ports(1)
    stage.start("iperf3", "iperf3", "-s", "-B", "127.0.0.1", "-p", str(port))
    stage.wait_port(port)
    return port


def nginx_chain(stage, service):
    """nginx → nginx → service, keep-alive on each leg."""
    front, back = free_ports(2)
    second = nginx(stage, "nginx-back", HOP.format(port=back, to=service), back)
    first = nginx(stage, "nginx-front", HOP.format(port=front, to=back), front)
    return Chain("nginx", front, [first, second])


def haproxy_chain(stage, service):
    """HAProxy → HAProxy → HAProxy → service, all as plain TCP."""
    hops, to = [], service
    for number in (3, 2, 1):
        (port,) = free_ports(1)
        config = stage.write(f"haproxy{number}.cfg", HAPROXY.format(port=port, to=to))
        hops.append(stage.start(f"haproxy{number}", "haproxy", "-db", "-q", "-f", config))
        stage.wait_port(port)
        to = port
    return Chain("haproxy", to, hops)


def piko(stage, name, *args):
    if not os.access(PIKO, os.X_OK):
        raise BenchError(f"{PIKO} is missing: make build")
    return stage.start(name, PIKO, *args, "--log.level", "warn")


def server_ports():
    """The proxy port, the upstream port, and the flags that bind a server to them."""
    proxy, upstream, admin, gossip = free_ports(4)
    ports = {"proxy": proxy, "upstream": upstream, "admin": admin, "cluster.gossip": gossip}
    return proxy, upstream, [word for key, port in ports.items() for word in (f"--{key}.bind-addr", f"127.0.0.1:{port}")]


def piko_server(stage, loops=1, name="piko-server", flags=()):
    """Returns the process and its proxy and upstream ports."""
    proxy, upstream, binds = server_ports()
    process = piko(stage, name, "server", *binds, "--proxy.access-log.disable", "--engine.loops", str(loops), *flags)
    stage.wait_port(proxy)
    stage.wait_port(upstream)
    return process, proxy, upstream


def piko_agent(stage, kind, service, upstream, loops=1, endpoint=ENDPOINT, name="piko-agent", flags=()):
    """An agent for one endpoint; kind is http or tcp."""
    return piko(stage, name, "agent", kind, endpoint, f"127.0.0.1:{service}", "--connect.url", f"http://127.0.0.1:{upstream}",
                "--access-log.disable", "--engine.loops", str(loops), *flags)


def piko_http_chain(stage, service, loops=1):
    """server ← agent → service, for HTTP."""
    server, proxy, upstream = piko_server(stage, loops)
    agent = piko_agent(stage, "http", service, upstream, loops)
    return Chain("piko", proxy, [server, agent])


SECRET = "a secret of the benchmarks"


def token():
    """A token with the claims of a usual one, signed with HS256."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    claims = {"iss": "https://issuer.example.com/", "sub": "a-client-of-the-service", "aud": ["piko", "other"], "iat": now, "nbf": now - 60,
              "exp": now + 86400, "jti": "0b8a4f5e-9d3c-4c51-8b0e-6a52c7b1f0de", "piko": {"endpoints": [ENDPOINT, "another-endpoint"]}}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.new(SECRET.encode(), text, hashlib.sha256).digest())).decode()


def piko_guarded_chain(stage, service, bearer):
    """The same with tokens asked for on both ports."""
    keys = [word for port in ("proxy", "upstream") for word in (f"--{port}.auth.hmac-secret-key", SECRET, f"--{port}.auth.audience", "piko")]
    server, proxy, upstream = piko_server(stage, name="piko-server-guarded", flags=keys)
    agent = piko_agent(stage, "http", service, upstream, name="piko-agent-guarded", flags=["--connect.token", bearer])
    return Chain("tokens", proxy, [server, agent])


def piko_tcp_chain(stage, service, through=None):
    """forward → server ← agent → service, for TCP; through(upstream port) may put something before the upstream port."""
    server, proxy, upstream = piko_server(stage)
    agent = piko_agent(stage, "tcp", service, through(upstream) if through else upstream)
    (port,) = free_ports(1)
    forward = piko(stage, "piko-forward", "forward", "tcp", f"127.0.0.1:{port}", ENDPOINT,
                   "--connect.url", f"http://127.0.0.1:{proxy}", "--engine.loops", "1")
    stage.wait_port(port)
    return Chain("piko", port, [forward, server, agent])
