# SPDX-License-Identifier: MIT
# Real HTTP proxies on loopback, for what goes out through one: tinyproxy, and squid, which knows names that nobody else does and speaks TLS.
# Each runs in the foreground as a child of ours.

import os
import shutil
import signal
import subprocess

from .piko import listening
from .ports import free_port
from .process import Process
from .real import owned, plain_user
from .usage import eventually

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 600
MaxClients 100
Allow 127.0.0.1
LogLevel Connect
{auth}
{ports}
"""

SQUID = """
http_port 127.0.0.1:{port}
https_port 127.0.0.1:{secure} tls-cert={base}/both.pem
pid_filename none
access_log none
cache_log {base}/cache.log
cache deny all
coredump_dir {base}
hosts_file {base}/hosts
visible_hostname test
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
max_filedescriptors 256
auth_param basic program /usr/lib/squid/basic_ncsa_auth {base}/passwd
auth_param basic children 1
acl known proxy_auth REQUIRED
http_access {allow}
http_access deny all
"""

USER, PASSWORD = "me", "p@ss: %"
LOGIN = "me:p%40ss%3A%20%25@"


class Tinyproxy(Process):
    """`auth`: it wants USER and "secret". `ports`: the only ones that it connects to. `seen` are the places that it was asked for."""

    def __init__(self, directory, auth=False, ports=(), port=None):
        self.port = port or free_port()
        self.addr = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.addr}"
        config = directory / f"tinyproxy-{self.port}.conf"
        config.write_text(TINYPROXY.format(
            port=self.port, auth=f"BasicAuth {USER} secret" if auth else "", ports="\n".join(f"ConnectPort {port}" for port in ports)))
        super().__init__(["tinyproxy", "-d", "-c", config], directory, "tinyproxy")
        eventually(lambda: listening(self.addr), what=f"tinyproxy: {self.out}")

    @property
    def seen(self):
        lines = (self.out + self.log).splitlines()
        return [line.partition("Request (file descriptor")[2].partition(": ")[2].split()[1] for line in lines if ": CONNECT " in line]


class Squid(Process):
    """Wants USER and PASSWORD, unless `open`. `piko.test` is this machine, for it alone; `secure` is its port for TLS, with `cert` for localhost."""

    def __init__(self, directory, open=False):
        user = plain_user("proxy")
        base = self.base = owned(user)
        self.port, self.secure = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.cert = base / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", base / "key.pem", "-out", self.cert,
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True, timeout=20)
        (base / "both.pem").write_text(self.cert.read_text() + (base / "key.pem").read_text())
        hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True, timeout=20).stdout
        (base / "passwd").write_text(f"{USER}:{hashed}")
        (base / "hosts").write_text("127.0.0.1 piko.test\n")
        config = base / "squid.conf"
        config.write_text(SQUID.format(port=self.port, secure=self.secure, base=base, allow="allow all" if open else "allow known"))
        if user:
            for path in base.iterdir():
                os.chown(path, user.pw_uid, user.pw_gid)
        super().__init__(["squid", "-N", "-f", config], directory, "squid", user=user, cwd=base)
        eventually(lambda: listening(f"127.0.0.1:{self.port}"), 20, f"squid: {self.log}")

    @property
    def login(self):
        return f"http://{LOGIN}127.0.0.1:{self.port}"

    @property
    def secure_login(self):
        return f"https://{LOGIN}localhost:{self.secure}"

    def kill(self):
        """Its own way to end: its helper goes with it."""
        self.end(signal.SIGTERM)
        shutil.rmtree(self.base, ignore_errors=True)
