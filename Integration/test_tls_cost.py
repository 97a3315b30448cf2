# SPDX-License-Identifier: MIT
# What TLS costs while nothing happens, and what an examiner of TLS servers has to say about the ports.
# Memory of whole processes, from /proc; sslyze from PyPI.

import json
import subprocess
import sys

import pytest

from harness.certificates import EC, RSA
from harness.usage import eventually, rss
from test_tls import PORTS, piko, secure, trust, url  # noqa: F401

WARM, TUNNELS = 100, 500
MOST = 24 * 1024


def listeners(path, first, count):
    items = "".join(f"  - endpoint_id: e{first + n}\n    addr: 1\n" for n in range(count))
    path.write_text(f"listeners:\n{items}")
    return path


def growth(piko, authority, tmp_path, ports):
    """Bytes that each further idle tunnel adds to the node and to the agent."""
    node = secure(piko, authority, ports)

    def start(first, count):
        path = listeners(tmp_path / f"{'-'.join(ports)}{first}.yaml", first, count)
        flags = ["--connect.url", url(node, "upstream", ports), "--connect.tunnels", "1", *trust(authority)]
        agent = piko.start(type(node), "agent", piko.looped("agent", "start", "--config.path", path, *flags))
        eventually(lambda: node.listeners(f"e{first + count - 1}") == 1 and node.active >= 1 and all_there(first + count), 40)
        return agent

    def all_there(count):
        return len(json.loads(node.ask("/status/upstream/endpoints").body)) == count

    small = start(0, WARM)
    before = rss(node.pid)
    large = start(WARM, TUNNELS)
    return (rss(node.pid) - before) / TUNNELS, (rss(large.pid) - rss(small.pid)) / (TUNNELS - WARM)


@pytest.mark.alone
@pytest.mark.plain("it compares tunnels with TLS and without")
@pytest.mark.tokenless("its ports have no tokens, so that the tunnels are all there is")
def test_an_idle_tunnel_over_tls_costs_at_most_24_kib_more(piko, authority, tmp_path):
    plain, secured = growth(piko, authority, tmp_path, []), growth(piko, authority, tmp_path, ["upstream"])
    more = [over - under for over, under in zip(secured, plain)]
    print(f"KiB a tunnel over plain: node {more[0] / 1024:.1f}, agent {more[1] / 1024:.1f}")
    assert more[0] <= MOST and more[1] <= MOST, [round(value / 1024, 1) for value in (*plain, *secured)]


@pytest.fixture(scope="module", params=[EC, RSA], ids=["EC", "RSA"])
def examined(request, authority, tmp_path_factory, loops):
    from harness.piko import Piko
    piko = Piko(tmp_path_factory.mktemp("examined"), loops)
    node = secure(piko, authority, PORTS, identity=authority.identity(usage="serverAuth", keys=request.param))
    out = tmp_path_factory.mktemp("sslyze") / "report.json"
    command = [sys.executable, "-m", "sslyze", "--mozilla_config", "disable", "--certinfo", "--certinfo_ca_file", authority.roots, "--sslv2", "--sslv3", "--tlsv1",
               "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--compression", "--heartbleed", "--openssl_ccs", "--fallback", "--robot", "--reneg", "--early_data",
               "--resum", "--elliptic_curves", "--ems", "--json_out", out, *(getattr(node, port) for port in PORTS)]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=170)
    assert out.exists(), done.stdout + done.stderr
    yield json.loads(out.read_text())["server_scan_results"]
    piko.stop()


def accepted(result, version):
    return [suite["cipher_suite"]["name"] for suite in result[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]]


@pytest.mark.timeout(200)
def test_an_examiner_finds_nothing_wrong(examined, authority):
    roots = authority.roots
    assert len(examined) == len(PORTS)
    for server in examined:
        result = server["scan_result"]
        assert all(part["status"] == "COMPLETED" for name, part in result.items() if part and part["status"] != "NOT_SCHEDULED"), server
        for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
            assert accepted(result, version) == []
        assert all("ECDHE" in name and ("GCM" in name or "CHACHA20" in name) for name in accepted(result, "tls_1_2")), accepted(result, "tls_1_2")
        assert accepted(result, "tls_1_2") and accepted(result, "tls_1_3")
        assert not result["tls_compression"]["result"]["supports_compression"]
        assert not result["heartbleed"]["result"]["is_vulnerable_to_heartbleed"]
        assert not result["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"]
        assert result["tls_fallback_scsv"]["result"]["supports_fallback_scsv"]
        assert result["robot"]["result"]["robot_result"].startswith("NOT_VULNERABLE")
        assert not result["session_renegotiation"]["result"]["is_vulnerable_to_client_renegotiation_dos"]
        assert result["session_renegotiation"]["result"]["supports_secure_renegotiation"]
        assert not result["tls_1_3_early_data"]["result"]["supports_early_data"]
        assert result["tls_extended_master_secret"]["result"]["supports_ems_extension"]
        chains = result["certificate_info"]["result"]["certificate_deployments"]
        ours = [path["was_validation_successful"] for chain in chains for path in chain["path_validation_results"]
                if str(path["trust_store"]["path"]) == roots]
        assert len(chains) == 1 and ours == [True], chains
        resumption = result["session_resumption"]["result"]
        assert resumption["tls_ticket_resumption_result"] == "FULLY_SUPPORTED", resumption
        curves = {curve["name"] for curve in result["elliptic_curves"]["result"]["supported_curves"]}
        assert {"X25519", "secp256r1"} <= curves <= {"X25519", "X448", "secp256r1", "secp384r1", "secp521r1"}, curves
