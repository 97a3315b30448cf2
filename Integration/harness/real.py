# SPDX-License-Identifier: MIT
# Real services on loopback in directories of their own: nginx, Redis, PostgreSQL. Each runs in the foreground as a
# child of ours, as a user without rights where it refuses root.

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from .piko import listening
from .ports import free_port
from .process import Process
from .usage import eventually

NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {dir}/nginx.pid; error_log {dir}/error.log info; {user}
events {{ worker_connections 8192; }}
http {{
  access_log {dir}/access.log; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; client_max_body_size 0; keepalive_timeout 20s; types {{ text/plain txt; text/html html; }}
  server {{
    listen 127.0.0.1:{port}{listen}; root {dir}/www;
    location /gzip/ {{ gzip on; gzip_min_length 1; gzip_types text/plain; }}
    location = /close {{ keepalive_timeout 0; return 200 closed; }}
    location = /moved {{ return 301 /index.html; }}
    location = /none {{ return 204; }}
    location = /upload {{ proxy_pass http://127.0.0.1:{port}/none; }}
    location = /echo {{ return 200 "$request_method $request_uri $http_host $content_length"; }}
    location = /small {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:1/; }}
  }}
}}
"""


def plain_user(name):
    """The user to run as, None where we have no rights to drop."""
    return pwd.getpwnam(name) if os.getuid() == 0 else None


def owned(user):
    """A new directory of the user's. Not below pytest's, which are closed to others again by each run that starts."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="piko-integration-", dir="/tmp"))
    if user:
        os.chown(directory, user.pw_uid, user.pw_gid)
    return directory


class Nginx(Process):
    """Serves `www` (a directory) on `addr`; `listen` are more parameters of that directive."""

    def __init__(self, directory, listen=""):
        self.www = directory / "www"
        (self.www / "gzip").mkdir(parents=True)
        self.port = free_port()
        self.addr = f"127.0.0.1:{self.port}"
        config = directory / "nginx.conf"
        config.write_text(NGINX.format(dir=directory, port=self.port, listen=f" {listen}", user="user root;" if os.getuid() == 0 else ""))
        super().__init__(["nginx", "-p", directory, "-c", config, "-e", directory / "error.log"], directory, "nginx")
        eventually(lambda: listening(self.addr), what=f"nginx: {self.log}")

    def kill(self):
        """Its own way to end: a killed master would leave its worker behind."""
        self.end(signal.SIGTERM)


class Redis(Process):
    def __init__(self, directory):
        user = plain_user("redis")
        self.data = owned(user)
        self.port = free_port()
        self.addr = f"127.0.0.1:{self.port}"
        super().__init__(["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--save", "", "--appendonly", "no", "--dir", self.data],
                         directory, "redis", user=user)
        eventually(lambda: listening(self.addr), what=f"redis: {self.out}")

    def kill(self):
        super().kill()
        shutil.rmtree(self.data)


def postgres_tools():
    """Where initdb and postgres are: Debian keeps them off the PATH."""
    if path := shutil.which("initdb"):
        return pathlib.Path(path).resolve().parent
    return max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres(Process):
    """User `postgres`, no password, database `postgres`."""

    def __init__(self, directory):
        user, tools = plain_user("postgres"), postgres_tools()
        base = self.base = owned(user)
        data = base / "data"
        self.port = free_port()
        self.addr = f"127.0.0.1:{self.port}"
        drop = (lambda: (os.setgid(user.pw_gid), os.setuid(user.pw_uid))) if user else None
        subprocess.run([tools / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"],
                       check=True, capture_output=True, preexec_fn=drop, timeout=60, cwd="/")
        command = [tools / "postgres", "-D", data, "-p", self.port, "-k", base, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=100"]
        super().__init__(command, directory, "postgres", user=user, cwd="/")
        eventually(self.answers, 30, f"postgres: {self.log}")

    def answers(self):
        ready = subprocess.run([postgres_tools() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], timeout=10)
        return ready.returncode == 0

    def kill(self):
        """Fast shutdown: postgres takes its children with it."""
        self.end(signal.SIGINT)
        shutil.rmtree(self.base)
