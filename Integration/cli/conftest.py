# SPDX-License-Identifier: MIT
# Runs the program with a command line that ends by itself and looks at what it said.
# Everything here ends before anything is started, so no ports are used.

import os
import subprocess

import pytest

from harness.piko import binary


class Ended:
    """A command that has ended: `code`, `out` and `err`."""

    def __init__(self, words, env, directory):
        run = subprocess.run(
            [binary(), *map(str, words)], capture_output=True, text=True, timeout=20, cwd=directory,
            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        self.code, self.out, self.err = run.returncode, run.stdout, run.stderr

    @property
    def error(self):
        """The one line of a failure: nothing on standard output, exit 1."""
        assert (self.code, self.out) == (1, ""), (self.code, self.out, self.err)
        assert self.err.startswith("piko: ") and self.err.endswith("\n") and self.err.count("\n") == 1, self.err
        return self.err[len("piko: "):-1]

    @property
    def text(self):
        """What a success printed: nothing on standard error, exit 0."""
        assert (self.code, self.err) == (0, ""), (self.code, self.err)
        return self.out


@pytest.fixture
def run(tmp_path):
    """Runs `piko WORDS` in an empty directory."""
    return lambda *words, env=None: Ended(words, env, tmp_path)


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns its name, which is valid where `run` runs."""
    def write(text, name="piko.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name
    return write
