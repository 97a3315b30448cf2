# SPDX-License-Identifier: MIT
# A file of results that the threads of a program share.
# Whoever opens it closes it.

import threading


class Lines:
    """A file that several threads write whole lines to."""

    def __init__(self, file):
        self.file = file
        self.lock = threading.Lock()

    def write(self, line):
        with self.lock:
            self.file.write(line)
