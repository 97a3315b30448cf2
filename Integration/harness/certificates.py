# SPDX-License-Identifier: MIT
# Certificates for one run of the tests: an authority of its own and what it signs, made by the openssl command.
# Paths are strings, for command lines.

import pathlib
import ssl
import subprocess

NAMES = "DNS:localhost,DNS:*.example.com,IP:127.0.0.1,IP:::1,IP:10.77.0.1"  # the last is Namespaces.HUB
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
RSA = ["-newkey", "rsa:2048", "-nodes"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Identity:
    """A certificate and its key."""

    def __init__(self, cert, key):
        self.cert, self.key = str(cert), str(key)

    def flags(self, section):
        return [f"--{section}.cert", self.cert, f"--{section}.key", self.key]

    def replace(self, other):
        """Its files get another's content, as a renewal does it."""
        for here, there in ((self.cert, other.cert), (self.key, other.key)):
            fresh = pathlib.Path(f"{here}.new")
            fresh.write_bytes(pathlib.Path(there).read_bytes())
            fresh.rename(here)

    @property
    def serial(self):
        text = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", self.cert], check=True, capture_output=True, text=True)
        return text.stdout.strip().partition("=")[2]


class Authority:
    """Signs what the tests need; `roots` is its own certificate."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.count = 0
        self.roots, self.key = str(self.directory / f"{name}.pem"), str(self.directory / f"{name}.key")
        openssl("req", "-x509", "-days", "30", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.roots, *EC,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def identity(self, names=NAMES, days=30, subject="server", usage="serverAuth,clientAuth", keys=EC):
        self.count += 1
        path = self.directory / f"{self.name}-{self.count}"
        cert, key = f"{path}.pem", f"{path}.key"
        openssl("req", "-x509", "-days", str(days), "-subj", f"/CN={subject}", "-CA", self.roots, "-CAkey", self.key,
                "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE",
                "-addext", "keyUsage=critical,digitalSignature", "-addext", f"extendedKeyUsage={usage}",
                "-keyout", key, "-out", cert, *keys)
        return Identity(cert, key)

    def context(self, identity=None, minimum=None, maximum=None):
        """A client's, for the tests' own ends."""
        context = ssl.create_default_context(cafile=self.roots)
        context.set_alpn_protocols(["http/1.1"])
        if identity:
            context.load_cert_chain(identity.cert, identity.key)
        if minimum:
            context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        return context

    def server_context(self, identity):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.cert, identity.key)
        return context


class Armour:
    """TLS on every port of the nodes that a test run shares, and towards them."""

    PORTS = ("proxy", "upstream", "admin")
    NAMESPACES = "".join(f",IP:10.{net}.0.{10 + number}" for net in (77, 78) for number in range(3))  # of cluster/place.py

    def __init__(self, directory):
        self.authority = Authority(directory)
        self.identity = self.authority.identity(NAMES + ",DNS:piko.test" + self.NAMESPACES)

    @property
    def server(self):
        flags = [flag for port in self.PORTS for flag in self.identity.flags(f"{port}.tls")]
        return flags + [part for port in ("proxy", "admin") for part in (f"--{port}.tls.client.root-cas", self.authority.roots)]

    @property
    def client(self):
        return ["--connect.tls.root-cas", self.authority.roots]

    @property
    def asking(self):
        return ["--server.tls.root-cas", self.authority.roots]

    @property
    def curl(self):
        return ["--cacert", self.authority.roots]

    @property
    def context(self):
        return self.authority.context()

    @property
    def server_context(self):
        """Of an end of a test's own that a node or an agent dials."""
        return self.authority.server_context(self.identity)

    @property
    def bundle(self):
        """Certificate and key in one file, as HAProxy wants them."""
        path = pathlib.Path(f"{self.identity.cert}.both")
        path.write_bytes(b"".join(pathlib.Path(part).read_bytes() for part in (self.identity.cert, self.identity.key)))
        return path
