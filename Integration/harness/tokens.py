# SPDX-License-Identifier: MIT
# Tokens and whoever issues them: good ones by PyJWT, bad ones by hand, key sets over HTTP.
# `everywhere` is what the whole suite uses with --tokens: a secret for all ports and one token that everybody has.

import base64
import hmac
import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "a secret of the integration tests, which nobody else has"


def token(claims=None, key=SECRET, algorithm="HS256", kid=None, **more):
    """A good token; `more`: further claims."""
    return jwt.encode({**(claims or {}), **more}, key, algorithm, headers={"kid": kid} if kid else None)


def part(data):
    data = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header, claims, key=SECRET, digest="sha256"):
    """A token whose parts are as they are given, signed by HMAC; without a key not signed at all."""
    text = f"{part(header)}.{part(claims)}"
    key = key.encode() if isinstance(key, str) else key
    return f"{text}.{part(hmac.new(key, text.encode(), digest).digest()) if key is not None else ''}"


def bearer(token, name="x-piko-authorization"):
    return (name, f"Bearer {token}")


def endpoints(*names, **claims):
    return token({"piko": {"endpoints": list(names)}, **claims})


def soon(seconds):
    """Seconds since 1970, so many from now; never nearer."""
    return int(time.time() + seconds) + 1


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def ec_key(curve=None):
    return ec.generate_private_key(curve or ec.SECP256R1())


def key_set(**keys):
    """A JSON Web Key Set of private keys by id; only their public halves are in it."""
    listed = []
    for kid, key in keys.items():
        kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        listed.append({**json.loads(kind.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
    return json.dumps({"keys": listed}).encode()


class Everywhere:
    """What --tokens adds to processes and requests."""

    FLAGS = [flag for port in ("proxy", "upstream", "admin") for flag in (f"--{port}.auth.hmac-secret-key", SECRET)]

    def __init__(self):
        self.token = token({"iss": "everywhere"})

    @property
    def connect(self):
        return ["--connect.token", self.token]

    @property
    def asking(self):
        return ["--server.token", self.token]

    @property
    def headers(self):
        return {"x-piko-authorization": f"Bearer {self.token}"}

    @property
    def curl(self):
        return [word for name, value in self.headers.items() for word in ("-H", f"{name}: {value}")]

    @property
    def line(self):
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode()


class Issuer:
    """Publishes a key set over HTTP; `answer` is what it says, `reads` how often it was asked, `chunked` how it sends, `tls` the context to speak TLS by."""

    def __init__(self, answer=b"{}", port=0, chunked=False, tls=None):
        self.answer, self.reads, self.status, self.chunked, self.gate = answer, 0, 200, chunked, None
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                issuer.reads += 1
                if issuer.gate:
                    issuer.gate.wait(60)
                self.send_response(issuer.status)
                self.send_header("content-type", "application/json")
                self.send_header("transfer-encoding" if issuer.chunked else "content-length", "chunked" if issuer.chunked else str(len(issuer.answer)))
                self.end_headers()
                for at in range(0, len(issuer.answer), 100) if issuer.chunked else ():
                    piece = issuer.answer[at : at + 100]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n" if issuer.chunked else issuer.answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a reader that gave up
        self.port = self.server.server_address[1]
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/keys/?tenant=1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
