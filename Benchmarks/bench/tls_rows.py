# SPDX-License-Identifier: MIT
# The rows about TLS: what it costs a request beside nginx doing the same, and full handshakes.
# Chains of one row are measured in turn, as all are.
"""The rows with TLS."""

import ssl
import time
import urllib.error
import urllib.request

from . import load
from .figure import Figure
from .process import BenchError, Stage
from .shielded import identity, nginx_hop, nginx_tls_chain, piko_tls_chain, piko_tls_server
from .subjects import Chain, ENDPOINT, http_service

HOST = ENDPOINT + ".test"
CLIENTS = 4


def wait_answer(stage, port, seconds=20):
    """Waits until a request through the chain is answered with 200."""
    deadline = time.monotonic() + seconds
    context = ssl.create_default_context(cafile=stage.path("cert.pem"))
    while True:
        stage.check()
        try:
            request = urllib.request.Request(f"https://127.0.0.1:{port}/", headers={"Host": HOST})
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                answer.read()
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise BenchError(f"no answer through port {port}: {error}") from error
            time.sleep(0.02)


def requests(plan, alternate, path, connections):
    with Stage() as stage:
        identity(stage)
        chains = plan.chains(stage, http_service(stage), nginx_tls_chain, piko_tls_chain)
        for chain in chains:
            wait_answer(stage, chain.port)
            load.wrk(f"https://127.0.0.1:{chain.port}{path}", connections, 1, HOST)

        def measure(chain):
            return load.wrk(f"https://127.0.0.1:{chain.port}{path}", connections, plan.seconds, HOST)

        return alternate(plan, stage, chains, measure)


def handshakes(plan, alternate):
    with Stage() as stage:
        identity(stage)

        def nginx_one(stage, service):
            process, port = nginx_hop(stage, "nginx-one", service, "http")
            return Chain("nginx", port, [process])

        def piko_one(stage, service):
            process, proxy, _ = piko_tls_server(stage)
            return Chain("piko", proxy, [process])

        chains = plan.chains(stage, http_service(stage), nginx_one, piko_one)
        return alternate(plan, stage, chains, lambda chain: load.handshakes(chain.port, plan.seconds, CLIENTS))


def small_figure():
    return Figure("tls-small", "12-byte responses over TLS, 32 connections: CPU a request", "µs", 1.3, True)


def big_figure():
    return Figure("tls-big", "1 MiB responses over TLS, 4 connections: CPU a request", "µs", 1.3, True)


def handshake_figures():
    return (Figure("handshakes", f"full TLS handshakes (ECDSA P-256), {CLIENTS} clients", "/s", 0.9, False),
            Figure("handshakes", "full TLS handshakes a second of CPU", "/s", 0.9, False))
