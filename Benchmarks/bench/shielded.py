# SPDX-License-Identifier: MIT
# The chains with TLS at the front and between the hops, all with one ECDSA certificate, and nginx's like them.
# Only the service behind the last hop speaks plain text.
"""Chains that speak TLS."""

import subprocess

from .process import free_ports
from .subjects import Chain, ENDPOINT, nginx, piko, server_ports

SHIELD = """
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;
    proxy_ssl_trusted_certificate {cert}; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_session_reuse on;
    upstream next {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 1000000000; }}
    proxy_max_temp_file_size 0;
    server {{
        listen 127.0.0.1:{port} ssl backlog=1024;
        location / {{
            proxy_pass {scheme}://next; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
"""


def identity(stage):
    """A certificate for localhost that signs itself, and its key."""
    cert, key = stage.path("cert.pem"), stage.path("key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def nginx_hop(stage, name, to, scheme):
    cert, key = stage.path("cert.pem"), stage.path("key.pem")
    (port,) = free_ports(1)
    return nginx(stage, name, SHIELD.format(cert=cert, key=key, to=to, port=port, scheme=scheme), port), port


def nginx_tls_chain(stage, service):
    """nginx -> nginx -> service, TLS on the first two legs."""
    second, back = nginx_hop(stage, "nginx-back", service, "http")
    first, front = nginx_hop(stage, "nginx-front", back, "https")
    return Chain("nginx", front, [first, second])


def piko_tls_server(stage):
    """Returns the process and its proxy and upstream ports."""
    cert, key = stage.path("cert.pem"), stage.path("key.pem")
    proxy, upstream, binds = server_ports()
    flags = [word for port in ("proxy", "upstream") for word in (f"--{port}.tls.cert", cert, f"--{port}.tls.key", key)]
    process = piko(stage, "piko-server", "server", *binds, *flags, "--proxy.access-log.disable", "--engine.loops", "1")
    stage.wait_port(proxy)
    stage.wait_port(upstream)
    return process, proxy, upstream


def piko_tls_chain(stage, service):
    """server <- agent -> service, TLS to the server on both sides."""
    server, proxy, upstream = piko_tls_server(stage)
    agent = piko(stage, "piko-agent", "agent", "http", ENDPOINT, f"127.0.0.1:{service}", "--connect.url", f"https://localhost:{upstream}",
                 "--connect.tls.root-cas", stage.path("cert.pem"), "--access-log.disable", "--engine.loops", "1")
    return Chain("piko", proxy, [server, agent])
